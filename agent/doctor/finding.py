"""What the doctor says of one thing that was looked at, and of all of them together. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.doctor.guide import Section

State = Literal["ok", "warning", "problem", "skipped"]
GUIDE = "docs/troubleshooting.md"
_OWN_COMMAND = re.compile(r"^(?:sudo )?acusight-agent ")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `what` says how it is; where it is not well, `why` says what that means or comes from, `command` is the one to run,
    and `section` names the place in the guide that has more. A warning is something to know, and fails nothing.
    """

    check: str
    state: State
    what: str
    why: str = ""
    command: str = ""
    section: Section | None = None

    @property
    def link(self) -> str:
        """Return where there is more to read; empty where nothing is wrong."""
        return f"{GUIDE}#{self.section}" if self.section else ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "link": self.link}

    def beside(self, config: str) -> Finding:
        """Return it with a command that reads the same configuration, where one was named."""
        return replace(self, command=_OWN_COMMAND.sub(lambda own: f"{own[0]}-c {config} ", self.command))

    def softened(self) -> Finding:
        """Return it as what an optional check may say at most."""
        return replace(self, state="warning") if self.state == "problem" else self


def ok(check: str, what: str) -> Finding:
    """Say that something is well."""
    return Finding(check, "ok", what)


def skipped(check: str, what: str) -> Finding:
    """Say why something was not looked at."""
    return Finding(check, "skipped", what)


def problem(check: str, what: str, why: str, command: str, section: Section) -> Finding:
    """Say what keeps the agent from its work."""
    return Finding(check, "problem", what, why, command, section)


def warning(check: str, what: str, why: str, command: str, section: Section) -> Finding:
    """Say what the agent can live with, and a person should know."""
    return Finding(check, "warning", what, why, command, section)


def healthy(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing keeps the agent from its work."""
    return all(finding.state != "problem" for finding in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """Return the last line: whether something is to be done, and what first."""
    problems = [finding for finding in findings if finding.state == "problem"]
    warnings = [finding for finding in findings if finding.state == "warning"]
    if problems:
        first = problems[0]
        todo = f"; first run: {first.command}" if first.command else ""
        return f"NOT WELL: {_counted(problems, 'problem')}, {_counted(warnings, 'warning')}{todo}"
    if warnings:
        return f"WELL, with {_counted(warnings, 'warning')}: the agent can do its work"
    return f"WELL: {len(findings)} checks, nothing to do"


def _counted(findings: Sequence[Finding], noun: str) -> str:
    return f"{len(findings)} {noun}" + ("" if len(findings) == 1 else "s")

"""One check after another, each with its deadline, so that a dead disk or server costs a line and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.doctor.finding import Finding, problem
from agent.errors import AgentError
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Check:
    """One area to look at: `look` returns what it found; an optional one never fails the run."""

    name: str
    look: Callable[[], Iterable[Finding]]
    deadline_s: float = 10.0
    optional: bool = False


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Yield what each check finds, in order, as soon as it is known."""
    for check in checks:
        for finding in _looked(check):
            yield finding.softened() if check.optional else finding


def _looked(check: Check) -> list[Finding]:
    """Look in a thread of its own: a call that hangs in the kernel cannot be ended, only left behind."""
    found: list[Finding] = []
    nursery = Nursery(Stop())

    def work() -> None:
        try:
            found.extend(check.look())
        except AgentError as error:
            found.append(problem(check.name, error.what, error.remedy, "", "a-check-failed"))

    nursery.start(f"doctor-{check.name}", work)
    if nursery.join(check.deadline_s):
        return [
            problem(
                check.name,
                f"the check did not end within {check.deadline_s:g} s",
                "A disk, a server or a device that it asked does not answer.",
                "dmesg --level=err,warn | tail -n 20",
                "the-check-did-not-end",
            )
        ]
    if nursery.failure is not None:
        kind = type(nursery.failure).__name__
        return [problem(check.name, f"the check itself failed ({kind})", "That is a defect.", "", "a-check-failed")]
    return found

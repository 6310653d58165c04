"""The service: whether systemd knows it, runs it, and had to start it again."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from agent.doctor.finding import Finding, ok, problem, skipped, warning
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.doctor.guide import Section

UNIT = "acusight-agent.service"
ASK_S = 5.0
MANY_RESTARTS = 3
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "UnitFileState",
    "ProtectHome",
    "ProtectSystem",
    "ReadWritePaths",
    "BindPaths",
    "RuntimeDirectoryPreserve",
)
RUNS_NOT: Section = "the-service-does-not-run"
LOOK = "journalctl --unit=acusight-agent --lines=30 --no-pager"


def finding(facts: Mapping[str, str] | None, *, running: bool) -> Finding:
    """Judge what systemd says; `running` tells whether an agent owns the spool, by whomever it was started."""
    if facts is None or facts.get("LoadState") != "loaded":
        why = "there is no systemd" if facts is None else f"systemd knows no {UNIT}"
        if running:
            return ok("service", f"an agent runs; {why}")
        return skipped("service", f"{why}; as a service: sudo acusight-agent service install")
    return _of_systemd(facts, running=running)


def _of_systemd(facts: Mapping[str, str], *, running: bool) -> Finding:
    state, restarts = facts.get("ActiveState", ""), int(facts.get("NRestarts") or 0)
    if state == "active":
        return _active(facts, restarts)
    if facts.get("ExecMainStatus") == str(ConfigError.exit_code):
        what = "it ended with 78: its configuration or its key cannot be used"
        return problem("service", what, "Starting it again does not mend that.", LOOK, "the-service-ended-with-78")
    if state in {"activating", "reloading", "deactivating"}:
        what = f"it is {state} ({facts.get('SubState')}), started again {restarts} times"
        return warning("service", what, "The journal says what it waits for.", LOOK, "the-service-is-started-again")
    if running:
        what = "an agent runs, but not the service: two cannot share a spool"
        return warning("service", what, "It was started by hand.", "ps -o pid,user,args -C acusight-agent", RUNS_NOT)
    what = f"it does not run ({state}, {facts.get('Result')})"
    return problem(
        "service", what, "Nothing is taken in or sent.", "sudo systemctl enable --now acusight-agent", RUNS_NOT
    )


def _active(facts: Mapping[str, str], restarts: int) -> Finding:
    if facts.get("UnitFileState") == "disabled":
        enable = "sudo systemctl enable acusight-agent"
        return warning("service", "it runs, but is not enabled", "After the next boot it will not.", enable, RUNS_NOT)
    if restarts > MANY_RESTARTS:
        what = f"it runs, and was started again {restarts} times"
        return warning("service", what, "The journal says why it ended.", LOOK, "the-service-is-started-again")
    if facts.get("RuntimeDirectoryPreserve") == "no":
        what = "it runs by a unit of an earlier release, which forgets the last six hours at each restart"
        why = "Without RuntimeDirectoryPreserve=yes, chart and last pictures of the status page go with the process."
        return warning("service", what, why, "sudo acusight-agent service install", "the-unit-is-an-old-one")
    return ok("service", "active")


def ask(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return what systemd says of the unit; None where there is no systemd to ask."""
    command = ["systemctl", "show", "--no-pager", *(f"--property={name}" for name in PROPERTIES), UNIT]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_S, check=True, env=dict(environment), errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    pairs = (line.partition("=") for line in ended.stdout.splitlines())
    return {name: value for name, _, value in pairs}

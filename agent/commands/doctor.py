"""`acusight-agent doctor`: looks at everything, and says what is wrong, why, and what to run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.beside import config_option, examples, json_option, safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.app.surgery import Surgery
    from agent.config.environment import Environment
    from agent.doctor.finding import Finding

WORDS = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM", "skipped": "skipped"}


@click.command("doctor", epilog=examples("doctor", "doctor --json", "doctor --bundle support.tar.gz"))
@config_option
@json_option
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="OUT.tar.gz",
    help="Also write an archive for support: findings, status, settings, versions, log; without keys and passwords.",
)
@click.pass_context
def command(context: click.Context, given: Path | None, bundle: Path | None, *, as_json: bool) -> None:
    """Look at everything that the agent needs: configuration, key, server, clock, disk, folders, cameras, service.

    It changes nothing, and may run beside the agent; as root it sees most. Ends with 1 where something keeps the agent
    from its work; warnings fail nothing. Each failure comes with the reason, one command, and where to read on.
    """
    from agent import log
    from agent.app.surgery import Surgery
    from agent.clock import SystemClock
    from agent.commands.run import leave_no_core
    from agent.config.environment import read_environment
    from agent.doctor.bundle import check_target
    from agent.doctor.finding import healthy, verdict

    if bundle is not None:
        check_target(bundle)
    leave_no_core()
    environment, clock = read_environment(), SystemClock()
    log.configure("error", "auto", environment=environment)
    path = given or context.obj
    surgery = Surgery(path, environment, clock=clock)
    findings: list[Finding] = []
    for found in surgery.findings():
        finding = found.beside(shlex.quote(str(path))) if path else found
        findings.append(finding)
        for line in () if as_json else _lines(finding):
            click.echo(safe(line))
    if bundle is not None:
        _bundle(bundle, surgery, findings, environment)
    if as_json:
        click.echo(_document(findings))
    else:
        if bundle is not None:
            click.echo(safe(f"wrote {bundle}: look through it before you send it"))
        click.echo(safe(verdict(findings)))
    if not healthy(findings):
        context.exit(1)


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{WORDS[finding.state]:8} {finding.check:16} {finding.what}"
    for name, text in (("why", finding.why), ("run", finding.command), ("more", finding.link)):
        if text:
            yield f"{'':25} {name + ':':5} {text}"


def _document(findings: Sequence[Finding]) -> str:
    from agent.commands.document import text
    from agent.doctor.finding import healthy, verdict

    entries = [{name: value and safe(value) for name, value in finding.as_json().items()} for finding in findings]
    return text(healthy=healthy(findings), verdict=safe(verdict(findings)), findings=entries)


def _bundle(out: Path, surgery: Surgery, findings: Sequence[Finding], environment: Environment) -> None:
    from datetime import UTC, datetime

    from agent.config.effective import effective_text
    from agent.doctor.bundle import journal, secrets_of, told, versions, write_bundle
    from agent.outline import outline_of
    from agent.status import look

    found = surgery.read.configuration
    absent = "\n".join(surgery.read.problems)
    parts = {
        "doctor.json": _document(findings),
        "status.json": told(lambda: json.dumps(look(outline_of(found)).as_json(), indent=2)) if found else absent,
        "configuration.txt": effective_text(found) if found else absent,
        "versions.txt": versions(),
        "journal.txt": journal(environment.children),
    }
    write_bundle(out, parts, secrets_of(surgery.read), datetime.now(UTC))

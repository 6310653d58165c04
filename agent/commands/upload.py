"""`acusight-agent upload`: put files into the queue by hand, and see them arrive."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.config.redaction import printable
from agent.errors import TryLater, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.config.configuration import Configuration
    from agent.config.environment import Environment
    from agent.handover import Handed
    from agent.spool.reader import Reader

LOOK_EVERY_S = 0.2


@click.command(
    "upload",
    epilog="\b\nExamples:\n  acusight-agent upload part.jpg\n  acusight-agent upload --wait --source bench *.jpg",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-c", "--config", "given", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file.")
@click.option("--wait", is_flag=True, help="Return when the platform has them; without a running agent, send them.")
@click.option(
    "--timeout",
    "timeout_s",
    default=300,
    show_default=True,
    type=click.IntRange(1, 604_800),
    help="Longest wait for a running agent, in seconds.",
)
@click.option("--source", default="upload", show_default=True, help="Source name that the platform is told.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    inherited: Path | None,
    files: tuple[Path, ...],
    given: Path | None,
    *,
    wait: bool,
    timeout_s: int,
    source: str,
    as_json: bool,
) -> None:
    """Put FILES, with the sidecars beside them, into the queue; they are durable when this returns.

    Ends with 0 when all are queued (with --wait: delivered), 1 when a file is no picture, 4 when one was
    quarantined, 5 when the wait ran out, 6 when the key is refused.
    """
    from agent import log
    from agent.config.environment import read_environment
    from agent.config.load import load
    from agent.handover import failed

    environment = read_environment()
    path = given or inherited
    configuration = load(path, environment)
    logging = configuration.settings.log
    log.configure(logging.level, logging.format, environment=environment)
    handed, running = _hand_over(configuration, environment, files, _checked_source(source))
    try:
        if wait:
            handed = _wait(configuration, handed, timeout_s) if running else _send(path, configuration, handed)
    finally:
        _report(handed, as_json=as_json, running=running or wait)
    error = failed(handed)
    if error is not None:
        raise error


def _checked_source(source: str) -> str:
    from agent.config.fields import NAME

    if not NAME.fullmatch(source) or not source.strip("."):
        raise UsageError(
            f"'{source}' cannot be a source name", remedy="Use up to 64 letters, digits, dots, dashes and underscores."
        )
    return source


def _hand_over(
    configuration: Configuration, environment: Environment, files: Sequence[Path], source: str
) -> tuple[list[Handed], bool]:
    from agent.app.house import House
    from agent.clock import SystemClock
    from agent.handover import hand_over
    from agent.spool.ownership import is_owned

    house = House(configuration, environment, clock=SystemClock())
    with house.open_spool(owner=False) as spool:
        return hand_over(house, spool, files, source), is_owned(configuration.spool_dir)


def _send(path: Path | None, configuration: Configuration, handed: list[Handed]) -> list[Handed]:
    """Drain the spool in this process, since no agent does."""
    from agent.commands.run import run
    from agent.spool.reader import Reader

    try:
        run(path, once=True, intake=False)
    finally:
        with closing(Reader(configuration.spool_dir)) as reader:
            handed[:] = _looked(reader, handed)
    return handed


def _wait(configuration: Configuration, handed: list[Handed], timeout_s: int) -> list[Handed]:
    """Watch a running agent send them."""
    from agent.spool.reader import Reader
    from agent.workers import Stop

    patience = Stop()
    bar = click.progressbar(length=len(handed), label="Uploading", file=sys.stderr, hidden=not sys.stderr.isatty())
    with closing(Reader(configuration.spool_dir)) as reader, bar:
        for _ in range(round(timeout_s / LOOK_EVERY_S)):
            handed[:] = _looked(reader, handed)
            bar.update(sum(one.settled for one in handed) - bar.pos)
            if all(one.settled for one in handed):
                return handed
            patience.wait(LOOK_EVERY_S)
    waiting = sum(not one.settled for one in handed)
    raise TryLater(f"{waiting} of {len(handed)} pictures still wait after {timeout_s} s", remedy="They stay queued.")


def _looked(reader: Reader, handed: Sequence[Handed]) -> list[Handed]:
    from agent.handover import look_again

    return list(look_again(reader, handed))


def _report(handed: Sequence[Handed], *, as_json: bool, running: bool) -> None:
    if as_json:
        click.echo(json.dumps({"schema": 1, "files": [asdict(one) for one in handed]}, indent=2))
        return
    for one in handed:
        named = f" as {one.filename}" if one.filename else ""
        click.echo(printable(f"{one.path}: {one.fate}{named}{f' ({one.reason})' if one.reason else ''}"))
    if not running and any(not one.settled for one in handed):
        click.echo("No agent runs on this spool: start one, or call again with --wait.", err=True)

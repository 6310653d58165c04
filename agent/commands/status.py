"""`acusight-agent status`: how the agent is, whether it runs or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.errors import NotRunning

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.standing import Status

_EPILOG = """\b
Examples:
  acusight-agent status
  acusight-agent status --watch
  acusight-agent status --json
"""


@click.command("status", epilog=_EPILOG)
@click.option("-c", "--config", "given", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C; with --json a document a line.")
@click.option("--every", "every_s", default=2.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds.")
@click.pass_obj
def command(inherited: Path | None, given: Path | None, *, as_json: bool, watch: bool, every_s: float) -> None:
    """Tell how the agent is and what to do, then what waits, what arrived, and how its sources are.

    Ends with 3 when no agent runs; with --watch it goes on, and says so.
    """
    from agent.commands.beside import outlined
    from agent.device import DeviceMeter
    from agent.status import existing, look

    outline = outlined(given or inherited)
    meter = DeviceMeter(existing(outline.spool_dir))

    def seen() -> Status:
        return look(outline, meter=meter)

    if watch:
        from agent.commands.screen import repeat

        repeat(_written(seen, as_json=as_json, indent=None), every_s)
        return
    status = seen()
    click.echo(_written(lambda: status, as_json=as_json, indent=2)())
    if not status.running:
        raise NotRunning(
            f"no agent runs on the spool {status.spool_dir}",
            remedy="Start it: systemctl start acusight-agent, or acusight-agent run.",
        )


def _written(seen: Callable[[], Status], *, as_json: bool, indent: int | None) -> Callable[[], str]:
    """Return what looks, and writes down what it saw."""
    if as_json:
        return lambda: json.dumps(seen().as_json(), indent=indent)
    from agent.commands.summary import lines

    return lambda: "\n".join(lines(seen()))

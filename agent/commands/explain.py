"""`acusight-agent explain`: what would happen to a picture, and why."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands import document
from agent.commands.beside import config_option, examples, json_option, safe

if TYPE_CHECKING:
    from agent.explanation import Step
    from agent.sources.drafting import Prospect


@click.command("explain", epilog=examples("explain /srv/pictures/belt.jpg", "explain --json captures/part-17.jpg"))
@click.argument("image", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@config_option
@json_option
@click.pass_obj
def command(inherited: Path | None, given: Path | None, image: Path, *, as_json: bool) -> None:
    """Say what would happen to IMAGE and why: source, state, sidecar, selection, form, metadata.

    Nothing is taken or sent.
    """
    steps, coming = _explained(given or inherited, Path(os.path.realpath(image)))
    stopped = next((step for step in steps if step.stops), None)
    verdict = "would be sent" if stopped is None else f"would not be sent: {stopped.topic}"
    metadata = None if coming is None else json.loads(coming.metadata)
    if as_json:
        told = [{"topic": step.topic, "answer": safe(step.answer), "stops": step.stops} for step in steps]
        click.echo(document.text(image=str(image), would_be_sent=stopped is None, steps=told, metadata=metadata))
        return
    for step in steps:
        click.echo(f"{step.topic:12} {safe(step.answer)}")
    if metadata is not None:
        click.echo(f"{'metadata':12} {safe(json.dumps(metadata, ensure_ascii=False))}")
    click.echo(f"{'verdict':12} {safe(verdict)}")


def _explained(config: Path | None, path: Path) -> tuple[list[Step], Prospect | None]:
    from agent import log
    from agent.app.choosers import watch_look
    from agent.app.house import House
    from agent.clock import SystemClock
    from agent.config.environment import read_environment
    from agent.config.load import load
    from agent.explanation import Step, explain, source_of
    from agent.selection.plan import SelectPlan
    from agent.spool.reader import Reader
    from agent.spool.schema import INDEX

    environment = read_environment()
    configuration = load(config, environment)
    log.configure("error", configuration.settings.log.format, environment=environment)  # the steps say it all
    clock = SystemClock()
    house = House(configuration, environment, clock=clock)
    plan, name, first = source_of(path, house.watch_plans())
    if plan is None:
        return [first], None
    darkroom = house.darkroom()
    reader = Reader(configuration.spool_dir) if (configuration.spool_dir / INDEX).exists() else None
    annotator = configuration.settings.annotator.kind if plan.annotate else None
    try:
        drafter = house.drafter(plan, darkroom)
        strips = configuration.settings.encode.strip_gps
        told = list(
            explain(
                path,
                plan,
                name,
                drafter,
                reader,
                now=clock.wall(),
                annotator=annotator,
                strips_gps=strips,
                look_at=watch_look(plan, plan.select or SelectPlan(plan.name), darkroom),
            )
        )
    finally:
        darkroom.close()
        if reader is not None:
            reader.close()
    steps = [first, *(one for one in told if isinstance(one, Step))]
    return steps, next((one for one in told if not isinstance(one, Step)), None)

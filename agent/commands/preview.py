"""`acusight-agent run --dry-run`: what would be sent, told without a spool and without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent import log
from agent.app.house import House
from agent.clock import SystemClock
from agent.config.derived import period_of
from agent.config.environment import read_environment
from agent.config.load import load
from agent.config.redaction import printable
from agent.errors import Reject, Wait
from agent.sources.grammar import parse_source
from agent.sources.listing import Listing
from agent.sources.opening import open_below

if TYPE_CHECKING:
    from pathlib import Path

    from agent.sources.drafting import Drafter, WatchPlan


def preview(path: Path | None) -> None:
    """Print a line for every file of the watched directories, and one for every camera."""
    environment = read_environment()
    configuration = load(path, environment)
    logging = configuration.settings.log
    # What would be sent is told on standard output; beside it only what is wrong is worth a line.
    level = "warning" if logging.level == "info" else logging.level
    log.configure(level, logging.format, environment=environment)
    house = House(configuration, environment, clock=SystemClock())
    darkroom = house.darkroom()
    try:
        for plan in house.watch_plans():
            drafter = house.drafter(plan, darkroom)
            try:
                for name, _ in Listing(plan.root, plan.patterns, recursive=plan.recursive).walk():
                    click.echo(printable(f"{plan.name}: {name}: {_told(plan, drafter, name)}"))
            except Wait as error:
                click.echo(printable(f"{plan.name}: {error}"))
    finally:
        darkroom.close()
    for camera in configuration.settings.camera:
        often = f"a frame every {pace:g} s" if (pace := period_of(camera)) else "every frame"
        click.echo(printable(f"{camera.name}: {often} of {parse_source(camera.source).shown}"))


def _told(plan: WatchPlan, drafter: Drafter, name: str) -> str:
    try:
        with (
            open_below(plan.root, name) as (descriptor, status),
            drafter.sidecars.open(name) as sidecar,
        ):
            picture = drafter.look(descriptor)
            draft = drafter.draft(name, descriptor, status, picture, sidecar, copy=False)
            return f"would be sent, {draft.size} bytes of {draft.media_type}, with {draft.metadata}"
    except (Reject, Wait) as error:
        return f"would not be sent: {error}"

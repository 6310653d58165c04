"""`acusight-agent select`: try the choice of pictures on a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands import document
from agent.commands.beside import config_option, examples, json_option, safe

if TYPE_CHECKING:
    from agent.pictures.studio import PictureChild
    from agent.selection.rehearsal import Rehearsed
    from agent.sources.drafting import WatchPlan

THUMBNAIL = 240  # pixels: two columns of them fit a screen


@click.group("select", epilog=examples("select report /srv/pictures"))
def command() -> None:
    """Try which pictures are worth the link."""


@command.command("report", epilog=examples("select report /srv/pictures", "select report captures --out report.html"))
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a contact sheet, one HTML file.")
@config_option
@json_option
@click.pass_obj
def report(inherited: Path | None, given: Path | None, folder: Path, out: Path | None, *, as_json: bool) -> None:
    """Tell which pictures of FOLDER would be sent, with counts by rule and limit. Nothing is sent or remembered."""
    from agent.selection.rehearsal import counts

    told = _rehearsed(given or inherited, Path(os.path.realpath(folder)), with_thumbnails=out is not None)
    if out is not None:
        _write(out, str(folder), told)
    kept = sum(one.kept for one in told)
    if as_json:
        pictures = [{"name": safe(one.name), "kept": one.kept, "by": one.why, "note": safe(one.note)} for one in told]
        click.echo(document.text(folder=str(folder), pictures=len(told), kept=kept, by=counts(told), files=pictures))
        return
    click.echo(f"{kept} of {len(told)} pictures would be sent")
    for what, tally in counts(told).items():
        for why, number in tally.items():
            click.echo(f"  {what:8} {number:6}  {safe(why) or 'nothing against it'}")
    if out is not None:
        click.echo(f"The contact sheet is {out}")


def _rehearsed(config: Path | None, folder: Path, *, with_thumbnails: bool) -> list[Rehearsed]:
    from agent import log
    from agent.app.choosers import watch_look
    from agent.app.house import House
    from agent.clock import SystemClock
    from agent.config.environment import read_environment
    from agent.config.load import load
    from agent.selection.choice import Choice, Past
    from agent.selection.plan import SelectPlan
    from agent.selection.rehearsal import Rehearsal
    from agent.sources.listing import Listing

    environment = read_environment()
    configuration = load(config, environment)
    log.configure("error", configuration.settings.log.format, environment=environment)
    house = House(configuration, environment, clock=SystemClock())
    plan = house.watch_plan_of(folder)
    select = plan.select or SelectPlan(plan.name)
    darkroom = house.darkroom()
    try:
        walked = Listing(plan.root, plan.patterns, recursive=plan.recursive).walk()
        names = [name for _, name in sorted((seen.mtime_ns, name) for name, seen in walked)]
        rehearsal = Rehearsal(
            plan,
            house.drafter(plan, darkroom),
            Choice(select, Past.of_text(select, None)),
            look_at=watch_look(plan, select, darkroom),
            thumbnail=lambda descriptor: _thumbnail(plan, darkroom, descriptor) if with_thumbnails else b"",
        )
        return rehearsal.run(names)
    finally:
        darkroom.close()


def _thumbnail(plan: WatchPlan, darkroom: PictureChild, descriptor: int) -> bytes:
    """Return a small copy, cut and masked as what would be sent: a sheet is handed around."""
    from agent.pictures.inspect import inspect
    from agent.pictures.limits import PictureLimits
    from agent.pictures.transform import Recipe

    picture = inspect(descriptor, PictureLimits())
    small = Recipe(plan.crop, plan.masks, THUMBNAIL).for_picture(picture.width, picture.height, picture.orientation)
    return darkroom.convert(descriptor, quality=70, transform=small)


def _write(out: Path, folder: str, told: list[Rehearsed]) -> None:
    from agent.errors import AgentError
    from agent.selection.sheet import sheet

    try:
        with out.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(sheet(safe(folder), told))
    except OSError as error:
        raise AgentError(f"cannot write {out}: {error.strerror}", remedy="Name another place with --out.") from error

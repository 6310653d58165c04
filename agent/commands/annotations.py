"""`acusight-agent annotations`: read a sidecar as the agent does, and see what comes of it."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands import document
from agent.commands.beside import config_option, examples, json_option, safe
from agent.errors import UsageError

if TYPE_CHECKING:
    from agent.annotations.plan import AnnotationPlan
    from agent.pictures.studio import PictureChild
    from agent.sources.drafting import Drafter, Prospect, WatchPlan

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
DRAWN_SIDE = 2000
COUNTED = ("dropped", "unnamed", "masked", "skipped", "unsure")


@click.group(name="annotations", epilog=examples("annotations check belt.txt --classes scratch,dent"))
def command() -> None:
    """Look into annotations."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of how the file is to be read; None where the configuration decides."""

    format: str | None
    classes: str | None
    box_space: str | None
    box_size: str | None


@command.command(
    epilog=examples(
        "annotations check belt.json",
        "annotations check belt.txt --image belt.jpg --classes data.yaml --draw boxes.png",
        "annotations check _annotations.coco.json --image frame-17.jpg --json",
    )
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--image", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The picture it is about.")
@click.option("--format", "format_", help="Read it as this format, instead of by its content.")
@click.option("--classes", help="Class names, separated by commas, or a file with them.")
@click.option("--box-space", type=click.Choice(["displayed", "stored"]), help="Where the boxes were found.")
@click.option("--box-size", metavar="WxH", help="The size that its pixels are of.")
@click.option("--draw", type=click.Path(path_type=Path, dir_okay=False), help="Draw the boxes on the picture (a PNG).")
@config_option
@json_option
@click.pass_obj
def check(
    inherited: Path | None,
    given: Path | None,
    file: Path,
    image: Path | None,
    format_: str | None,
    classes: str | None,
    box_space: str | None,
    box_size: str | None,
    draw: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print the metadata that would be sent with FILE's annotations, or what is wrong with FILE and where.

    Without --image the picture of the same name is taken. The settings are those of the watched folder that has it.
    """
    asked = Asked(format_, classes, box_space, box_size)
    picture = image or _picture_of(file)
    if picture is None:
        raise UsageError(f"no picture lies beside {file}", remedy="Name it: --image PICTURE")
    coming, drawn = _checked(given or inherited, file, picture, asked, drawing=draw is not None)
    if draw is not None and drawn is not None:
        draw.write_bytes(drawn)
    _tell(coming, picture, draw, as_json=as_json)


def _tell(coming: Prospect, picture: Path, draw: Path | None, *, as_json: bool) -> None:
    reading = coming.reading
    metadata = json.loads(coming.metadata)
    told: dict[str, Any] = {} if reading is None else {"format": reading.format, "reason": reading.reason}
    counts = {} if reading is None else {name: getattr(reading.labels, name) for name in COUNTED}
    if as_json:
        click.echo(document.text(image=str(picture), **told, counts=counts, metadata=metadata))
        return
    click.echo(coming.metadata)
    said = [f"read as {told.get('format')} ({told.get('reason')})", f"picture: {picture}"]
    said += [f"{count} {name}" for name, count in counts.items() if count]
    if draw is not None:
        said.append(f"drawn: {draw}")
    for line in said:
        click.echo(safe(line), err=True)


def _checked(
    config: Path | None, file: Path, picture: Path, asked: Asked, *, drawing: bool
) -> tuple[Prospect, bytes | None]:
    from agent import log
    from agent.app.house import House
    from agent.clock import SystemClock
    from agent.config.environment import read_environment
    from agent.config.load import load

    environment = read_environment()
    configuration = load(config, environment)
    log.configure("error", configuration.settings.log.format, environment=environment)
    house = House(configuration, environment, clock=SystemClock())
    darkroom = house.darkroom()
    try:
        path = Path(os.path.realpath(picture))
        plan, name = _plan_of(path, house.watch_plans(), asked)
        return _read(file, path, name, house.drafter(plan, darkroom), darkroom if drawing else None)
    finally:
        darkroom.close()


def _plan_of(path: Path, plans: list[WatchPlan], asked: Asked) -> tuple[WatchPlan, str]:
    """Return the plan of the folder that has the picture, as the command line changes it, and its name there."""
    from agent.explanation import source_of
    from agent.sources.drafting import WatchPlan

    plan, name, _ = source_of(path, plans)
    if plan is None:
        plan, name = WatchPlan(name="upload", root=path.parent, patterns=("*",)), path.name
    # A bad file is what this is to find, whatever the rule for it is.
    return replace(plan, annotations=replace(_changed(plan.annotations, asked), on_bad="wait")), name


def _changed(plan: AnnotationPlan, asked: Asked) -> AnnotationPlan:
    from agent.annotations.formats import NAMES
    from agent.config.class_names import read_classes

    if asked.format is not None:
        if asked.format not in NAMES:
            raise UsageError(f"{asked.format!r} is no format", remedy=f"Known are {', '.join(NAMES)}.")
        plan = replace(plan, formats=(asked.format,))
    if asked.classes is not None:
        is_file = Path(asked.classes).is_file()
        names = read_classes(Path(asked.classes)) if is_file else tuple(map(str.strip, asked.classes.split(",")))
        plan = replace(plan, classes=names)
    if asked.box_space is not None:
        plan = replace(plan, box_space=asked.box_space)
    if asked.box_size is not None:
        width, _, height = asked.box_size.lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            raise UsageError(f"{asked.box_size!r} is no size", remedy="Write it as 1920x1080.")
        plan = replace(plan, box_size=(int(width), int(height)))
    return plan


def _read(
    file: Path, path: Path, name: str, drafter: Drafter, darkroom: PictureChild | None
) -> tuple[Prospect, bytes | None]:
    from agent.annotations.read import MAX_SIDECAR_BYTES
    from agent.pictures.transform import Recipe
    from agent.sources.listing import sighting
    from agent.sources.opening import open_regular
    from agent.sources.sidecars import SidecarFile

    with ExitStack() as stack:
        # Whoever types a name means what a link leads to.
        descriptor, status = stack.enter_context(open_regular(Path(os.path.realpath(file))))
        data = os.pread(descriptor, MAX_SIDECAR_BYTES + 1, 0)
        sidecar = SidecarFile(str(file), data, sighting(status), descriptor)
        pixels, status = stack.enter_context(open_regular(path))
        picture = drafter.look(pixels)
        coming = drafter.foresee(name, status, picture, sidecar)
        if darkroom is None or coming.reading is None:
            return coming, None
        transform = coming.transform or Recipe(max_side=DRAWN_SIDE).for_picture(
            picture.width, picture.height, picture.orientation
        )
        boxes = [(one.class_value, one.geometry) for one in coming.reading.labels.annotations]
        return coming, darkroom.draw(pixels, transform=transform, boxes=boxes)


def _picture_of(file: Path) -> Path | None:
    """Return the picture that a sidecar belongs to by its name, beside it or in the folder of images beside its own."""
    from agent.annotations.pairing import IMAGES, LABELS, stems_of

    stem = next(stems_of(file.name))
    folders = [file.parent]
    if file.parent.name == LABELS:
        folders += [file.parent.parent, file.parent.parent / IMAGES]
    for folder in folders:
        for candidate in (folder / stem, *(folder / f"{stem}{suffix}" for suffix in PICTURES)):
            if candidate.suffix.lower() in PICTURES and candidate.is_file():
                return candidate
    return None

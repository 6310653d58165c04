"""`acusight-agent camera`: which cameras there are, what one gives, and one picture of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.beside import config_option, examples, json_option, safe
from agent.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.sources.devices import VideoDevice
    from agent.sources.plan import CameraPlan
    from agent.sources.trial import Trial

LOOK_S = 3.0
WARM_UP_S = 1.0
"""A camera's first frames are dark or tinted until it has set exposure and white balance."""


@click.group(
    name="camera", epilog=examples("camera list", "camera probe belt-west", "camera snapshot /dev/video0 now.jpg")
)
def command() -> None:
    """List cameras, and try one as the daemon would open it."""


def _asking(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what is asked of a camera."""
    for option in (
        click.option("--fourcc", help='Pixel format to ask a USB camera for, such as "MJPG".'),
        click.option("--height", type=click.IntRange(1, 65_535), help="Frame height to ask for, in pixels."),
        click.option("--width", type=click.IntRange(1, 65_535), help="Frame width to ask for, in pixels."),
    ):
        verb = option(verb)
    return verb


@command.command("list", epilog=examples("camera list", "camera list --json"))
@json_option
def list_command(*, as_json: bool) -> None:
    """List the cameras that this machine's kernel knows, with the names that outlive a reboot."""
    from agent.commands.document import text
    from agent.sources.devices import video_devices

    devices = video_devices()
    if as_json:
        click.echo(text(cameras=[device.as_json() for device in devices]))
        return
    for device in devices:
        for line in _device_lines(device):
            click.echo(safe(line))
    if not devices:
        click.echo("no camera found; network cameras, files and programs are not listed: try them with camera probe")


@command.command(epilog=examples("camera probe /dev/video0", "camera probe belt-west --seconds 10 --json"))
@click.argument("source")
@config_option
@_asking
@click.option(
    "--seconds", type=click.FloatRange(0.1, 600), default=LOOK_S, show_default=True, help="How long to look, in s."
)
@json_option
@click.pass_obj
def probe(
    inherited: Path | None, /, source: str, given: Path | None, seconds: float, *, as_json: bool, **asked: object
) -> None:
    """Open SOURCE and say what it gives.

    SOURCE is the name of a configured camera, or a source as the configuration writes it. Prefer the name where the
    source holds a password: other users can see a command line. Ends with 1 where no usable picture comes.
    """
    from agent.commands.document import text

    trial = _tried(source, given or inherited, seconds, asked)
    if as_json:
        click.echo(text(**trial.as_json()))
    else:
        for line in _lines(trial):
            click.echo(safe(line))
    if trial.problem:
        raise _failure(trial)


@command.command(epilog=examples("camera snapshot /dev/video0 now.jpg", "camera snapshot belt-west /tmp/belt.jpg"))
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@config_option
@_asking
@json_option
@click.pass_obj
def snapshot(
    inherited: Path | None, /, source: str, out: Path, given: Path | None, *, as_json: bool, **asked: object
) -> None:
    """Write one JPEG of SOURCE to OUT, which is replaced whole or not at all."""
    from agent.commands.document import text

    _check_target(out)
    trial = _tried(source, given or inherited, WARM_UP_S, asked)
    if not trial.picture:
        raise _failure(trial)
    _write(out, trial.picture)
    if as_json:
        click.echo(text(**trial.as_json(), path=str(out)))
    else:
        click.echo(safe(f"wrote {out}: {trial.width}x{trial.height}, {len(trial.picture)} bytes, of {trial.source}"))


def _tried(source: str, path: Path | None, seconds: float, asked: dict[str, object]) -> Trial:
    from agent.clock import SystemClock
    from agent.config.environment import read_environment
    from agent.sources.trial import try_source

    plan = _plan(source, path, {name: value for name, value in asked.items() if value is not None})
    try:
        return try_source(plan, seconds=seconds, environment=read_environment().children, clock=SystemClock())
    except ValueError as error:
        raise UsageError(safe(error)) from None


def _plan(source: str, path: Path | None, asked: dict[str, object]) -> CameraPlan:
    """Return the plan of the configured camera of that name, else one for the source as it is written."""
    from dataclasses import replace

    from agent.config.environment import read_environment
    from agent.config.load import load
    from agent.plans import camera_plan
    from agent.sources.plan import CameraPlan

    if not any(mark in source for mark in "/:") and not source.isdigit() and not Path(source).exists():
        settings = load(path, read_environment()).settings
        known = {camera.name: camera for camera in settings.camera}
        if source not in known:
            names = f"; configured are: {', '.join(known)}" if known else ""
            raise UsageError(safe(f"{source} is neither a configured camera nor a file{names}"))
        return replace(camera_plan(known[source], settings.encode), **asked)  # type: ignore[arg-type] # click's types
    return CameraPlan("trial", source, **asked)  # type: ignore[arg-type] # click's types


def _failure(trial: Trial) -> AgentError:
    named = trial.problem if trial.source in trial.problem else f"{trial.source}: {trial.problem}"
    return AgentError(safe(named), remedy=safe(trial.remedy))


def _check_target(out: Path) -> None:
    """Refuse what a rename must not replace, such as a device node."""
    if not out.parent.is_dir():
        raise UsageError(safe(f"there is no folder {out.parent} to write {out.name} into"))
    try:
        mode = out.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(safe(f"cannot write {out}: {error.strerror}")) from None
    if not stat.S_ISREG(mode):
        raise UsageError(safe(f"{out} is no regular file; name one that may be replaced"))


def _write(out: Path, picture: bytes) -> None:
    from agent.spool.durable import disk_errors, fsync_directory, write_file

    write_file(out.with_name(f".{out.name}.{os.getpid()}.tmp"), out, [picture])
    with disk_errors("give everybody's rights to", out):
        os.umask(mask := os.umask(0o077))
        out.chmod(0o666 & ~mask)
    fsync_directory(out.parent)


def _device_lines(device: VideoDevice) -> Iterator[str]:
    yield f"{device.node}: {device.name or 'no name'}" + (f" ({device.driver}, {device.bus})" if device.driver else "")
    if device.problem:
        yield f"  {device.problem}; may this user read it (group video)?"
    yield f'  source = "{device.source}"'


def _lines(trial: Trial) -> Iterator[str]:
    yield f"source    {trial.source}"
    if trial.opened_after_s is None:
        return
    yield f"opened    after {trial.opened_after_s:.1f} s"
    if trial.asked:
        yield f"asked     {trial.asked}"
    if trial.got:
        yield f"got       {trial.got}"
    if trial.picture:
        yield f"picture   {trial.width}x{trial.height}, {len(trial.picture)} bytes"
    rate = (
        "" if trial.fps is None else f", {trial.fps:.1f} a second" + (" as it is read" if trial.kind == "file" else "")
    )
    yield f"frames    {trial.frames} in {trial.seconds:.1f} s{rate}"
    if trial.age_s is not None:
        yield f"age       {trial.age_s:.2f} s from the grab until it was here"
    if trial.bad:
        yield f"refused   {', '.join(f'{count} {kind}' for kind, count in sorted(trial.bad.items()))}"
    yield f"black     {'not judged' if trial.black is None else 'yes' if trial.black else 'no'}"

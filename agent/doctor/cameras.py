"""Cameras: whether the daemon's user may open them, and whether each gives pictures."""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.derived import period_of
from agent.doctor.finding import Finding, ok, problem, skipped, warning
from agent.doctor.person import group_name
from agent.sources.grammar import parse_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.config.sources import CameraSettings
    from agent.doctor.guide import Section
    from agent.doctor.person import Person
    from agent.sources.trial import Trial

LATE = 3.0
"""A picture that is so many intervals old, and older than the stall time-out, is late."""

_SECTIONS: tuple[tuple[str, Section], ...] = (
    ("cannot be opened", "a-camera-cannot-be-opened"),
    ("cannot be loaded", "opencv-cannot-be-loaded"),
    ("has no GStreamer", "opencv-has-no-gstreamer"),
    ("no usable picture came", "a-camera-gives-no-usable-picture"),
    ("no file matches", "a-video-file-is-not-there"),
    ("cannot be started", "a-program-does-not-run"),
    ("the program ", "a-program-does-not-run"),
)
_SILENT: Section = "a-camera-gives-no-usable-picture"


@dataclass(frozen=True, slots=True)
class Node:
    """A camera's device node, as the file system shows it."""

    path: str
    gid: int
    mode: int


def group_finding(nodes: Iterable[Node], person: Person) -> Finding:
    """Judge whether the daemon's user may open the nodes by its groups."""
    nodes = list(nodes)
    for node in nodes:
        everybody = node.mode & 0o006 == 0o006  # noqa: PLR2004 (may read and write)
        member = node.mode & 0o060 == 0o060 and node.gid in person.groups | {person.gid}  # noqa: PLR2004 (the same)
        if not (everybody or member or person.uid == 0):
            group = group_name(node.gid)
            return problem(
                "groups",
                f"{person.name} is not in the group {group}, to which {node.path} belongs",
                "Without it the camera stays closed. After the command, restart the agent, or log in anew.",
                f"sudo usermod -aG {shlex.quote(group)} {shlex.quote(person.name)}",
                "the-user-is-not-in-the-group",
            )
    counted = f"{len(nodes)} video devices" if nodes else "no video device is there"
    return ok("groups", f"{person.name} may open what is there ({counted})" if nodes else counted)


def trial_finding(name: str, trial: Trial) -> Finding:
    """Judge a camera that was opened for this."""
    check = f"camera {name}"
    if trial.problem:
        section = _section(trial.problem)
        why = trial.remedy or "Nothing comes from it until then; the agent opens it again by itself."
        return problem(check, trial.problem, why, f"acusight-agent camera probe {shlex.quote(name)}", section)
    parts = [f"{trial.width}x{trial.height}"]
    if trial.fps is not None and trial.kind != "file":
        parts.append(f"{trial.fps:.1f} frames a second")
    if trial.age_s is not None:
        parts.append(f"{trial.age_s:.2f} s old")
    parts.append("blackness not judged" if trial.black is None else "not black")
    what = f"{trial.source} gives pictures: {', '.join(parts)}"
    if trial.bad:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(trial.bad.items()))
        why = "Some frames were refused; the others are sent."
        return warning(check, f"{what}; refused: {kinds}", why, f"acusight-agent camera probe {name}", _SILENT)
    return ok(check, what)


def state_finding(camera: CameraSettings, state: Mapping[str, Any] | None, boot: float) -> Finding:
    """Judge a camera that the running agent holds, by what it says of it: opened twice, many refuse."""
    check, shown = f"camera {camera.name}", parse_source(camera.source).shown
    look = "journalctl --unit=acusight-agent --since=-1h --grep=source_"
    if state is None:
        return skipped(check, f"{shown} belongs to the running agent; only root or its user can ask how it does")
    state = (state.get("cameras") or {}).get(camera.name)
    if state is None:
        what = f"the running agent knows no camera {camera.name}: its configuration is older"
        return warning(check, what, "It has not read the present one.", "sudo systemctl reload acusight-agent", _SILENT)
    if state.get("ended"):
        return ok(check, f"{shown} was read to its end by the running agent")
    if not state.get("opened"):
        what = str(state.get("problem") or "the running agent is about to open it")
        section = _section(what)
        return problem(check, what, "The running agent tries it again and again.", look, section)
    age = boot - state["last_frame_at"] if state.get("last_frame_at") is not None else None
    if age is None or age > max(LATE * period_of(camera), camera.stall_timeout_s * 2):
        old = "none came yet" if age is None else f"the last is {age:.0f} s old"
        what = f"{shown} is open in the running agent, but gives no usable picture: {old}"
        return problem(check, what, "Black, frozen and torn frames are not sent.", look, _SILENT)
    return ok(check, f"{shown} is open in the running agent; its last picture is {age:.1f} s old")


def _section(what: str) -> Section:
    return next((section for text, section in _SECTIONS if text in what), _SILENT)


def node_of(path: Path) -> Node | None:
    """Return a device node, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Node(str(path), found.st_gid, stat.S_IMODE(found.st_mode)) if stat.S_ISCHR(found.st_mode) else None


def nodes_of(cameras: Iterable[CameraSettings]) -> list[Node]:
    """Return the nodes of configured cameras that are there."""
    sources = [parse_source(camera.source) for camera in cameras]
    paths = [f"/dev/video{source.target}" if source.kind == "index" else source.target for source in sources]
    wanted = [path for path, source in zip(paths, sources, strict=True) if source.kind in {"index", "device"}]
    return [node for path in wanted if (node := node_of(Path(os.path.realpath(path)))) is not None]

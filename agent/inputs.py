"""The sources as they stand: their last picture, how often they give one, and how often they should. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.outline import Outline
    from agent.spool.ledger import Account

CAMERA = "camera"
FOLDER = "folder"
BY_HAND = "by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One source. `asked_fps` is None where no pace is asked (a folder, or every frame), `got_fps` where none is known.

    `last_boot_s` is when its last picture was taken in, on the boot clock, as a running daemon knows it; `last_at` the
    capture time of the last one that is on record. `problem` says why it gives none.
    """

    name: str
    kind: str
    shown: str = ""
    open: bool = True
    ended: bool = False
    problem: str = ""
    asked_fps: float | None = None
    got_fps: float | None = None
    last_boot_s: float | None = None
    last_at: str | None = None
    restarts: int = 0
    seen: int = 0
    bad: int = 0
    format: str = ""

    def age_s(self, now: float) -> float | None:
        """Return how old its last picture is; `now` is on the boot clock."""
        return None if self.last_boot_s is None else max(0.0, now - self.last_boot_s)

    def fps_at(self, now: float) -> float | None:
        """Return how often it gives pictures now: what has been silent for longer than usual is slower than it was."""
        age = self.age_s(now)
        if self.got_fps is None or age is None:
            return self.got_fps
        return min(self.got_fps, 1.0 / age) if age > 0 else self.got_fps

    def as_json(self, now: float) -> dict[str, Any]:
        """Return it as plain values."""
        age, fps = self.age_s(now), self.fps_at(now)
        told = {name: value for name, value in asdict(self).items() if name not in {"name", "last_boot_s"}}
        return {
            **told,
            "age_s": None if age is None else round(age, 1),
            "got_fps": None if fps is None else round(fps, 3),
        }


def inputs(
    outline: Outline, state: Mapping[str, Any] | None, accounts: Mapping[str, Account], last: Mapping[str, str]
) -> tuple[Input, ...]:
    """Return every source that is configured, then those that only the ledger knows: put in by hand, or gone since.

    `last` has the capture time of each source's last picture.
    """
    configured = [*_cameras(outline, state or {}), *_folders(outline, state or {})]
    names = {one.name for one in configured}
    others = (Input(name=name, kind=BY_HAND, **_pace(state or {}, name)) for name in accounts if name not in names)
    return tuple(replace(one, last_at=last.get(one.name)) for one in (*configured, *others))


def _cameras(outline: Outline, state: Mapping[str, Any]) -> Iterator[Input]:
    for name, asked_fps in outline.cameras.items():
        told = _table(_table(state, "cameras"), name)
        bad = told.get("bad")
        yield Input(
            name=name,
            kind=CAMERA,
            shown=str(told.get("source", "")),
            open=bool(told.get("opened")),
            ended=bool(told.get("ended")),
            problem=str(told.get("problem") or ""),
            asked_fps=asked_fps,
            restarts=_count(told.get("restarts")),
            seen=_count(told.get("seen")),
            bad=sum(map(_count, bad.values())) if isinstance(bad, dict) else 0,
            format=str(told.get("got") or ""),
            **_pace(state, name),
        )


def _folders(outline: Outline, state: Mapping[str, Any]) -> Iterator[Input]:
    paused = _table(state, "intake_paused")
    for name, path in outline.folders.items():
        problem = str(paused.get(name, ""))
        yield Input(name=name, kind=FOLDER, shown=path, problem=problem, **_pace(state, name))


def _pace(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    pictures = _table(_table(state, "pictures"), name)
    last, per_s = pictures.get("last_boot_s"), pictures.get("per_s")
    return {
        "last_boot_s": float(last) if isinstance(last, int | float) else None,
        "got_fps": float(per_s) if isinstance(per_s, int | float) else None,
    }


def _table(tables: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tables.get(key)
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0

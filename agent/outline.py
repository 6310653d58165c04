"""What of a configuration it takes to say how an agent is: little, and plain enough to be noted in the spool.

To check the whole configuration costs more than all else that `status` does. So the owner of a spool leaves this much
of it there, with the mark of the configuration that it was made of; where that mark still holds, nobody needs more.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from agent.config.derived import period_of, tariff_of
from agent.tariff import Tariff
from agent.timetable import Line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.config.configuration import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """`cameras` has each one's pace in frames a second, None for every frame; `folders` where each one is."""

    spool_dir: Path
    state_file: Path
    max_bytes: int
    max_items: int
    min_free_bytes: int
    tariff: Tariff = field(default_factory=Tariff)
    cameras: Mapping[str, float | None] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)


def outline_of(configuration: Configuration) -> Outline:
    """Return the outline of a whole configuration."""
    settings = configuration.settings
    return Outline(
        spool_dir=configuration.spool_dir,
        state_file=configuration.state_file,
        max_bytes=settings.spool.max_bytes,
        max_items=settings.spool.max_items,
        min_free_bytes=settings.spool.min_free_bytes,
        tariff=tariff_of(settings.upload),
        cameras={one.name: round(1 / pace, 4) if (pace := period_of(one)) > 0 else None for one in settings.camera},
        folders={one.name: str(one.path) for one in settings.watch},
    )


def noted(outline: Outline, mark: str) -> dict[str, Any]:
    """Return it as plain values, with the mark of its configuration; where things lie, the reader knows."""
    tariff = asdict(outline.tariff) | {"timetable": [_line_noted(line) for line in outline.tariff.timetable]}
    return {
        "mark": mark,
        "max_bytes": outline.max_bytes,
        "max_items": outline.max_items,
        "min_free_bytes": outline.min_free_bytes,
        "tariff": tariff,
        "cameras": dict(outline.cameras),
        "folders": dict(outline.folders),
    }


def read_noted(note: object, mark: str, *, spool_dir: Path, state_file: Path) -> Outline | None:
    """Read what `noted` wrote; None where it is of another configuration or release, or cannot be read."""
    if not isinstance(note, dict) or note.get("mark") != mark:
        return None
    try:
        tariff = dict(note["tariff"])
        timetable = tuple(_line_of(line) for line in tariff.pop("timetable"))
        return Outline(
            spool_dir=spool_dir,
            state_file=state_file,
            max_bytes=int(note["max_bytes"]),
            max_items=int(note["max_items"]),
            min_free_bytes=int(note["min_free_bytes"]),
            tariff=Tariff(timetable=timetable, **{name: int(value) for name, value in tariff.items()}),
            cameras={name: None if pace is None else float(pace) for name, pace in note["cameras"].items()},
            folders={name: str(path) for name, path in note["folders"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _line_noted(line: Line) -> list[Any]:
    return [sorted(line.days), line.start, line.end, line.rate_bytes_s, line.pause]


def _line_of(noted_line: list[Any]) -> Line:
    days, *rest = noted_line
    return Line(frozenset(days), *rest)

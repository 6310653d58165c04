"""The nouns: what is seen, what is promised, and what was proven.

A `Frame` is one moment of a camera, in memory; it never crosses the spool. An `Item` is one promise to deliver:
bytes and metadata on disk, frozen. A `Receipt` is the proof that an item arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent.media import JPEG

if TYPE_CHECKING:
    from datetime import datetime

    from agent.clock import Stamp
    from agent.selection.facts import Look, Verdict

PRIORITY = 5
"""The priority (0 to 9) of what nobody gave another one."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One bounding box: a class name and `(x_center, y_center, width, height)`, each 0..1, origin top-left."""

    class_value: str
    geometry: tuple[float, float, float, float]
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """The model that made annotations: its platform id and version, either may be unknown."""

    id: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """What a sidecar says of a picture.

    No annotations (`()`) means that the model ran and found nothing; a picture without `Labels` means that
    nothing is known. `model` and `captured_at` are set where the sidecar names them. `dropped` counts the boxes of
    which nothing lies within the picture, `unnamed` those whose class is an index that no name was given for, `masked`
    those that a privacy mask hides, `skipped` objects that have no box, `unsure` those whose confidence was too low.
    """

    annotations: tuple[Annotation, ...]
    model: Model = Model()
    captured_at: datetime | None = None
    dropped: int = 0
    unnamed: int = 0
    masked: int = 0
    skipped: int = 0
    unsure: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file source has been read: which file, by what marks, and the next frame's index."""

    path: str
    fingerprint: str
    next_frame: int
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a camera, encoded, in memory.

    `captured_at` is aware UTC, stamped at the grab. `position` is set by file sources alone, so that a restart goes
    on with the next frame instead of the first; `stamp` by live ones, whose time is the clock's. `labels` are what an
    annotator saw in it, `unannotated` says why one that was asked said nothing. `priority` is set where it has another
    one than its source, `look` where its child looked at it, `verdict` where that decided by its rules.
    """

    source: str
    picture: bytes
    captured_at: datetime
    media_type: str = JPEG
    position: Position | None = None
    stamp: Stamp | None = None
    labels: Labels | None = None
    priority: int | None = None
    unannotated: str = ""
    look: Look | None = None
    verdict: Verdict | None = None


class Origin(NamedTuple):
    """The watched file that an item was adopted from, by the marks that tell it from any later file.

    `after` is what delivery does to it: `keep`, `delete` or `move` (into `move_to`); its sidecar goes with it.
    """

    pathname: str
    inode: int
    size: int
    mtime_ns: int
    after: str = "keep"
    move_to: Path | None = None
    sidecar: Origin | None = None

    @property
    def path(self) -> Path:
        """Where it lies; made when somebody wants it, which costs what all else here does together."""
        return Path(self.pathname)


class Item(NamedTuple):
    """One promise to deliver, as the spool holds it: every attempt sends these bytes under this filename.

    `beside` is the link to the sidecar that lies with the picture, from which the metadata can be built again.
    """

    id: int
    source: str
    filename: str
    pathname: str
    media_type: str
    size: int
    sha256: str
    metadata: str
    captured_at: datetime
    attempts: int = 0
    outcome_unknown: bool = False
    reencoded: bool = False
    origin: Origin | None = None
    beside: Path | None = None

    @property
    def path(self) -> Path:
        """Where the picture lies."""
        return Path(self.pathname)


class Receipt(NamedTuple):
    """The platform's word that it has an item; ids are opaque strings and may be missing.

    `result` is `delivered`, or `duplicate` where the platform said that it had the picture already.
    """

    item_id: int
    result: str
    image_id: str | None = None
    batch_id: str | None = None
    storage_key: str | None = None

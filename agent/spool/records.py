"""What goes into the spool and what comes out, and the rows in between."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.frame import PRIORITY, Item, Origin, Position

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from agent.clock import Stamp
    from agent.file_state import FileState


ITEM_COLUMNS = (
    "id, source, filename, path, media_type, size, sha256, metadata, captured_at, attempts, outcome_unknown, "
    "reencoded, origin, beside"
)
"""What an item is made of, in the order in which `item_of` takes it."""
_NAMES = ITEM_COLUMNS.split(", ")
_encode = json.JSONEncoder().encode
_decode = json.JSONDecoder().raw_decode


class Opened(NamedTuple):
    """An open, checked file to adopt; `hidden` is where its link may lie when the spool is on another mount.

    `copy` asks for bytes of the spool's own: the file is known to be rewritten in place.
    """

    descriptor: int
    hidden: Path | None = None
    copy: bool = False


class OpenedSidecar(NamedTuple):
    """A sidecar; a link to it lies beside the picture, so that the folder alone is enough to salvage.

    Without a descriptor it is a part of a file, whose `content` is written there.
    """

    descriptor: int | None
    suffix: str
    content: bytes = b""


class Mark(NamedTuple):
    """What tells a watched file from a later one under its name; `path` is relative to the watched directory.

    `skipped` names the limit or rule by which it was not worth the link.
    """

    path: str
    inode: int
    size: int
    mtime_ns: int
    sha256: str
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the spool remembers of a watched file that was captured, or skipped."""

    inode: int
    size: int
    mtime_ns: int
    sha256: str
    skipped: str | None = None

    def is_at(self, inode: int, size: int, mtime_ns: int) -> bool:
        """Tell whether a file has these very marks still."""
        return (self.inode, self.size, self.mtime_ns) == (inode, size, mtime_ns)


class Draft(NamedTuple):
    """A picture on its way into the spool: all that an item freezes, and where its bytes are now."""

    source: str
    captured_at: datetime
    media_type: str
    size: int
    sha256: str
    metadata: str
    body: bytes | Opened
    sidecar: OpenedSidecar | None = None
    origin: Origin | None = None
    mark: Mark | None = None
    position: Position | None = None
    stamp: Stamp | None = None
    refused: str | None = None
    priority: int = PRIORITY

    @classmethod
    def of_bytes(cls, data: bytes, **fields: Any) -> Draft:  # noqa: ANN401 (the fields of Draft, checked by its own constructor)
        """Make a draft of a picture in memory."""
        return cls(body=data, size=len(data), sha256=hashlib.sha256(data).hexdigest(), **fields)

    def with_bytes(self, data: bytes) -> Draft:
        """Return the draft with a picture in memory in place of its own."""
        return self._replace(body=data, size=len(data), sha256=hashlib.sha256(data).hexdigest())


class Staged(NamedTuple):
    """A draft whose bytes have their final name, but no row yet; a link's are flushed with the commit.

    `state` is that of its file where that is known to have the draft's bytes.
    """

    draft: Draft
    id: int
    filename: str
    pathname: str
    beside: Path | None = None
    copied_because: str | None = None
    state: FileState | None = None

    @property
    def path(self) -> Path:
        """Where the picture lies."""
        return Path(self.pathname)

    @property
    def linked(self) -> bool:
        """Tell whether the bytes are those of a file that somebody else wrote, and perhaps never flushed."""
        return isinstance(self.draft.body, Opened) and self.copied_because is None


def origin_text(origin: Origin | None) -> str | None:
    """Write an origin as JSON; names that are no UTF-8 survive as escaped surrogates."""
    return None if origin is None else _encode(_origin_list(origin))


def _origin_list(origin: Origin) -> list[object]:
    move_to = str(origin.move_to) if origin.move_to else None
    sidecar = _origin_list(origin.sidecar) if origin.sidecar else None
    return [origin.pathname, origin.inode, origin.size, origin.mtime_ns, origin.after, move_to, sidecar]


def read_origin(text: str | None) -> Origin | None:
    """Read what `origin_text` wrote."""
    return None if text is None else _origin_of(_decode(text)[0])  # what was written here has nothing behind it


def _origin_of(fields: list[Any]) -> Origin:
    path, inode, size, mtime_ns, after, move_to, sidecar = fields
    return Origin(
        path,
        inode,
        size,
        mtime_ns,
        after,
        Path(move_to) if move_to else None,
        _origin_of(sidecar) if sidecar else None,
    )


def stored_inode(inode: int) -> int:
    """Write an inode for the index: SQLite's integers are signed, and FUSE file systems use all 64 bits."""
    return inode - 2**64 if inode >= 2**63 else inode


def read_inode(stored: int) -> int:
    """Read what `stored_inode` wrote."""
    return stored % 2**64


def stored_path(path: str | Path, root: Path) -> bytes:
    """Write a path for the index: relative to the spool where it lies in it."""
    return os.fsencode(str(path).removeprefix(f"{root}/"))


def stored_stamp(stamp: Stamp | None) -> tuple[str | None, float | None, bool | None]:
    """Write a stamp for the index, as `boot_id`, `boot_s` and `time_trusted`."""
    return (None, None, None) if stamp is None else (stamp.boot_id, stamp.boot_s, stamp.trusted)


def read_path(stored: bytes, root: Path) -> Path:
    """Read what `stored_path` wrote."""
    return Path(read_pathname(stored, root))


def read_pathname(stored: bytes, root: Path) -> str:
    """Read what `stored_path` wrote, as text."""
    name = os.fsdecode(stored)
    return name if name.startswith("/") else f"{root}/{name}"


def read_item(row: sqlite3.Row, root: Path) -> Item:
    """Make an item of its row."""
    return item_of(item_values(row), root)


def item_values(row: sqlite3.Row) -> list[Any]:
    """Return an item's columns of a row with more than those."""
    return [row[name] for name in _NAMES]


def item_of(values: Sequence[Any], root: Path) -> Item:
    """Make an item of its `ITEM_COLUMNS`, in that order: to find each by its name takes as long as all the rest."""
    (
        item_id,
        source,
        filename,
        path,
        media_type,
        size,
        sha256,
        metadata,
        captured_at,
        attempts,
        outcome_unknown,
        reencoded,
        origin,
        beside,
    ) = values
    return Item(
        item_id,
        source,
        filename,
        read_pathname(path, root),
        media_type,
        size,
        sha256,
        metadata,
        datetime.fromisoformat(captured_at),
        attempts,
        bool(outcome_unknown),
        bool(reencoded),
        read_origin(origin),
        read_path(beside, root) if beside else None,
    )

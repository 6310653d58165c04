"""What became of a picture, as far as the spool remembers: by its bytes, its name, or the very file.

Receipts know the bytes that were sent. A picture that was converted on its way has others than its file: then the
file's path and time connect the two, where the agent has marked that very file as captured.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.clock import utc_text
from agent.sources.opening import open_regular
from agent.spool.durable import disk_errors
from agent.spool.records import stored_inode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent.sources.settle import Sighting
    from agent.spool.reader import Reader

DELIVERED = "delivered"
WAITING = "waiting"
QUARANTINED = "quarantined"
SKIPPED = "skipped"
UNTRACED = "untraced"
UNKNOWN = "unknown"
MEANINGS = {
    DELIVERED: "the platform has it",
    WAITING: "in the queue",
    QUARANTINED: "set aside; see: acusight-agent queue list --state quarantined",
    SKIPPED: "not worth the link, by [select]; it was never captured",
    UNTRACED: "captured, but neither in the queue nor among the receipts: dropped, or its receipt is forgotten",
    UNKNOWN: "no trace of it: never captured, or put in by hand and dropped since",
}

MARKS = "SELECT path, sha256, skipped FROM known WHERE inode = ? AND size = ? AND mtime_ns = ?"
# Of bytes that were skipped at one place and captured at another the capture counts: it comes last.
REMEMBERED = """
SELECT sha256, skipped FROM known WHERE sha256 IN (SELECT value FROM json_each(?)) ORDER BY skipped IS NULL
"""
# With max(), SQLite takes the other columns from the row that has it: one row a digest, however many there are.
RECEIPTS = """
SELECT *, max(item_id) FROM receipt WHERE sha256 IN (SELECT value FROM json_each(?)) GROUP BY sha256
"""
RECEIPTS_BY_FILE = """
SELECT *, max(item_id) FROM receipt WHERE (origin, captured_at) IN (VALUES {}) GROUP BY origin, captured_at
"""
RECEIPT_BY_NAME = "SELECT * FROM receipt WHERE filename = ? OR origin = ? ORDER BY item_id DESC LIMIT 1"
ITEMS = "SELECT *, max(id) FROM item WHERE sha256 IN (SELECT value FROM json_each(?)) GROUP BY sha256"
ITEMS_BY_FILE = """
SELECT *, max(id) FROM item WHERE json_extract(origin, '$[1]') || ' ' || json_extract(origin, '$[2]') || ' ' ||
json_extract(origin, '$[3]') IN (SELECT value FROM json_each(?)) GROUP BY origin
"""
ITEM_BY_NAME = "SELECT * FROM item WHERE filename = ? OR json_extract(origin, '$[0]') = ? ORDER BY id DESC LIMIT 1"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it lies there; `captured` tells whether the agent marked this very file when it took it.

    `skipped` is the limit or rule by which it left this very file alone instead.
    """

    path: Path
    sighting: Sighting
    sha256: str
    captured: bool
    skipped: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What is left of a picture: its newest receipt, its newest item in the queue, or only that it was captured.

    `skipped` is the limit or rule by which it was not, where it was looked at and left alone.
    """

    receipt: Row | None = None
    item: Row | None = None
    captured: bool = False
    skipped: str | None = None

    @property
    def fate(self) -> str:
        """Name what became of it, a key of `MEANINGS`."""
        if self.receipt is not None:
            return DELIVERED
        if self.item is not None:
            return str(self.item["state"])
        if self.captured:
            return UNTRACED
        return UNKNOWN if self.skipped is None else SKIPPED


def as_watched(real: Path, roots: Iterable[Path]) -> Path | None:
    """Return a path without links as the agent remembers it, which is below a watched folder as that is configured."""
    for root in roots:
        there = Path(os.path.realpath(root))
        if real.is_relative_to(there):
            return root / real.relative_to(there)
    return None


def see(reader: Reader, path: Path, sighting: Sighting) -> Seen:
    """Look at a file, and read its bytes only where the spool has no mark of it under this path.

    Raises `Vanished` where it is no regular file any more, `Wait` where it cannot be read.
    """
    encoded = os.fsencode(path)
    marks = reader.all(MARKS, stored_inode(sighting.inode), sighting.size, sighting.mtime_ns)
    for row in marks:
        if encoded.endswith(b"/" + row["path"]):
            return Seen(path, sighting, row["sha256"], captured=row["skipped"] is None, skipped=row["skipped"])
    return Seen(path, sighting, digest_of(path), captured=False)


def digest_of(path: Path) -> str:
    """Return the sha256 of a regular file's bytes; raises as `see` does."""
    with (
        open_regular(path) as (descriptor, _),
        disk_errors("read", path),
        os.fdopen(descriptor, "rb", closefd=False) as file,
    ):
        return hashlib.file_digest(file, "sha256").hexdigest()


def trace_files(reader: Reader, files: Sequence[Seen]) -> Iterator[tuple[Seen, Trace]]:
    """Find what became of files; as many as are given at once share one look through the receipts."""
    found = trace_digests(reader, [file.sha256 for file in files])
    open_ones = [file for file in files if file.captured and found[file.sha256].fate == UNTRACED]
    converted = _trace_converted(reader, open_ones) if open_ones else {}
    for file in files:
        trace = converted.get(file.path, found[file.sha256])
        # The same bytes may have been captured elsewhere: this very file was not.
        left = file.skipped is not None and trace.fate == UNTRACED
        yield file, replace(trace, captured=False, skipped=file.skipped) if left else trace


def trace_digests(reader: Reader, digests: Sequence[str]) -> dict[str, Trace]:
    """Find what became of the pictures with these bytes."""
    wanted = json.dumps(digests)
    receipts = {row["sha256"]: dict(row) for row in reader.all(RECEIPTS, wanted)}
    items = {row["sha256"]: dict(row) for row in reader.all(ITEMS, wanted)}
    known = {row["sha256"]: row["skipped"] for row in reader.all(REMEMBERED, wanted)}
    return {
        one: Trace(
            receipts.get(one), items.get(one), captured=one in known and known[one] is None, skipped=known.get(one)
        )
        for one in digests
    }


def trace_name(reader: Reader, name: str, path: Path) -> Trace:
    """Find the newest picture that was uploaded under a name, or taken from a path."""
    receipt = reader.one(RECEIPT_BY_NAME, _text(name), os.fsencode(path))
    item = reader.one(ITEM_BY_NAME, _text(name), _text(path))
    return Trace(None if receipt is None else dict(receipt), None if item is None else dict(item))


def _trace_converted(reader: Reader, files: Sequence[Seen]) -> dict[Path, Trace]:
    """Find the receipts and items of files whose bytes were changed on the way."""
    keys = {(os.fsencode(file.path), _captured_at(file.sighting)): file.path for file in files}
    statement = RECEIPTS_BY_FILE.format(", ".join(["(?, ?)"] * len(keys)))
    values = [value for key in keys for value in key]
    found: dict[Path, Trace] = {}
    for row in reader.all(ITEMS_BY_FILE, json.dumps([_marks(file.sighting) for file in files])):
        found[Path(json.loads(row["origin"])[0])] = Trace(None, dict(row), captured=True)
    for row in reader.all(statement, *values):
        found[keys[row["origin"], row["captured_at"]]] = Trace(dict(row), None, captured=True)
    return found


def _text(name: str | Path) -> str:
    """Return what SQLite takes for text; bytes that are none match nothing."""
    return os.fsencode(name).decode("utf-8", "replace")


def _marks(sighting: Sighting) -> str:
    return f"{sighting.inode} {sighting.size} {sighting.mtime_ns}"


def _captured_at(sighting: Sighting) -> str:
    """Return the capture time that a file without a sidecar's own is given: when it was written."""
    seconds, fraction = divmod(sighting.mtime_ns, 10**9)
    with suppress(OverflowError, ValueError, OSError):  # a time beyond the calendar
        return utc_text(datetime.fromtimestamp(seconds + 1e-9 * fraction, UTC))
    return ""

"""What a camera and its grabber say to each other over two pipes. Pure.

The order goes in as one line of JSON, on standard input: URLs carry passwords, and arguments are public. Records
come out: a line of JSON with the event, its facts and the length of the body, then the body. Events:

    starting   cv2 is loaded, the source is being opened
    opened     asked, got
    alive      seen, bad, skipped, passed: sent a few times per stall timeout as long as the device gives frames
    lookout    answered, failed, latency_s, problem, failures, rests_s, looking: a detector begins or ends with a frame
    frame      wall, boot, next_frame, ended, and `labels` where a detector looked at it, `unannotated` where one could
               not, `look` where the choice asks for one, `verdict` where it is made; the body is the JPEG
    ended      a file has no more frames
    error      what, remedy, final: there is no use in trying again
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from agent.annotators.plan import LookoutPlan
from agent.errors import Reopen
from agent.selection.plan import SelectPlan
from agent.sources.mjpeg import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.pictures.masks import Corners
    from agent.pictures.transform import Rectangle

LONGEST_LINE = 256 * 1024
"""A thousand boxes of a detector fit, at 120 bytes each."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a grabber is to open, and what to make of it.

    `parent` is the process that reads the records. `start_frame` and `mtime` concern files: the first frame that is
    wanted, and the file's modification time in seconds. `judge` has its black and frozen frames refused, as a camera's
    are. `select` says which frames are worth it, after what was kept in the `past`. `lookout` is the detector that
    looks at them.
    """

    kind: str
    target: str = field(repr=False)
    parent: int
    interval_s: float = 1.0
    width: int | None = None
    height: int | None = None
    fourcc: str | None = None
    quality: int = 90
    max_side: int = 0
    passthrough: bool = True
    crop: Rectangle | None = None
    masks: tuple[Corners, ...] = ()
    strip_gps: bool = False
    open_timeout_s: float = 10.0
    stall_timeout_s: float = 10.0
    start_frame: int = 0
    mtime: float = 0.0
    judge: bool = False
    select: SelectPlan | None = None
    past: str = ""
    lookout: LookoutPlan | None = None

    def line(self) -> bytes:
        """Return the order as its line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Order:
        """Return the order that a line holds."""
        facts = json.loads(line)
        crop, masks, select, lookout = (facts.pop(name) for name in ("crop", "masks", "select", "lookout"))
        return cls(
            **facts,
            crop=None if crop is None else tuple(crop),
            masks=tuple(tuple((x, y) for x, y in mask) for mask in masks),
            select=None if select is None else SelectPlan.of_json(select),
            lookout=None if lookout is None else LookoutPlan(**lookout),
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that a grabber has to say."""

    event: str
    facts: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes that go through the pipe."""
        head = {"event": self.event, "bytes": len(self.body), **self.facts}
        return b"".join((json.dumps(head).encode(), b"\n", self.body))


def frame_record(
    picture: bytes, wall: float, boot: float, seen: int, known: Mapping[str, Any], *, ended: bool = False
) -> Record:
    """Return a frame's record; `seen` counts it, so it is the index of the next one. `known` is said of it as well."""
    return Record("frame", {"wall": wall, "boot": boot, "next_frame": seen, "ended": ended, **known}, picture)


class Records:
    """Reads records from a byte stream, at most one of them held; raises `Reopen` on what is none."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._head: dict[str, Any] | None = None

    def feed(self, data: bytes) -> list[Record]:
        """Take the next bytes of the stream; return the records that they complete, in order."""
        self._held += data
        records = []
        while (record := self._next()) is not None:
            records.append(record)
        return records

    def _next(self) -> Record | None:
        if self._head is None:
            self._head = self._read_head()
        if self._head is None or len(self._held) < self._head["bytes"]:
            return None
        facts, self._head = self._head, None
        length = facts.pop("bytes")
        body = bytes(self._held[:length])
        del self._held[:length]
        return Record(facts.pop("event"), facts, body)

    def _read_head(self) -> dict[str, Any] | None:
        end = self._held.find(b"\n", 0, LONGEST_LINE)
        if end < 0:
            if len(self._held) >= LONGEST_LINE:
                raise Reopen("the grabber does not speak in records")
            return None
        try:
            head: dict[str, Any] = json.loads(self._held[:end])
            fits = head["event"] and 0 <= head["bytes"] <= LARGEST
        except (ValueError, KeyError, TypeError):
            raise Reopen("the grabber does not speak in records") from None
        if not fits:
            raise Reopen(f"the grabber sent a picture larger than {LARGEST} bytes")
        del self._held[: end + 1]
        return head

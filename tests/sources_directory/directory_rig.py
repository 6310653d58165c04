"""A watched directory with a real spool behind it, run step by step on a hand-set clock or in a thread of its own."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypedDict, Unpack

import cv2
import numpy as np

from agent.annotators.folder import FolderAnnotations
from agent.app.choosers import ChooserParts
from agent.clock import SystemClock
from agent.frame import Model, Receipt
from agent.health import Pulse
from agent.pictures.developing import Encoding
from agent.pictures.limits import PictureLimits
from agent.pictures.studio import PictureChild
from agent.platform.body import PictureChanged, UploadBody, opened
from agent.sources.adoption import Adopter
from agent.sources.directory import DirectoryWatch
from agent.sources.drafting import Drafter, WatchPlan
from agent.sources.listing import Listing
from agent.sources.scout import Scout
from agent.spool.budget import Limits
from agent.spool.spool import Spool
from agent.workers import Bell, Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from agent.annotations.plan import AnnotationPlan
    from agent.annotators.desk import Desk
    from agent.clock import Clock
    from agent.frame import Item
    from agent.pictures.masks import Corners
    from agent.pictures.transform import Rectangle
    from agent.selection.plan import SelectPlan

SETTLE_S = 1.0
SCOUT_IDLE_S = 0.5
PATTERNS = ("*.jpg", "*.png", "*.webp", "*.bmp", "*.tif")
ROOMY = Limits(max_bytes=1_000_000_000, min_free_bytes=0)
PATIENCE_S = 10.0
DAC_CAPABILITIES = ~0b110
CAPABILITY_VERSION = 0x20080522


class MovedClock(Protocol):
    """The suite's clock, moved by hand."""

    def wall(self) -> datetime:
        """Return the wall time."""
        ...

    def boot(self) -> float:
        """Return the uptime."""
        ...

    def trusted(self) -> bool:
        """Tell whether the wall time is right."""
        ...

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        ...


class Plan(TypedDict, total=False):
    """What a test says of the watch; the rest is quick."""

    patterns: tuple[str, ...]
    recursive: bool
    annotations: AnnotationPlan
    settle_s: float
    sidecar_wait_s: float
    rescan_s: float
    decode: bool
    after: str
    move_to: Path | None
    crop: Rectangle | None
    masks: tuple[Corners, ...]
    priority: int
    select: SelectPlan | None


@cache
def coded(extension: str, shade: int = 0, *, width: int = 32, height: int = 24) -> bytes:
    """Encode a picture of coarse noise."""
    noise = np.random.default_rng(shade).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    done, data = cv2.imencode(extension, cv2.resize(noise, (width, height)))
    assert done
    return bytes(data)


def jpeg(number: int = 0) -> bytes:
    """Return a whole JPEG of its own for each number: a comment tells one from another."""
    comment = f"picture {number:08d}".encode()
    data = coded(".jpg")
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + data[2:]


def sha(data: bytes) -> str:
    """Name bytes as the spool does."""
    return hashlib.sha256(data).hexdigest()


def until(claim: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until a claim holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.005)


def refuse_inotify() -> NoReturn:
    """Answer as a kernel that has no inotify instance left."""
    raise OSError(24, "inotify instance limit reached")


def names(events: list[Any], event: str) -> list[str]:
    """Return the paths of all log events of one kind."""
    return [entry.get("path", "") for entry in events if entry["event"] == event]


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let permissions hold for this thread, also where root runs the tests."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    held, fewer = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    ctypes.memmove(fewer, held, ctypes.sizeof(held))
    fewer[0] &= DAC_CAPABILITIES
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


class YardMaker(Protocol):
    """Makes the yard of a test; `limits` are the spool's."""

    def __call__(self, *, limits: Limits = ROOMY, **plan: Unpack[Plan]) -> Yard:
        """Make it, by the plan's own defaults where nothing is said."""
        ...


class Yard:
    """A watched directory, its spool, and the watch between them."""

    def __init__(
        self, folder: Path, clock: Clock | None = None, *, limits: Limits = ROOMY, **plan: Unpack[Plan]
    ) -> None:
        self.root = folder / "watched"
        self.root.mkdir(exist_ok=True)
        self.spool_dir = folder / "spool"
        self.limits = limits
        self.clock = clock or SystemClock()
        self.stop = Stop()
        self.plan = WatchPlan("door", self.root, PATTERNS, settle_s=SETTLE_S if clock else 0.05, sidecar_wait_s=0.0)
        self.plan = replace(self.plan, **plan)
        self._ends = ExitStack()
        self.open()

    def close(self) -> None:
        """End all of it."""
        self._ends.close()

    def open(self, *, once: bool = False, desk: Callable[[], Desk] | None = None) -> None:
        """Put the parts together, as the composition root does; `desk` makes an annotator's."""
        self.stop = Stop()
        self.desk = desk() if desk else None
        self.spool = Spool(self.spool_dir, self.limits, clock=self.clock, owner=True)
        self._ends.callback(self.spool.close)
        limits = PictureLimits()
        self.darkroom = PictureChild(environment=dict(os.environ), limits=limits)
        self._ends.callback(self.darkroom.close)
        drafter = Drafter(
            self.plan,
            limits=limits,
            encoding=Encoding(),
            model=Model("m-1", "7"),
            darkroom=self.darkroom,
            clock=self.clock,
        )
        chooser = ChooserParts(self.clock).folder(self.plan, self.spool, self.darkroom)
        if chooser is not None:
            self._ends.callback(chooser.close)
        self.listing = Listing(self.root, self.plan.patterns, recursive=self.plan.recursive)
        self.pulse, bell = Pulse(self.clock), Bell()
        self.annotations: FolderAnnotations | None = None
        if self.desk is not None:
            self.annotations = FolderAnnotations(self.root, self.desk, drafter.shown, stop=self.stop, notify=bell.ring)
        self.scout = Scout(
            self.root, limits, environment=dict(os.environ), clock=self.clock, stop=self.stop, idle_s=SCOUT_IDLE_S
        )
        self._ends.callback(self.scout.close)
        self.watch = DirectoryWatch(
            self.plan,
            self.listing,
            Adopter(self.plan, drafter, self.spool, self.annotations, chooser, self.scout),
            self.spool,
            stop=self.stop,
            bell=bell,
            clock=self.clock,
            pulse=self.pulse,
            once=once,
        )
        self._ends.callback(self.watch._notices.__exit__)

    def reopen(self, *, once: bool = False) -> None:
        """Restart: what was in memory is gone."""
        self._ends.close()
        self.open(once=once)

    @contextmanager
    def running(self) -> Iterator[Nursery]:
        """Run the watch in a thread; it ends within a second of the stop."""
        nursery = Nursery(self.stop)
        nursery.start("watch", self.watch.run)
        try:
            yield nursery
        finally:
            self.stop.set()
            assert nursery.join(1.0) == []
            assert nursery.failure is None

    def run_once(self) -> None:
        """Run the watch here, until it has taken all that is there."""
        self.reopen(once=True)
        self.watch.run()

    def put(self, name: str, data: bytes | None = None, *, mtime: float | None = None) -> Path:
        """Write a file in place; by default a whole JPEG that no other name has."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(abs(hash(name)) % 10**8) if data is None else data)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return path

    def step(self, seconds: float = 0.0) -> None:
        """Move the clock, and let the watch do what is to be done then."""
        self.clock.advance(seconds)  # type: ignore[attr-defined]  # steps are for tests with the suite's clock
        self.watch._step()

    def settle(self) -> None:
        """Let a whole walk pass, and the quiet time and the wait for sidecars behind it."""
        self.watch._rounds.ask()
        self.step()
        self.step(self.plan.settle_s)
        self.step(self.plan.sidecar_wait_s)

    def items(self) -> list[Item]:
        """Return what waits in the spool."""
        return [self.spool.reader.item(row, self.spool_dir) for row in self.rows("SELECT * FROM item ORDER BY id")]

    def rows(self, statement: str) -> list[Any]:
        """Ask the index."""
        return self.spool.reader.all(statement)

    def taken(self) -> list[str]:
        """Return the names of the files that wait in the spool, in the order they were taken."""
        return [str(item.origin.path.relative_to(self.root)) for item in self.items() if item.origin]

    def digests(self) -> list[str]:
        """Return the digests of what waits in the spool, in the order it was taken."""
        return [item.sha256 for item in self.items()]

    def deliver(self) -> list[bytes]:
        """Deliver what waits, as the uploaders do; return the pictures that left, and drop those that changed."""
        sent = []
        while (item := self.spool.outbox.claim()) is not None:
            try:
                with opened(item) as descriptor:
                    body = b"".join(map(bytes, UploadBody(item, descriptor)))
            except PictureChanged as error:
                self.spool.outbox.drop(item, str(error))
                continue
            picture = body.partition(b"Content-Type: ")[2].partition(b"\r\n\r\n")[2][: item.size]
            assert sha(picture) == item.sha256
            sent.append(picture)
            self.spool.outbox.deliver(item, Receipt(item.id, "delivered"))
        return sent

    def remove(self) -> None:
        """Take the watched directory away, with all that is in it."""
        shutil.rmtree(self.root)

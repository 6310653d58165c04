from __future__ import annotations

import os
import random
import select
import signal
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from spool_rig import Promises, StillClock, adopted, check, deliver_all, die_at, draft, examine, own, sha
from structlog.testing import capture_logs

from agent.frame import Receipt
from agent.spool.inbox import Inbox
from agent.spool.outbox import Outbox
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.frame import Item
    from agent.spool.records import Staged
    from agent.spool.spool import Spool

EVENTS = 400
KILLS = 30


class RemovesFirst(Outbox):
    """An outbox broken on purpose: it deletes before its receipt is durable."""

    def deliver(self, item: Item, receipt: Receipt) -> None:
        """Remove, then record."""
        self._sweep(item.id, (item.path, item.beside), item.origin)
        super().deliver(item, receipt)


class AnswersFirst(Inbox):
    """An inbox broken on purpose: it says that a batch is in before it is."""

    held: tuple[Staged, ...] = ()

    def commit(self, batch: Sequence[Staged]) -> None:
        """Commit the batch before this one."""
        super().commit(self.held)
        self.held = tuple(batch)


class CountsTwice(Outbox):
    """An outbox broken on purpose: its books and its rows are two transactions."""

    def quarantine(self, item: Item, reason: str) -> None:
        """Move the row, look at the disk, then count."""
        self._update("UPDATE item SET state = 'quarantined', reason = ? WHERE id = ?", reason, item.id)
        item.path.read_bytes()
        self._update(
            "INSERT INTO tally VALUES (?, 'quarantined', '', 1, ?) "
            "ON CONFLICT DO UPDATE SET items = items + 1, bytes = bytes + excluded.bytes",
            item.source,
            item.size,
        )


@dataclass
class Scene:
    """A folder of originals, a spool, and a log of what the child was told to be done; the log survives its death."""

    root: Path
    files: int
    outbox: type[Outbox] = Outbox
    inbox: type[Inbox] = Inbox

    def __post_init__(self) -> None:
        (self.root / "watched").mkdir(parents=True)
        for number in range(self.files):
            (self.root / f"watched/{number}.jpg").write_bytes(f"picture {number}".encode())

    def work(self) -> None:
        """Put every original and a frame beside each; deliver, defer, drop and quarantine what comes out."""
        with own(self.root / "spool") as spool, (self.root / "log").open("ab", buffering=0) as log:
            self._break(spool)
            for number in range(self.files):
                self._put(spool, number, log.write)
                item = spool.outbox.claim()
                if item is not None:
                    self._settle(spool, item, number)
            deliver_all(spool)

    def has_put(self, count: int) -> bool:
        """Tell whether the child has put so many originals, each with a frame beside it."""
        log = self.root / "log"
        return count == 0 or (log.exists() and log.read_bytes().count(b"\n") >= 2 * count)

    def verdict(self) -> None:
        """Open what the dead child left, tidy as a daemon does at its start, and hold it against the promises."""
        acknowledged = (self.root / "log").read_text().split() if (self.root / "log").exists() else []
        originals = {self.root / f"watched/{n}.jpg": sha(f"picture {n}".encode()) for n in range(self.files)}
        promises = Promises(acknowledged, originals)
        with own(self.root / "spool") as spool:
            if spool.fence > 1:
                check(self.root / "spool", promises)
            spool.outbox.sweep()
            spool.reconciler(examine).run(self.root / "spool/items", Stop())
            check(self.root / "spool", promises)
            assert not spool.salvaged
            deliver_all(spool)
            spool.outbox.sweep()
            check(self.root / "spool", promises)

    def _break(self, spool: Spool) -> None:
        spool.outbox.__class__ = self.outbox
        spool.inbox.__class__ = self.inbox

    def _put(self, spool: Spool, number: int, log: Callable[[bytes], Any]) -> None:
        path = self.root / f"watched/{number}.jpg"
        with adopted(path, after="delete", copy=number % 3 == 2) as one:
            staged = [spool.inbox.stage(one), spool.inbox.stage(draft(f"frame {number}".encode()))]
            spool.inbox.commit(staged)
        log("".join(f"{one.filename}\n" for one in staged).encode())

    def _settle(self, spool: Spool, item: Item, number: int) -> None:
        match number % 5:
            case 0 | 1:
                spool.outbox.deliver(item, Receipt(item.id, "delivered"))
            case 2:
                spool.outbox.quarantine(item, "refused")
            case 3:
                spool.outbox.drop(item, "why")
            case _:
                spool.outbox.defer(item, StillClock().boot() + 1)


def sweep_events(tmp_path: Path, outbox: type[Outbox] = Outbox, inbox: type[Inbox] = Inbox) -> int:
    """Kill at every touch of the disk in turn, and look each time; return how often it was killed."""
    for event in range(1, EVENTS):
        scene = Scene(tmp_path / str(event), files=7, outbox=outbox, inbox=inbox)
        with capture_logs():
            killed = die_at(event, scene.work)
            scene.verdict()
        if not killed:
            return event - 1
    pytest.fail("the work never came to its end")


@pytest.mark.timeout(180)
def test_i1_i2_i3_a_kill_at_any_touch_of_the_disk_loses_nothing(tmp_path: Path) -> None:
    """Whatever the daemon had in hand, every promise is kept, every original covered, every figure true."""
    assert sweep_events(tmp_path) > 60


@pytest.mark.parametrize(
    ("outbox", "inbox", "complaint"),
    [
        (RemovesFirst, Inbox, "No such file|went before its receipt"),
        (Outbox, AnswersFirst, "promised and lost"),
        (CountsTwice, Inbox, "miscounts"),
    ],
    ids=["removes before the receipt", "answers before the commit", "counts apart from the rows"],
)
def test_the_oracle_sees_a_spool_that_was_broken_on_purpose(
    tmp_path: Path, outbox: type[Outbox], inbox: type[Inbox], complaint: str
) -> None:
    """The same sweep and the same checks fail on each defect that they are there for."""
    with pytest.raises((AssertionError, FileNotFoundError), match=complaint):
        sweep_events(tmp_path, outbox, inbox)


def test_i1_i2_i3_a_kill_from_outside_loses_nothing(tmp_path: Path) -> None:
    """Thirty children die at thirty random moments, mid system call too, and each spool is whole.

    A moment is so many puts and a part of one: what a whole run takes, a busy machine changes from one to the next.
    """
    files, began = 20, time.monotonic()
    assert not kill_after(30, Scene(tmp_path / "whole", files=files).work)
    put_s = (time.monotonic() - began) / files
    rng = random.Random(20260314)
    killed = 0
    for number in range(KILLS):
        scene = Scene(tmp_path / str(number), files=files)
        with capture_logs():
            come = partial(scene.has_put, rng.randrange(files))
            killed += kill_after(rng.uniform(0.0, put_s), scene.work, come)
            scene.verdict()
    assert killed > KILLS // 2


def kill_after(seconds: float, work: Callable[[], object], come: Callable[[], bool] = lambda: True) -> bool:
    """Run `work` in a child and kill it so much after it has `come` so far; tell whether it was still at it."""
    done, ends = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.close(ends)
    while not come() and not select.select([done], [], [], 0.001)[0]:
        pass
    select.select([done], [], [], seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(done)
    return os.WIFSIGNALED(status)

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from drain_rig import ROOMY, PatientStop
from structlog.testing import capture_logs
from wire_rig import SEEN, MovedClock

from agent.errors import SpoolDamaged
from agent.frame import Receipt
from agent.health import Pulse
from agent.media import JPEG
from agent.receipts import BOUND, ENOUGH, STAGE, ReceiptClerk
from agent.spool.records import Draft
from agent.spool.spool import Spool
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.frame import Item


class Office:
    """A clerk at work on a real spool."""

    def __init__(self, folder: Path, clock: MovedClock, stop: Stop) -> None:
        self.stop = stop
        self.pulse = Pulse(clock)
        self.spool = Spool(folder, ROOMY, clock=clock, owner=True)
        self.spool._commits._connection.execute("PRAGMA busy_timeout = 0")
        self.clerk = ReceiptClerk(self.spool.outbox, stop=stop, pulse=self.pulse)
        self.nursery = Nursery(stop)

    def items(self, count: int) -> list[Item]:
        """Put and claim so many pictures."""
        for number in range(count):
            draft = Draft.of_bytes(b"%d" % number, source="cam-1", captured_at=SEEN, media_type=JPEG, metadata="")
            self.spool.inbox.commit([self.spool.inbox.stage(draft)])
        claimed = [self.spool.outbox.claim() for _ in range(count)]
        return [item for item in claimed if item is not None]

    def delivered(self) -> int:
        """Return how many receipts the books hold."""
        return self.spool.accounts()["cam-1"].delivered

    def lock(self, ends: ExitStack) -> sqlite3.Connection:
        """Make every commit fail until the lock is given back by `ROLLBACK`."""
        path = self.spool.directory / "index.sqlite3"
        other = ends.enter_context(closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)))
        other.execute("BEGIN IMMEDIATE")
        return other


@pytest.fixture
def stop(clock: MovedClock) -> PatientStop:
    """Return a stop whose waits take virtual time."""
    return PatientStop(clock)


@pytest.fixture
def office(tmp_path: Path, clock: MovedClock, stop: PatientStop) -> Iterator[Office]:
    """Return a clerk that is ended with its test."""
    office = Office(tmp_path / "spool", clock, stop)
    yield office
    stop.set()
    assert office.nursery.join(5) == []
    office.spool.close()


def word(item: Item) -> Receipt:
    """Return the platform's word for an item."""
    return Receipt(item.id, "delivered", image_id=f"img-{item.id}")


def test_every_receipt_is_committed_and_told(office: Office) -> None:
    """What uploaders hand in is durable soon, in few commits, and each item is named in the log."""
    items = office.items(200)
    before = office.spool.commits()
    with capture_logs() as logs:
        office.nursery.start("receipts", office.clerk.run)
        with office.clerk.at_work():
            for item in items:
                office.clerk.submit(item, word(item))
        office.stop.set()
        assert office.nursery.join(5) == []
    assert office.delivered() == 200
    assert office.spool.commits() - before <= 2 * 200 / ENOUGH
    told = [(entry["item"], entry["image_id"]) for entry in logs if entry["event"] == "item_delivered"]
    assert told == [(item.id, f"img-{item.id}") for item in items]


def settled(office: Office, count: int) -> None:
    """Wait until so many receipts are in the books, ten seconds at most."""
    deadline = time.monotonic() + 10
    while office.delivered() < count:
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_receipts_wait_for_each_other_and_are_committed_together(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that come one after another share a commit; once there are enough, nobody waits for more."""
    monkeypatch.setattr("agent.receipts.GATHER_S", 60.0)
    items = office.items(ENOUGH)
    before = office.spool.commits()
    office.nursery.start("receipts", office.clerk.run)
    with office.clerk.at_work():
        for item in items:
            office.clerk.submit(item, word(item))
        settled(office, ENOUGH)
    assert office.spool.commits() - before == 1


def test_a_receipt_alone_waits_a_moment_only(office: Office) -> None:
    """On a slow link none comes along: then it is committed by itself."""
    [item] = office.items(1)
    office.nursery.start("receipts", office.clerk.run)
    with office.clerk.at_work():
        office.clerk.submit(item, word(item))
        settled(office, 1)


def test_the_clerk_stays_until_the_last_uploader_has_left(office: Office) -> None:
    """A stop that comes while an upload is under way does not cost its receipt."""
    [item] = office.items(1)
    office.nursery.start("receipts", office.clerk.run)
    with office.clerk.at_work():
        office.stop.set()
        assert office.nursery.join(0.1) == ["receipts"]
        office.clerk.submit(item, word(item))
    assert office.nursery.join(5) == []
    assert office.delivered() == 1


def test_i8_an_uploader_waits_when_too_many_are_pending(office: Office) -> None:
    """While nothing can be committed at most so many answers are held in memory."""
    items = office.items(BOUND + 5)
    handed_in: list[int] = []

    def hand_in() -> None:
        for item in items:
            office.clerk.submit(item, word(item))
            handed_in.append(item.id)

    with office.clerk.at_work():
        office.nursery.start("upload-1", hand_in)
        time.sleep(0.1)  # until it waits
        assert len(handed_in) == BOUND
        office.nursery.start("receipts", office.clerk.run)
    deadline = time.monotonic() + 5
    while office.delivered() < len(items):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_answer_outlives_a_disk_that_refuses(office: Office, stop: PatientStop) -> None:
    """The receipt is tried again, every five seconds, at rest for the watchdog, until the disk takes it."""
    [item] = office.items(1)
    written = threading.Event()
    with ExitStack() as ends:
        other = office.lock(ends)

        def meanwhile() -> None:
            assert office.pulse.stalled(0.0) == []
            if len(stop.waits) == 50:
                other.execute("ROLLBACK")
                written.set()

        stop.meanwhile = meanwhile
        with office.clerk.at_work():
            office.clerk.submit(item, word(item))
            office.nursery.start("receipts", office.clerk.run)
            assert written.wait(5)
        stop.set()
        assert office.nursery.join(5) == []
    assert stop.waits == [5.0] * 50
    assert office.delivered() == 1


def test_i4_a_stop_ends_the_wait_for_the_disk(tmp_path: Path, clock: MovedClock) -> None:
    """An answer that cannot be written is let go at the end and not told as delivered: its item is sent again."""
    office = Office(tmp_path / "spool", clock, Stop())
    items = office.items(BOUND + 3)
    with ExitStack() as ends, capture_logs() as logs:
        ends.callback(office.spool.close)
        office.lock(ends)

        def hand_in() -> None:
            with office.clerk.at_work():
                for item in items:
                    office.clerk.submit(item, word(item))

        office.nursery.start("upload-1", hand_in)
        office.nursery.start("receipts", office.clerk.run)
        time.sleep(0.1)  # until both wait
        began = time.monotonic()
        office.stop.set()
        assert office.nursery.join(5) == []
        assert time.monotonic() - began < 1
    assert {entry["event"] for entry in logs} == {"settling_delayed"}
    with Spool(tmp_path / "spool", ROOMY, clock=clock, owner=True) as spool:
        assert spool.accounts()["cam-1"].waiting == len(items)


def test_damage_ends_the_clerk_and_nobody_waits_for_it(office: Office, stop: PatientStop) -> None:
    """A damaged index stops the agent for a restart to mend; an uploader with an answer in hand is not stuck."""
    items = office.items(BOUND + 3)
    index = office.spool.directory / "index.sqlite3"
    with closing(sqlite3.connect(index)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    with index.open("r+b") as file:
        file.seek(2048)
        file.write(b"\xff" * 2048 * (pages - 1))
    office.spool._commits._connection.execute("PRAGMA cache_size = 0")

    def hand_in() -> None:
        with office.clerk.at_work():
            for item in items:
                office.clerk.submit(item, word(item))

    office.nursery.start("upload-1", hand_in)
    with capture_logs():
        office.nursery.start("receipts", office.clerk.run)
        assert office.nursery.join(5) == []
    assert isinstance(office.nursery.failure, SpoolDamaged)
    assert stop.is_set()


def test_the_stage_rests_with_nothing_to_do(office: Office, clock: MovedClock) -> None:
    """An idle clerk is healthy for ever."""
    [item] = office.items(1)
    office.nursery.start("receipts", office.clerk.run)
    with office.clerk.at_work():
        office.clerk.submit(item, word(item))
        deadline = time.monotonic() + 5
        while office.pulse._beats.get(STAGE, 0.0) is not None or office.delivered() < 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        clock.advance(10**6)
        assert office.pulse.stalled(60) == []

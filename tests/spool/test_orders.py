from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from spool_rig import MovedClock, check, claim, deliver_all, draft, examine, kill, own, put, put_file, rows
from structlog.testing import capture_logs

from agent.errors import AgentError
from agent.frame import Receipt
from agent.spool import orders as orders_module
from agent.spool.budget import Limits
from agent.spool.discard import QUARANTINE_FULL
from agent.spool.orders import BY_HAND, Standing, beside, read_standing
from agent.spool.selection import Extent, Selection, extent, missing
from agent.spool.selection import rows as selected
from agent.spool.spool import Spool
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.frame import Item


@pytest.fixture
def spool(tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
    """Return a spool on the test's clock, as its owner has it."""
    with own(tmp_path / "spool", clock=clock) as opened:
        yield opened


@pytest.fixture
def other(spool: Spool, clock: MovedClock) -> Iterator[Spool]:
    """Return the same spool as another process has it."""
    with Spool(spool.directory, Limits(10**9, 0), clock=clock, owner=False) as opened:
        yield opened


def quarantine(spool: Spool, *data: bytes, source: str = "cam-1") -> list[Item]:
    """Put pictures in and set them aside."""
    put(spool, *(draft(one, source=source) for one in data))
    items = [claim(spool) for _ in data]
    for item in items:
        spool.outbox.quarantine(item, "refused")
    return items


def states(spool: Spool) -> list[tuple[int, str]]:
    """Return each item's number and state."""
    return rows(spool.directory, "SELECT id, state FROM item ORDER BY id")


def dropped(spool: Spool, source: str = "cam-1") -> dict[str, int]:
    """Return what a source's ledger says was dropped, by reason."""
    return spool.accounts()[source].dropped


class TestSelection:
    """Which items are meant."""

    @pytest.mark.parametrize(
        ("selection", "expected"),
        [
            (Selection(), [1, 2, 3, 4]),
            (Selection(ids=(1, 4, 99)), [1, 4]),
            (Selection(ids=()), []),
            (Selection(state="quarantined"), [1, 2]),
            (Selection(state="waiting"), [3, 4]),
            (Selection(source="b"), [2, 4]),
            (Selection(state="quarantined", source="b"), [2]),
            (Selection(upto=3), [1, 2, 3]),
            (Selection(source="'; DROP TABLE item; --"), []),
        ],
    )
    def test_it_means_what_it_says(self, spool: Spool, selection: Selection, expected: list[int]) -> None:
        """Every part restricts, and none is more than a value to SQLite."""
        quarantine(spool, b"1", source="a")
        quarantine(spool, b"2", source="b")
        put(spool, draft(b"3", source="a"), draft(b"4", source="b"))
        assert [row["id"] for row in selected(spool.reader, selection, limit=10)] == expected
        assert extent(spool.reader, selection).items == len(expected)

    @pytest.mark.parametrize("newest", [False, True])
    @pytest.mark.parametrize(("limit", "count"), [(1, 1), (3, 3), (4, 4), (5, 5), (7, 7), (100, 7)])
    def test_pages_join_without_a_seam(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch, limit: int, count: int, *, newest: bool
    ) -> None:
        """However long the list, each item comes once, in order, and no more than asked for."""
        monkeypatch.setattr("agent.spool.selection.PAGE", 2)
        put(spool, *(draft(bytes([number])) for number in range(7)))
        found = [row["id"] for row in selected(spool.reader, Selection(), limit=limit, newest=newest)]
        assert found == sorted(range(1, 8), reverse=newest)[:count]

    def test_its_extent_is_counted(self, spool: Spool) -> None:
        """Items, bytes, and the highest number; nothing is zero of each."""
        assert extent(spool.reader, Selection()) == Extent(0, 0, 0)
        put(spool, draft(b"abc"), draft(b"de"))
        assert extent(spool.reader, Selection()) == Extent(2, 5, 2)

    def test_numbers_that_nothing_has_are_named(self, spool: Spool) -> None:
        """A person hears which of the ids were wrong, each once."""
        put(spool, draft(b"a"))
        assert missing(spool.reader, (9, 1, 7, 9)) == [7, 9]


class TestRetry:
    """Quarantined items wait again; deferred ones are due."""

    def test_a_quarantined_item_waits_again(self, spool: Spool, other: Spool) -> None:
        """It leaves the quarantine in the ledger too, and keeps its count of attempts."""
        one, two = quarantine(spool, b"a", b"b")
        assert other.orders.retry(Selection(ids=(one.id,))).requeued == 1
        assert states(spool) == [(one.id, "waiting"), (two.id, "quarantined")]
        assert rows(spool.directory, "SELECT reason, attempts FROM item WHERE id = 1") == [(None, 1)]
        check(spool.directory)
        assert claim(spool).id == one.id

    def test_a_deferred_item_is_due_at_once(self, spool: Spool, other: Spool, clock: MovedClock) -> None:
        """Nobody who fixed the server has to wait for the back-off to end."""
        put(spool, draft(b"a"))
        spool.outbox.defer(claim(spool), clock.boot() + 3600)
        assert spool.outbox.claim() is None
        done = other.orders.retry(Selection())
        assert (done.requeued, done.hurried) == (0, 1)
        assert claim(spool).attempts == 1

    def test_what_is_no_picture_stays_aside(self, spool: Spool, clock: MovedClock) -> None:
        """An orphan that could not be read has nothing to send: a retry would only lose it."""
        orphan = spool.directory / "items/000000/cam-1-20260314T081502.417Z-7.jpg"
        orphan.parent.mkdir()
        orphan.write_bytes(b"broken")
        spool = kill(spool, lambda: own(spool.directory, clock=clock))
        spool.reconciler(examine).run(spool.directory / "items", Stop())
        done = spool.orders.retry(Selection())
        assert (done.requeued, done.unfit) == (0, 1)
        assert states(spool) == [(7, "quarantined")]
        assert spool.accounts()["cam-1"].quarantined == 1
        spool.close()


class TestDrop:
    """Items are given up by hand."""

    def test_waiting_and_quarantined_items_go_with_a_reason(self, spool: Spool, other: Spool) -> None:
        """The ledger stays exact whichever state they were in, and their files are gone."""
        aside = quarantine(spool, b"aa")[0]
        waits, stays = put(spool, draft(b"bbb"), draft(b"c"))
        done = other.orders.drop(Selection(ids=(aside.id, waits.id)))
        assert (done.items, done.size, done.left) == (2, 5, 0)
        assert states(spool) == [(stays.id, "waiting")]
        assert dropped(spool) == {BY_HAND: 2}
        assert not aside.path.exists()
        assert not waits.path.exists()
        assert rows(spool.directory, "SELECT * FROM leftover") == []
        check(spool.directory)

    def test_the_original_is_left_alone(self, spool: Spool, other: Spool, tmp_path: Path) -> None:
        """Not even `delete after delivery` holds for what was not delivered; its sidecar's link goes."""
        original, sidecar = tmp_path / "p.jpg", tmp_path / "p.txt"
        original.write_bytes(b"picture")
        sidecar.write_text("0 0.5 0.5 0.1 0.1")
        staged = put_file(spool, original, after="delete", sidecar=sidecar)
        other.orders.drop(Selection())
        assert original.read_bytes() == b"picture"
        assert sidecar.exists()
        assert original.stat().st_nlink == sidecar.stat().st_nlink == 1
        assert staged.beside is not None
        assert not staged.beside.exists()

    @pytest.mark.parametrize("ending", ["deliver", "drop", "defer", "quarantine", "release", "replace"])
    def test_an_item_under_way_may_go(self, spool: Spool, other: Spool, clock: MovedClock, ending: str) -> None:
        """However its upload ends then, there is no row to settle, and nothing is counted twice."""
        put(spool, draft(b"picture"), draft(b"next"))
        item = claim(spool)
        other.orders.drop(Selection(ids=(item.id,)))
        match ending:
            case "deliver":
                spool.outbox.deliver(item, Receipt(item.id, "delivered"))
            case "drop":
                spool.outbox.drop(item, "missing")
            case "defer":
                spool.outbox.defer(item, clock.boot() + 9)
            case "quarantine":
                spool.outbox.quarantine(item, "refused")
            case "release":
                spool.outbox.release(item, outcome_unknown=True)
            case _:
                spool.outbox.replace(item, b"less")
        assert dropped(spool) == {BY_HAND: 1}
        assert not item.path.exists()
        check(spool.directory)
        assert claim(spool).path.read_bytes() == b"next"

    def test_many_go_in_batches(self, spool: Spool, other: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        """The daemon's commits wait for a batch at most; what was not meant stays."""
        monkeypatch.setattr(orders_module, "BATCH", 3)
        put(spool, *(draft(bytes([number])) for number in range(8)))
        before = other.commits()
        assert other.orders.drop(Selection(upto=7)).items == 7
        assert other.commits() - before == 4
        assert states(spool) == [(8, "waiting")]
        assert len(list(spool.directory.glob("items/*/*"))) == 1
        assert rows(spool.directory, "SELECT * FROM leftover") == []
        check(spool.directory)

    def test_a_file_that_refuses_is_left_to_the_daemon(self, spool: Spool, other: Spool) -> None:
        """Record first: its row brings the daemon back to it, whatever keeps this process from it."""
        staged = put(spool, draft(b"a"))[0]
        staged.path.unlink()
        staged.path.mkdir()
        assert other.orders.drop(Selection()).left == 1
        assert rows(spool.directory, "SELECT item_id FROM leftover") == [(staged.id,)]
        staged.path.rmdir()
        spool.outbox.sweep()
        assert rows(spool.directory, "SELECT item_id FROM leftover") == []

    def test_a_file_that_is_not_to_be_seen_is_left_to_the_daemon(self, spool: Spool, other: Spool) -> None:
        """It may lie on a mount that only the service has."""
        put(spool, draft(b"a"))[0].path.unlink()
        assert other.orders.drop(Selection()).left == 1
        assert len(rows(spool.directory, "SELECT item_id FROM leftover")) == 1


class TestStanding:
    """Orders that hold until they are taken back."""

    def test_nothing_stands_at_first(self, spool: Spool) -> None:
        """A new spool is neither paused nor flushed."""
        assert read_standing(spool.reader) == Standing(None, 0)

    def test_a_pause_keeps_its_beginning(self, spool: Spool, other: Spool, clock: MovedClock) -> None:
        """Whoever pauses again is told since when; one resume ends it."""
        assert other.orders.pause(clock.wall()) == "2026-03-14T08:15:02.417Z"
        clock.advance(60)
        assert other.orders.pause(clock.wall()) == "2026-03-14T08:15:02.417Z"
        assert read_standing(spool.reader).paused_since == "2026-03-14T08:15:02.417Z"
        assert other.orders.resume()
        assert not other.orders.resume()
        assert read_standing(spool.reader) == Standing()

    def test_a_pause_outlives_the_daemon_and_a_salvage(self, spool: Spool, clock: MovedClock) -> None:
        """It is a row: a restart does not end it, nor does an index that had to be set aside."""
        spool.orders.pause(clock.wall())
        spool = kill(spool, lambda: own(spool.directory, clock=clock))
        assert read_standing(spool.reader).paused_since is not None
        spool.close()
        (spool.directory / "index.damaged").touch()
        with own(spool.directory, clock=clock) as again:
            assert again.salvaged
            assert read_standing(again.reader).paused_since is not None

    def test_a_flush_makes_all_due_and_is_counted(self, spool: Spool, other: Spool, clock: MovedClock) -> None:
        """The count tells the daemon that there was one more; quarantined items are not meant."""
        quarantine(spool, b"a")
        put(spool, draft(b"b"), draft(b"c"))
        spool.outbox.defer(claim(spool), clock.boot() + 3600)
        assert other.orders.flush() == 1
        assert other.orders.flush() == 0
        assert read_standing(spool.reader).flushes == 2
        assert deliver_all(spool) == 2
        assert spool.accounts()["cam-1"].quarantined == 1

    def test_the_owner_sees_that_something_changed(self, spool: Spool, other: Spool, clock: MovedClock) -> None:
        """That is how the daemon knows within a second, without reading anything."""
        before = spool.version()
        other.orders.pause(clock.wall())
        assert spool.version() != before


class TestQuarantineBound:
    """The quarantine has a bound of its own."""

    @pytest.fixture
    def small(self, tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
        """Return a spool whose quarantine holds three items."""
        with own(tmp_path / "small", clock=clock, limits=Limits(10**9, 0, quarantine_max_items=3)) as opened:
            yield opened

    def test_the_oldest_makes_room(self, small: Spool) -> None:
        """It is dropped with its reason in the commit that brings the new one, and its file goes."""
        first = quarantine(small, b"1", b"2", b"3")[0]
        put(small, draft(b"4"))
        item, before = claim(small), small.commits()
        with capture_logs() as logs:
            small.outbox.quarantine(item, "refused")
        assert small.commits() - before == 1
        assert [number for number, _ in states(small)] == [2, 3, 4]
        assert dropped(small) == {QUARANTINE_FULL: 1}
        assert not first.path.exists()
        assert [(log["event"], log["item"]) for log in logs] == [("item_quarantined", 4), ("item_dropped", 1)]
        check(small.directory)

    def test_the_newcomer_stays_even_if_it_is_the_oldest(self, small: Spool) -> None:
        """With newest first, what is refused last was captured first: the reason to look at is the fresh one."""
        put(small, *(draft(bytes([number])) for number in range(4)))
        items = [claim(small) for _ in range(4)]
        for item in reversed(items):
            small.outbox.quarantine(item, "refused")
        assert [number for number, _ in states(small)] == [1, 3, 4]
        check(small.directory)

    def test_a_lower_bound_holds_from_the_next_one_on(self, spool: Spool, clock: MovedClock) -> None:
        """Whoever makes it smaller loses the oldest, each with its reason."""
        quarantine(spool, *(bytes([number]) for number in range(6)))
        spool.close()
        with own(spool.directory, clock=clock, limits=Limits(10**9, 0, quarantine_max_items=2)) as again:
            quarantine(again, b"x")
            assert [number for number, _ in states(again)][:1] == [6]
            assert dropped(again) == {QUARANTINE_FULL: 5}
            check(again.directory)

    def test_it_holds_for_orphans_too(self, small: Spool, clock: MovedClock) -> None:
        """A folder full of broken pictures does not flood it."""
        folder = small.directory / "items/000000"
        folder.mkdir()
        for number in range(1, 6):
            (folder / f"cam-1-20260314T081502.417Z-{number}.jpg").write_bytes(b"broken %d" % number)
        again = kill(small, lambda: own(small.directory, clock=clock, limits=Limits(10**9, 0, quarantine_max_items=3)))
        again.reconciler(examine).run(small.directory / "items", Stop())
        again.outbox.sweep()
        assert len(states(again)) == len(list(folder.iterdir())) == 3
        assert dropped(again) == {QUARANTINE_FULL: 2}
        assert again.accounts()["cam-1"].quarantined == 3
        again.close()


class TestBeside:
    """A look from another process."""

    def test_no_spool_is_said_in_a_sentence(self, tmp_path: Path) -> None:
        """A command that only looks creates nothing."""
        with pytest.raises(AgentError, match=r"there is no queue at .*/none yet"), beside(tmp_path / "none"):
            pass
        assert not (tmp_path / "none").exists()

    def test_it_needs_no_lock(self, spool: Spool) -> None:
        """The owner goes on beside it."""
        put(spool, draft(b"a"))
        with beside(spool.directory) as reader:
            assert extent(reader, Selection()).items == 1
            put(spool, draft(b"b"))
            assert extent(reader, Selection()).items == 2

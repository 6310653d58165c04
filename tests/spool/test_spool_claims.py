from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from spool_rig import (
    MovedClock,
    check,
    claim,
    deliver_all,
    draft,
    examine,
    kill,
    own,
    put,
    rows,
)

from agent.clock import boot_id
from agent.errors import SpoolDamaged
from agent.frame import Item, Receipt
from agent.spool.claims import CURRENT_S, TOGETHER
from agent.spool.schema import INDEX
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.spool.spool import Spool


@pytest.fixture
def spool(tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
    """Return a spool on the test's clock."""
    with own(tmp_path / "spool", clock=clock) as opened:
        yield opened


def receipt(item: Item, result: str = "delivered") -> Receipt:
    """Return the platform's word for an item."""
    return Receipt(item.id, result, "img-1", "batch-1", "s3://key")


@pytest.mark.parametrize(("order", "expected"), [("oldest", [0, 1, 2, 3, 4, 5]), ("newest", [5, 4, 3, 2, 1, 0])])
def test_items_leave_in_the_order_that_was_asked_for(tmp_path: Path, order: str, expected: list[int]) -> None:
    """`oldest` is first come first served; `newest` keeps the present fresh behind a backlog."""
    with own(tmp_path / "spool", order=order) as spool:
        put(spool, *(draft(bytes([number])) for number in range(6)))
        assert [claim(spool).path.read_bytes()[0] for _ in range(6)] == expected
        assert spool.outbox.claim() is None


def test_newest_turns_to_what_has_just_come(tmp_path: Path) -> None:
    """A fresh picture is at most a few items away, however long the backlog is."""
    with own(tmp_path / "spool", order="newest") as spool:
        put(spool, *(draft(b"old") for _ in range(100)))
        claim(spool)
        put(spool, draft(b"fresh"))
        assert b"fresh" in [claim(spool).path.read_bytes() for _ in range(5)]


def test_each_item_is_claimed_by_one_thread_alone(spool: Spool) -> None:
    """However many uploaders claim at once, each item is in one hand, and none is forgotten."""
    put(spool, *(draft(str(number).encode()) for number in range(200)))
    nursery, lock, claimed = Nursery(Stop()), threading.Lock(), list[int]()

    def work() -> None:
        while (item := spool.outbox.claim()) is not None:
            with lock:
                claimed.append(item.id)
            if item.id % 3 == 0:
                spool.outbox.deliver(item, receipt(item))

    for number in range(8):
        nursery.start(f"uploader {number}", work)
    assert nursery.join(20) == []
    assert nursery.failure is None
    assert len(claimed) == len(set(claimed)) == 200
    check(spool.directory)


def test_an_item_put_forward_between_two_looks_is_claimed_once(spool: Spool) -> None:
    """Another process may make a deferred item ready while it is being looked for: seen twice, claimed once."""
    put(spool, draft(b"a"))
    item = claim(spool)
    spool.outbox.release(item)
    spool.outbox._claims._ahead.extend([item.id, item.id])
    assert claim(spool).id == item.id
    assert spool.outbox.claim() is None


def test_a_released_item_is_untouched(spool: Spool) -> None:
    """The link was at fault: no attempt is spent, and the item keeps its place."""
    put(spool, draft(b"a"), draft(b"b"))
    item = claim(spool)
    before = rows(spool.directory, "SELECT * FROM item")
    spool.outbox.release(item)
    assert rows(spool.directory, "SELECT * FROM item") == before
    assert claim(spool) == item


def test_an_unknown_outcome_is_remembered(tmp_path: Path, clock: MovedClock) -> None:
    """Bytes had left the device: the next attempt, after a kill too, knows that the item may be there already."""
    spool = own(tmp_path / "spool", clock=clock)
    put(spool, draft(b"a"))
    item = claim(spool)
    spool.outbox.release(item, outcome_unknown=True)
    with kill(spool, lambda: own(tmp_path / "spool", clock=clock)) as spool:
        again = claim(spool)
        assert again == item._replace(outcome_unknown=True)
        spool.outbox.release(again, outcome_unknown=True)
        spool.outbox.deliver(again := claim(spool), receipt(again))
        assert rows(spool.directory, "SELECT attempts, outcome_unknown FROM receipt") == [(1, 1)]


def test_a_deferred_item_comes_when_it_is_due(spool: Spool, clock: MovedClock) -> None:
    """It waits out its time on the boot clock, lets others pass, and then goes first, with its attempt counted."""
    put(spool, draft(b"a"), draft(b"b"))
    item = claim(spool)
    spool.outbox.defer(item, clock.boot() + 30)
    assert spool.outbox.next_due() == clock.boot() + 30
    other = claim(spool)
    assert other.id != item.id
    clock.advance(29.9)
    assert spool.outbox.claim() is None
    clock.advance(0.1)
    spool.outbox.release(other)
    assert claim(spool) == item._replace(attempts=1)


def test_deferring_may_spend_no_attempt(spool: Spool, clock: MovedClock) -> None:
    """Where no answer was definitive the item waits without being blamed."""
    put(spool, draft(b"a"))
    item = claim(spool)
    spool.outbox.defer(item, clock.boot() + 1, spend=False)
    clock.advance(1)
    assert claim(spool) == item


def test_a_wait_outlives_a_kill_in_the_same_boot(tmp_path: Path, clock: MovedClock) -> None:
    """A restart does not cut a wait short while the boot clock goes on."""
    spool = own(tmp_path / "spool", clock=clock)
    put(spool, draft(b"a"))
    spool.outbox.defer(claim(spool), clock.boot() + 30)
    with kill(spool, lambda: own(tmp_path / "spool", clock=clock)) as spool:
        assert spool.outbox.claim() is None
        assert spool.outbox.next_due() == clock.boot() + 30
        clock.advance(30)
        assert claim(spool).attempts == 1


def test_a_new_boot_forgets_waits_but_not_attempts(tmp_path: Path, clock: MovedClock) -> None:
    """The boot clock starts anew, so its figures mean nothing: what waited is due now."""
    with own(tmp_path / "spool", clock=clock) as spool:
        put(spool, draft(b"a"))
        spool.outbox.defer(claim(spool), clock.boot() + 3600)
    assert rows(tmp_path / "spool", "SELECT value FROM meta WHERE key = 'boot_id'") == [(boot_id(),)]
    rows(tmp_path / "spool", "UPDATE meta SET value = 'an earlier boot' WHERE key = 'boot_id'")
    with own(tmp_path / "spool", clock=clock) as spool:
        assert spool.outbox.next_due() is None
        assert claim(spool).attempts == 1


def test_attempts_count_on_for_ever(spool: Spool, clock: MovedClock) -> None:
    """A device that is refused for weeks reaches attempt 1024 and more, and the item is as good as on the first."""
    put(spool, draft(b"a"))
    for attempt in range(1030):
        item = claim(spool)
        assert item.attempts == attempt
        spool.outbox.defer(item, clock.boot() + 1)
        clock.advance(1)
    assert claim(spool).path.read_bytes() == b"a"
    check(spool.directory)


def test_what_is_in_somebodys_hand_is_not_announced_as_due(spool: Spool, clock: MovedClock) -> None:
    """Else an idle uploader would spin for as long as another one carries the item that is due."""
    put(spool, draft(b"a"), draft(b"b"))
    first, second = claim(spool), claim(spool)
    spool.outbox.defer(first, clock.boot() + 10)
    spool.outbox.defer(second, clock.boot() + 20)
    clock.advance(10)
    assert claim(spool).id == first.id
    assert spool.outbox.claim() is None
    assert spool.outbox.next_due() == clock.boot() + 10


def test_empty_means_that_nothing_waits_at_all(spool: Spool, clock: MovedClock) -> None:
    """Claimed and deferred items wait too; quarantined and delivered ones do not."""
    assert spool.outbox.empty()
    put(spool, draft(b"a"), draft(b"b"))
    first, second = claim(spool), claim(spool)
    assert not spool.outbox.empty()
    spool.outbox.quarantine(first, "refused")
    spool.outbox.defer(second, clock.boot() + 10)
    assert not spool.outbox.empty()
    clock.advance(10)
    assert deliver_all(spool) == 1
    assert spool.outbox.empty()


@pytest.mark.parametrize("nonsense", ["captured_at = 'yesterday'", "metadata = CAST(x'ff' AS TEXT)", "origin = '[]'"])
def test_a_row_that_makes_no_sense_is_damage(tmp_path: Path, nonsense: str) -> None:
    """It stops no uploader for ever: the next start reads what it can, and finds the picture without its row."""
    with own(tmp_path / "spool") as spool:
        put(spool, draft(b"a"), draft(b"b"))
    rows(tmp_path / "spool", f"UPDATE item SET {nonsense} WHERE id = 1")  # noqa: S608 (the test's own)
    with own(tmp_path / "spool") as spool, pytest.raises(SpoolDamaged, match="damaged"):
        spool.outbox.claim()
    with own(tmp_path / "spool") as spool:
        assert spool.salvaged
        assert spool.reconciler(examine).run(spool.directory / "items", Stop()) == 1
        assert {claim(spool).path.read_bytes(), claim(spool).path.read_bytes()} == {b"a", b"b"}
        check(spool.directory)


def test_settling_wakes_those_who_wait(spool: Spool, clock: MovedClock) -> None:
    """Every verdict rings the bell: what is free or due has changed."""
    put(spool, *(draft(b"x") for _ in range(5)))
    settle: list[Callable[[Item], None]] = [
        spool.outbox.release,
        lambda item: spool.outbox.defer(item, clock.boot() + 9),
        lambda item: spool.outbox.drop(item, "why"),
        lambda item: spool.outbox.quarantine(item, "why"),
        lambda item: spool.outbox.deliver(item, receipt(item)),
    ]
    for verdict in settle:
        item, heard = claim(spool), spool.arrived.rings()
        verdict(item)
        assert spool.arrived.rings() > heard


def test_the_other_end_is_taken_on_demand(tmp_path: Path, clock: MovedClock) -> None:
    """A probe takes the item that would come last, rather one that was never refused, and disturbs no order."""
    with own(tmp_path / "spool", clock=clock) as spool:
        put(spool, *(draft(bytes([number])) for number in range(4)))
        spool.outbox.defer(claim(spool), clock.boot() + 1)
        clock.advance(1)
        last = spool.outbox.claim(other_end=True)
        assert last is not None
        assert last.path.read_bytes() == b"\x03"
        assert [claim(spool).path.read_bytes() for _ in range(2)] == [b"\x01", b"\x02"]
        refused = spool.outbox.claim(other_end=True)
        assert refused is not None
        assert refused.attempts == 1
        assert spool.outbox.claim(other_end=True) is None
        assert spool.outbox.claim() is None


def test_ready_means_never_deferred(tmp_path: Path, clock: MovedClock) -> None:
    """What waits and was not put off is ready, in somebody's hand or not."""
    with own(tmp_path / "spool", clock=clock) as spool:
        assert not spool.outbox.has_ready()
        put(spool, draft(b"a"))
        item = claim(spool)
        assert spool.outbox.has_ready()
        spool.outbox.defer(item, clock.boot() + 1)
        assert not spool.outbox.has_ready()


def test_what_another_process_ended_is_not_handed_out(tmp_path: Path, clock: MovedClock) -> None:
    """Rows are read together for the next few claims, and anew after a moment."""
    with own(tmp_path / "spool", clock=clock) as spool:
        staged = put(spool, *(draft(bytes([number])) for number in range(4)))
        assert claim(spool).id == staged[0].id
        with closing(sqlite3.connect(tmp_path / "spool" / INDEX)) as other, other:
            other.execute("DELETE FROM item WHERE id IN (?, ?)", (staged[1].id, staged[2].id))
        clock.advance(CURRENT_S)
        assert claim(spool).id == staged[3].id
        assert spool.outbox.claim() is None


def test_what_was_changed_here_is_handed_out_as_it_is(tmp_path: Path, clock: MovedClock) -> None:
    """No row that was read before counts for an item that this process kept out of hands since."""
    with own(tmp_path / "spool", clock=clock) as spool:
        first, second, third = put(spool, *(draft(bytes([number])) for number in range(3)))
        assert claim(spool).id == first.id
        with spool.claims.withheld([second.id]):
            spool._commits.run(
                lambda connection: connection.execute("UPDATE item SET metadata = '{}' WHERE id = ?", (second.id,))
            )
        changed = claim(spool)
        assert (changed.id, changed.metadata) == (second.id, "{}")
        assert claim(spool).id == third.id


def test_a_backlog_is_claimed_with_few_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many wait, their rows are read so many at a time, and each item comes once, in its order."""
    with own(tmp_path / "spool") as spool:
        put(spool, *(draft(b"%d" % number) for number in range(100)))
        asked: list[str] = []
        one, every = spool.reader.one, spool.reader.all

        def ask_one(text: str, *values: object) -> sqlite3.Row | None:
            asked.append(text)
            return one(text, *values)

        def ask_all(text: str, *values: object) -> list[sqlite3.Row]:
            asked.append(text)
            return every(text, *values)

        monkeypatch.setattr(spool.reader, "one", ask_one)
        monkeypatch.setattr(spool.reader, "all", ask_all)
        found = [claim(spool).id for _ in range(100)]
        assert found == sorted(set(found))
        assert len(asked) < 100 / TOGETHER + 10

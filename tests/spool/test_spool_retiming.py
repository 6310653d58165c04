from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from spool_rig import check, claim, draft, own, put, rows

from agent.annotations.metadata import metadata_json, retimed
from agent.clock import Stamp, boot_id, utc_text
from agent.frame import Model, Receipt
from agent.spool import retiming
from agent.spool.schema import INDEX, VERSION
from agent.timekeeping import Timekeeping
from agent.workers import Stop

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FakeClock

    from agent.spool.records import Draft
    from agent.spool.spool import Spool

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
V1_COLUMNS = ("boot_id", "boot_s", "time_trusted")


def shot(
    data: bytes,
    boot_s: float | None,
    *,
    trusted: bool = False,
    boot: str | None = None,
    labelled: datetime | None = None,
) -> Draft:
    """Make a draft of a frame that was taken at `boot_s` by a clock that began at 1970."""
    captured_at = labelled or EPOCH + timedelta(seconds=boot_s or 0)
    metadata = metadata_json(source="cam-1", captured_at=captured_at, model=Model("m-1"), labels=None)
    stamp = Stamp(boot or boot_id(), boot_s, trusted)
    return draft(data)._replace(captured_at=captured_at, metadata=metadata, stamp=stamp)


def correct(spool: Spool, clock: FakeClock) -> int:
    """Look at the clock once, as the daemon does."""
    return Timekeeping(spool.retiming(retimed), clock=clock, stop=Stop()).look()


def times(directory: Path) -> list[str]:
    """Return the capture times of all items, in their order."""
    return [row[0] for row in rows(directory, "SELECT captured_at FROM item ORDER BY id")]


def test_a_time_of_a_wrong_clock_is_put_right(tmp_path: Path, clock: FakeClock) -> None:
    """Once the clock is right, time, file name and metadata of what waits say when it really was; the bytes stay."""
    with own(tmp_path, clock=clock) as spool:
        clock.is_trusted = False
        put(spool, shot(b"a", 940.0))
        assert correct(spool, clock) == 0
        clock.is_trusted = True
        assert correct(spool, clock) == 1
        item = claim(spool)
        true = clock.now - timedelta(seconds=60)
        assert item.captured_at == true
        assert item.filename == f"cam-1-20260314T081402.417Z-{item.id}.jpg"
        assert json.loads(item.metadata) == {"source": "cam-1", "timestamp": utc_text(true), "model_id": "m-1"}
        assert item.path.read_bytes() == b"a"
        spool.outbox.release(item)
        assert correct(spool, clock) == 0
        check(tmp_path)


def test_what_was_corrected_survives_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    """The row names the file under its old name, so a later start finds nothing strange."""
    with own(tmp_path, clock=clock) as spool:
        put(spool, shot(b"a", 940.0))
        assert correct(spool, clock) == 1
    with own(tmp_path, clock=clock) as spool:
        assert not spool.salvaged
        assert correct(spool, clock) == 0
        assert claim(spool).path.read_bytes() == b"a"


def spend(spool: Spool) -> None:
    """Have the server refuse an attempt."""
    spool.outbox.defer(claim(spool), 0.0)


def lose(spool: Spool) -> None:
    """Lose the answer to an attempt."""
    spool.outbox.release(claim(spool), outcome_unknown=True)


def shrink(spool: Spool) -> None:
    """Have the server find the picture too large."""
    spool.outbox.replace(claim(spool), b"smaller")


def refuse(spool: Spool) -> None:
    """Have the server refuse the picture."""
    spool.outbox.quarantine(claim(spool), "refused")


@pytest.mark.parametrize("attempt", [spend, lose, shrink, refuse, claim])
def test_what_a_server_may_have_seen_stays_as_it_is(tmp_path: Path, clock: FakeClock, attempt: object) -> None:
    """After an attempt, or in one, name and metadata are frozen: every attempt sends the same."""
    with own(tmp_path, clock=clock) as spool:
        put(spool, shot(b"a", 940.0))
        assert callable(attempt)
        attempt(spool)
        assert correct(spool, clock) == 0
        assert times(tmp_path) == ["1970-01-01T00:15:40.000Z"]


def test_a_claim_that_is_given_back_is_corrected_later(tmp_path: Path, clock: FakeClock) -> None:
    """An upload that never left the device leaves the picture as free as before."""
    with own(tmp_path, clock=clock) as spool:
        put(spool, shot(b"a", 940.0))
        item = claim(spool)
        assert correct(spool, clock) == 0
        spool.outbox.release(item)
        assert correct(spool, clock) == 1
        assert claim(spool).captured_at == clock.now - timedelta(seconds=60)


@pytest.mark.parametrize(
    "left",
    [
        shot(b"of an earlier boot", 940.0, boot="another"),
        shot(b"of a moment that is not known", None),
        shot(b"by a clock that was right", 940.0, trusted=True),
        draft(b"without a stamp"),
    ],
    ids=lambda one: one.body.decode(),
)
def test_what_cannot_be_known_is_left(tmp_path: Path, clock: FakeClock, left: Draft) -> None:
    """Nothing tells how wrong the clock of an earlier boot was; what a right clock said is right."""
    with own(tmp_path, clock=clock) as spool:
        put(spool, left)
        assert correct(spool, clock) == 0
        assert times(tmp_path) == [utc_text(left.captured_at)]


def test_a_clock_that_was_right_all_along_changes_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """Within a second it is no correction, and is not looked at again."""
    with own(tmp_path, clock=clock) as spool:
        labelled = clock.now - timedelta(seconds=60.9)
        put(spool, shot(b"a", 940.0, labelled=labelled))
        assert correct(spool, clock) == 0
        assert times(tmp_path) == [utc_text(labelled)]
        assert rows(tmp_path, "SELECT time_trusted FROM item") == [(1,)]


def test_a_backlog_is_corrected_in_bounded_batches(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction takes a few, so that no put waits long; at the end each has its own time, in order."""
    monkeypatch.setattr(retiming, "MISTIMED", retiming.MISTIMED.replace("LIMIT 200", "LIMIT 3"))
    monkeypatch.setattr(retiming, "BATCH", 3)
    with own(tmp_path, clock=clock) as spool:
        put(spool, *(shot(b"%d" % number, 900.0 + number) for number in range(8)))
        before = spool.commits()
        assert correct(spool, clock) == 8
        assert spool.commits() - before == 3
        assert times(tmp_path) == [utc_text(clock.now - timedelta(seconds=100 - number)) for number in range(8)]
        check(tmp_path)


def test_an_item_is_never_sent_half_corrected(tmp_path: Path, clock: FakeClock) -> None:
    """While a correction is under way its items are in no uploader's hand, and afterwards they are again."""
    with own(tmp_path, clock=clock) as spool:
        [staged] = put(spool, shot(b"a", 940.0))
        with spool.claims.withheld([staged.id]) as free:
            assert free == [staged.id]
            assert spool.outbox.claim() is None
        assert claim(spool).id == staged.id


def test_metadata_that_is_none_of_ours_is_left(tmp_path: Path, clock: FakeClock) -> None:
    """A row whose metadata has no time stays whole as it is, and stops no other."""
    with own(tmp_path, clock=clock) as spool:
        put(spool, shot(b"a", 940.0)._replace(metadata="[]"), shot(b"b", 940.0))
        assert correct(spool, clock) == 1
        assert times(tmp_path)[0].startswith("1970")


# The format before


def downgrade(directory: Path) -> None:
    """Make an index what an early release wrote: no columns for stamps and priorities, format 1."""
    with closing(sqlite3.connect(directory / INDEX)) as connection:
        connection.executescript(
            "DROP INDEX item_mistimed; DROP INDEX item_due; ALTER TABLE item DROP COLUMN priority;"
            "CREATE INDEX item_due ON item(not_before, id) WHERE state = 'waiting';"
            "ALTER TABLE known DROP COLUMN skipped; DROP TABLE chosen;"
        )
        for column in V1_COLUMNS:
            connection.execute(f"ALTER TABLE item DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 1")


def test_a_spool_of_the_format_before_keeps_everything(tmp_path: Path, clock: FakeClock) -> None:
    """It is brought to the new format in place: items, receipts and totals stay, and new items have stamps."""
    with own(tmp_path) as spool:
        put(spool, draft(b"a"), draft(b"b"))
        item = claim(spool)
        spool.outbox.deliver(item, Receipt(item.id, "delivered"))
        before = spool.accounts()
    downgrade(tmp_path)
    receipts = rows(tmp_path, "SELECT * FROM receipt")
    with own(tmp_path, clock=clock) as spool:
        assert not spool.salvaged
        assert spool.accounts() == before
        assert rows(tmp_path, "SELECT * FROM receipt") == receipts
        assert rows(tmp_path, "PRAGMA user_version") == [(VERSION,)]
        put(spool, shot(b"c", 940.0))
        assert correct(spool, clock) == 1
        assert claim(spool).path.read_bytes() == b"b"
        check(tmp_path)


def test_a_migration_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    """All of it or nothing: an index that is half migrated does not exist."""
    with own(tmp_path) as spool:
        put(spool, draft(b"a"))
    downgrade(tmp_path)
    rows(tmp_path, "CREATE TABLE item_mistimed(x)")  # in the way of the last step
    with pytest.raises(Exception, match="item_mistimed"):
        own(tmp_path)
    assert rows(tmp_path, "PRAGMA user_version") == [(1,)]
    assert rows(tmp_path, "SELECT count(*) FROM pragma_table_info('item') WHERE name = 'boot_id'") == [(0,)]
    rows(tmp_path, "DROP TABLE item_mistimed")
    with own(tmp_path) as spool:
        assert claim(spool).path.read_bytes() == b"a"
        assert not spool.salvaged

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from spool_rig import (
    ROOMY,
    MovedClock,
    adopted,
    check,
    claim,
    deliver_all,
    draft,
    examine,
    kill,
    origin_of,
    own,
    put,
    put_file,
    rows,
    sha,
)
from structlog.testing import capture_logs

from agent.clock import SystemClock
from agent.errors import SpoolFull
from agent.frame import Item, Receipt
from agent.spool.budget import Limits, Usage
from agent.spool.spool import Spool
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def spool(tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
    """Return a spool on the test's clock."""
    with own(tmp_path / "spool", clock=clock) as opened:
        yield opened


def receipt(item: Item, result: str = "delivered") -> Receipt:
    """Return the platform's word for an item."""
    return Receipt(item.id, result, "img-1", "batch-1", "s3://key")


def own_beside(spool: Spool) -> Spool:
    """Open the same spool as a command does beside the daemon."""
    return Spool(spool.directory, ROOMY, clock=SystemClock(), owner=False)


def stored(spool: Spool, item: Item, column: str) -> object:
    """Return what the index holds of an item, None where it is gone."""
    found = rows(spool.directory, f"SELECT {column} FROM item WHERE id = ?", item.id)  # noqa: S608 (a name of the test's own)
    return found[0][0] if found else None


def test_a_delivered_item_leaves_a_receipt_and_nothing_else(spool: Spool, tmp_path: Path) -> None:
    """The receipt holds what proves the delivery; files, row and the original that was to be deleted are gone."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "a.txt").write_text("0 .5 .5 1 1")
    put_file(spool, tmp_path / "a.jpg", after="delete", sidecar=tmp_path / "a.txt")
    item = claim(spool)
    spool.outbox.deliver(item, receipt(item))
    columns = "item_id, source, filename, size, sha256, result, image_id, attempts, delivered_at, origin"
    proof = (item.id, "door", item.filename, 7, sha(b"picture"), "delivered", "img-1", 1)
    assert rows(spool.directory, f"SELECT {columns} FROM receipt") == [  # noqa: S608 (names of the test's own)
        (*proof, "2026-03-14T08:15:02.417Z", str(tmp_path / "a.jpg").encode())
    ]
    assert stored(spool, item, "id") is None
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]
    assert not item.path.exists()
    assert item.beside is not None
    assert not item.beside.exists()
    assert spool.accounts()["door"].delivered == 1


def test_deliveries_that_come_together_share_a_commit(spool: Spool) -> None:
    """Each gets its receipt and its books in one transaction; one that was dropped meanwhile harms no other."""
    put(spool, *(draft(bytes([number])) for number in range(4)))
    items = [claim(spool) for _ in range(4)]
    with own_beside(spool) as other:
        other.outbox.drop(items[1], "by hand")
    before = spool.commits()
    spool.outbox.deliver_all([(item, receipt(item)) for item in items])
    assert spool.commits() == before + 1
    assert [number for (number,) in rows(spool.directory, "SELECT item_id FROM receipt")] == [
        items[0].id,
        items[2].id,
        items[3].id,
    ]
    assert not any(item.path.exists() for item in items)
    assert spool.accounts()["cam-1"].dropped == {"by hand": 1}
    check(spool.directory)


def test_a_duplicate_is_a_delivery_that_is_counted_as_such(spool: Spool) -> None:
    """The platform had it already: the item has arrived all the same."""
    put(spool, draft(b"a"))
    item = claim(spool)
    spool.outbox.deliver(item, receipt(item, "duplicate"))
    account = spool.accounts()["cam-1"]
    assert (account.delivered, account.duplicates, account.waiting) == (1, 1, 0)


def test_i1_the_receipt_is_durable_before_anything_is_removed(spool: Spool, tmp_path: Path) -> None:
    """While the commit has not returned, picture, sidecar and original are all there."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    put_file(spool, tmp_path / "a.jpg", after="delete")
    item = claim(spool)
    seen: list[tuple[bool, bool]] = []

    def watch(statement: str) -> None:
        if statement == "COMMIT":
            seen.append((item.path.exists(), (tmp_path / "a.jpg").exists()))

    spool._commits._connection.set_trace_callback(watch)
    spool.outbox.deliver(item, receipt(item))
    spool._commits._connection.set_trace_callback(None)
    assert seen == [(True, True), (False, False)]  # the second one forgets the original, which is gone by then


def test_a_delivery_that_was_cut_off_is_finished_by_the_next_sweep(tmp_path: Path) -> None:
    """The row in `leftover` brings back what was recorded and not removed, and is forgotten when all is gone."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "a.txt").write_text("0 .5 .5 1 1")
    spool = own(tmp_path / "spool")
    put_file(spool, tmp_path / "a.jpg", after="delete", sidecar=tmp_path / "a.txt")
    item = claim(spool)
    spool.outbox._sweep = lambda *_: None  # type: ignore[method-assign]  # dies between record and removal
    spool.outbox.deliver(item, receipt(item))
    with kill(spool, lambda: own(tmp_path / "spool")) as spool:
        assert spool.outbox.claim() is None
        assert (tmp_path / "a.jpg").exists()
        assert spool.outbox.sweep() == 1
        assert [path.name for path in tmp_path.iterdir()] == ["spool"]
        assert not item.path.exists()
        assert spool.outbox.sweep() == 0


def test_a_swept_row_costs_one_look_after_a_kill(tmp_path: Path) -> None:
    """What was removed rides on the next commit; a kill before that repeats a removal, and harms nothing."""
    spool = own(tmp_path / "spool")
    put(spool, draft(b"a"), draft(b"b"))
    item = claim(spool)
    spool.outbox.deliver(item, receipt(item))
    with kill(spool, lambda: own(tmp_path / "spool")) as spool:
        assert spool.outbox.sweep() == 1
        assert spool.outbox.sweep() == 0
        assert deliver_all(spool) == 1
        check(spool.directory)


def test_an_original_that_refuses_to_go_does_not_keep_the_spools_bytes(spool: Spool, tmp_path: Path) -> None:
    """Only the original waits for the next sweep; uncounted copies would fill the disk (I5)."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "done").write_bytes(b"no folder")
    put_file(spool, tmp_path / "a.jpg", after="move", move_to=tmp_path / "done", copy=True)
    item = claim(spool)
    with capture_logs() as logs:
        spool.outbox.deliver(item, receipt(item))
    assert [entry["event"] for entry in logs] == ["removal_failed"]
    assert not item.path.exists()
    assert spool.accounts()["door"].delivered == 1
    (tmp_path / "done").unlink()
    assert spool.outbox.sweep() == 1
    assert (tmp_path / "done/a.jpg").read_bytes() == b"picture"
    assert spool.outbox.sweep() == 0


def test_i2_a_dropped_item_has_its_reason_and_leaves_the_original(spool: Spool, tmp_path: Path) -> None:
    """What is given up is counted under its reason; the user's file is not touched."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    put_file(spool, tmp_path / "a.jpg", after="delete")
    item = claim(spool)
    spool.outbox.drop(item, "changed")
    assert (tmp_path / "a.jpg").exists()
    assert not item.path.exists()
    assert spool.accounts()["door"].dropped == {"changed": 1}
    check(spool.directory)


def test_a_quarantined_item_keeps_its_bytes_and_its_reason(spool: Spool) -> None:
    """It waits for a person: not sent, not lost, counted on its own."""
    put(spool, draft(b"a"))
    item = claim(spool)
    spool.outbox.quarantine(item, "refused as invalid")
    assert spool.outbox.claim() is None
    assert stored(spool, item, "reason") == "refused as invalid"
    assert item.path.read_bytes() == b"a"
    account = spool.accounts()["cam-1"]
    assert (account.quarantined, account.waiting, account.held_bytes) == (1, 0, 1)
    check(spool.directory)


def test_i2_a_quarantine_counts_once(spool: Spool) -> None:
    """A verdict that is carried out again, because its answer was lost, changes nothing."""
    put(spool, draft(b"a"))
    item = claim(spool)
    spool.outbox.quarantine(item, "refused")
    spool.outbox.quarantine(item, "refused again")
    assert stored(spool, item, "reason") == "refused"
    check(spool.directory)


def test_a_quarantined_item_can_wait_again(spool: Spool) -> None:
    """Put back, it is due at once, once, and the books are as before; ids that are not quarantined are ignored."""
    put(spool, draft(b"a"), draft(b"b"))
    item = claim(spool)
    spool.outbox.quarantine(item, "refused")
    spool.outbox.requeue([item.id, item.id, 999])
    assert stored(spool, item, "reason") is None
    assert {claim(spool).id, claim(spool).id} == {item.id, item.id + 1}
    assert spool.accounts()["cam-1"].quarantined == 0
    check(spool.directory)


def test_i1_i2_an_item_that_another_process_dropped_is_not_settled_twice(spool: Spool, tmp_path: Path) -> None:
    """A delivery that comes too late changes neither the books nor the original: there is no receipt for it."""
    verdicts: list[Callable[[Item], None]] = [
        lambda item: spool.outbox.deliver(item, receipt(item)),
        lambda item: spool.outbox.drop(item, "late"),
        lambda item: spool.outbox.quarantine(item, "late"),
        lambda item: spool.outbox.replace(item, b"smaller"),
    ]
    for settle in verdicts:
        (tmp_path / "a.jpg").write_bytes(b"picture")
        put_file(spool, tmp_path / "a.jpg", after="delete")
        item = claim(spool)
        with own_beside(spool) as other:
            other.outbox.drop(item, "by hand")
        books = spool.accounts()
        with capture_logs() as logs:
            settle(item)
        assert (tmp_path / "a.jpg").read_bytes() == b"picture"
        assert spool.accounts() == books
        assert logs == []
        check(spool.directory)
    assert books["door"].dropped == {"by hand": len(verdicts)}
    assert [path for path in (spool.directory / "items").rglob("*") if path.is_file()] == []


def test_a_smaller_picture_takes_the_place_of_a_large_one(spool: Spool, tmp_path: Path) -> None:
    """The item goes on with the smaller bytes under its own number; the original is untouched until its receipt."""
    (tmp_path / "a.png").write_bytes(b"a large picture")
    put_file(spool, tmp_path / "a.png", after="delete")
    item = claim(spool)
    spool.outbox.replace(item, b"small")
    again = claim(spool)
    assert (again.id, again.path.read_bytes(), again.size, again.reencoded) == (item.id, b"small", 5, True)
    assert (again.filename, again.media_type) == (item.filename, "image/jpeg")
    assert not item.path.exists()
    assert (tmp_path / "a.png").read_bytes() == b"a large picture"
    assert spool.usage().spool_bytes == 5
    check(spool.directory)
    spool.outbox.deliver(again, receipt(again))
    assert not (tmp_path / "a.png").exists()
    check(spool.directory)


def test_a_picture_beside_its_original_can_be_made_smaller(spool: Spool, tmp_path: Path) -> None:
    """The smaller bytes are the spool's own: they lie on its shelf, also where the link lay on another mount."""
    memory = Path("/dev/shm")  # noqa: S108 (the one other mount that every Linux has)
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no file system in memory here")
    with tempfile.TemporaryDirectory(dir=memory) as name:
        (Path(name) / "a.jpg").write_bytes(b"a large picture")
        put_file(spool, Path(name) / "a.jpg", hidden=Path(name) / ".acusight-agent")
        item = claim(spool)
        assert item.path.is_relative_to(name)
        spool.outbox.replace(item, b"small")
        assert not item.path.exists()
        assert claim(spool).path.parent == spool.directory / "items/000000"
        check(spool.directory)


def test_a_shrinking_that_was_cut_off_leaves_one_picture(tmp_path: Path) -> None:
    """Killed before its commit the large one is the item, behind it the small one; what is superseded goes."""
    spool = own(tmp_path / "spool")
    put(spool, draft(b"before"), draft(b"behind"))
    before, behind = claim(spool), claim(spool)
    shelf = before.path.parent
    (shelf / f"{before.path.stem}.small.jpg").write_bytes(b"never committed")
    large = behind.path.read_bytes()
    spool.outbox.replace(behind, b"small")
    behind.path.write_bytes(large)
    with kill(spool, lambda: own(tmp_path / "spool")) as spool:
        assert spool.reconciler(examine).run(spool.directory / "items", Stop()) == 0
        assert {claim(spool).path.read_bytes(), claim(spool).path.read_bytes()} == {b"before", b"small"}
        assert not behind.path.exists()
        check(spool.directory)


def test_i1_a_file_replaced_during_its_upload_is_not_deleted(spool: Spool, tmp_path: Path) -> None:
    """Delivery deletes the very file that was delivered, never what has its name now."""
    path = tmp_path / "latest.jpg"
    path.write_bytes(b"first")
    with adopted(path, after="delete") as one:
        put(spool, one)
    item = claim(spool)
    (tmp_path / "incoming").write_bytes(b"second")
    (tmp_path / "incoming").rename(path)
    assert origin_of(path) != item.origin
    spool.outbox.deliver(item, receipt(item))
    assert path.read_bytes() == b"second"


def test_receipts_of_long_ago_are_forgotten(spool: Spool) -> None:
    """What was delivered before a moment goes, what came at it or later stays, and the totals do."""
    put(spool, *(draft(bytes([number])) for number in range(3)))
    deliver_all(spool)
    rows(spool.directory, "UPDATE receipt SET delivered_at = '2025-01-01T00:00:00.000Z' WHERE sha256 = ?", sha(b"\0"))
    spool.outbox.expire(datetime(2025, 1, 1, tzinfo=UTC))
    assert len(rows(spool.directory, "SELECT 1 FROM receipt")) == 3
    spool.outbox.expire(datetime(2025, 1, 2, tzinfo=UTC))
    assert len(rows(spool.directory, "SELECT 1 FROM receipt")) == 2
    assert spool.accounts()["cam-1"].delivered == 3


def test_the_newest_receipts_are_kept(spool: Spool) -> None:
    """Old receipts go, by their order and whatever gaps their numbers have; the totals stay."""
    put(spool, *(draft(bytes([number])) for number in range(5)))
    deliver_all(spool)
    rows(spool.directory, "UPDATE receipt SET item_id = item_id + 1000000000 WHERE item_id > 3")
    spool.outbox.prune(3)
    assert rows(spool.directory, "SELECT sha256 FROM receipt ORDER BY item_id") == [
        (sha(bytes([n])),) for n in (2, 3, 4)
    ]
    spool.outbox.prune(3)
    assert spool.accounts()["cam-1"].delivered == 5
    assert len(rows(spool.directory, "SELECT 1 FROM receipt")) == 3


def test_i5_a_smaller_copy_respects_the_floor_not_the_cap(tmp_path: Path) -> None:
    """A full spool can still make an item smaller; a full disk cannot, and the item is as it was."""
    with own(tmp_path / "spool", limits=Limits(5, 1_000_000)) as spool:
        put(spool, draft(b"large"))
        item = claim(spool)
        spool.allowance._measure = lambda: Usage(0, 1_000_000)
        with pytest.raises(SpoolFull):
            spool.outbox.replace(item, b"tiny")
        assert item.path.read_bytes() == b"large"
        spool.allowance._measure = lambda: Usage(0, 2_000_000)
        spool.outbox.replace(item, b"tiny")
        assert claim(spool).path.read_bytes() == b"tiny"
        check(spool.directory)

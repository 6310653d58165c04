"""What a power cut brings back: removals are not flushed, so for a while they can be undone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from spool_rig import adopted, check, claim, deliver_all, draft, examine, kill, origin_of, own, put, rows

from agent.frame import Receipt
from agent.spool.leftovers import WRITTEN_S
from agent.spool.origin import finish
from agent.workers import Stop

if TYPE_CHECKING:
    from pathlib import Path

    from spool_rig import MovedClock

    from agent.spool.spool import Spool


def start_again(spool: Spool) -> Spool:
    """Reopen a spool as after a power cut, and tidy it as a daemon does."""
    again = kill(spool, lambda: own(spool.directory))
    again.reconciler(examine).run(again.directory / "items", Stop())
    again.outbox.sweep()
    return again


def test_a_dropped_picture_that_comes_back_is_not_sent(tmp_path: Path) -> None:
    """Its row outlives the commits that follow, so that its file does not pass for one that was never put."""
    spool = own(tmp_path / "spool")
    staged = put(spool, draft(b"dropped"))[0]
    kept = shutil.copy(staged.path, tmp_path / "kept")
    spool.outbox.drop(claim(spool), "why")
    put(spool, draft(b"a later one"))
    deliver_all(spool)
    shutil.move(kept, staged.path)
    with start_again(spool) as spool:
        assert not staged.path.exists()
        assert spool.outbox.empty()
        assert spool.accounts()["cam-1"].captured == 2
        check(spool.directory)


def test_a_delivered_original_that_comes_back_is_removed_again(tmp_path: Path) -> None:
    """It is the very file that was delivered, and its owner said that it goes."""
    original = tmp_path / "a.jpg"
    original.write_bytes(b"picture")
    kept = tmp_path / "kept"
    kept.hardlink_to(original)
    spool = own(tmp_path / "spool")
    with adopted(original, after="delete") as one:
        put(spool, one)
    deliver_all(spool)
    put(spool, draft(b"a later one"))
    deliver_all(spool)
    assert not original.exists()
    kept.rename(original)
    with start_again(spool):
        assert not original.exists()


def test_what_is_gone_for_good_is_forgotten(tmp_path: Path, clock: MovedClock) -> None:
    """A minute later the file system has written the removal, and the next commit takes the row along."""
    with own(tmp_path / "spool", clock=clock) as spool:
        for data in (b"a", b"b"):
            put(spool, draft(data))
            deliver_all(spool)
        assert len(rows(spool.directory, "SELECT * FROM leftover")) == 2
        clock.advance(WRITTEN_S)
        put(spool, draft(b"c"))
        last = claim(spool)
        spool.outbox.deliver(last, Receipt(last.id, "delivered"))
        assert rows(spool.directory, "SELECT item_id FROM leftover") == [(last.id,)]


def test_a_file_taken_aside_is_not_mistaken_for_an_earlier_one(tmp_path: Path) -> None:
    """Inode numbers are used again: the file aside belongs to the later picture, and keeps to its own name."""
    path = tmp_path / "later.jpg"
    path.write_bytes(b"later picture")
    later = origin_of(path)
    aside = tmp_path / f".acusight-agent-{later.inode}-{later.mtime_ns}"
    path.rename(aside)
    aside.with_name("earlier.jpg").write_bytes(b"earlier")
    earlier = origin_of(tmp_path / "earlier.jpg")
    (tmp_path / "earlier.jpg").unlink()
    assert not finish(
        type(earlier)(earlier.pathname, later.inode, earlier.size, earlier.mtime_ns, "delete", None, None)
    )
    assert [found.name for found in tmp_path.iterdir()] == [aside.name]
    assert finish(later)
    assert list(tmp_path.iterdir()) == []

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from spool_rig import ROOMY, adopted, check, claim, deliver_all, draft, own, put, put_file

from agent.clock import SystemClock
from agent.errors import SpoolFull, SpoolUnavailable, Wait
from agent.frame import Position
from agent.spool.budget import OVERHEAD_BYTES, Limits, Usage
from agent.spool.filenames import parse_filename
from agent.spool.inbox import SEQUENCE_BLOCK
from agent.spool.records import Mark
from agent.spool.schema import INDEX
from agent.spool.spool import Spool
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Return a spool with plenty of room."""
    with own(tmp_path / "spool") as opened:
        yield opened


def files(spool: Spool) -> list[Path]:
    """Return every file on the shelf."""
    return sorted(path for path in (spool.directory / "items").rglob("*") if path.is_file())


def test_a_put_picture_is_an_item_with_all_that_was_frozen(spool: Spool) -> None:
    """Bytes, filename and metadata come out as they went in, and the ledger has it."""
    staged = put(spool, draft(b"picture"))[0]
    item = claim(spool)
    assert item.path.read_bytes() == b"picture"
    assert (item.filename, item.metadata) == (staged.filename, '{"source": "cam-1"}')
    assert parse_filename(item.filename) == ("cam-1", item.captured_at, item.id)
    assert spool.accounts()["cam-1"].captured == 1
    assert spool.usage().spool_bytes == 7


def test_a_staged_picture_is_no_item_yet(spool: Spool) -> None:
    """Before its commit a picture waits for nobody; taken back, nothing of it stays."""
    staged = spool.inbox.stage(draft(b"picture"))
    assert spool.outbox.claim() is None
    spool.inbox.abandon(staged)
    assert files(spool) == []
    assert spool.allowance.bytes_set_aside == 0
    assert spool.accounts() == {}


def test_i1_an_abandoned_original_is_untouched(spool: Spool, tmp_path: Path) -> None:
    """Taking a staged file back removes its link, not the file."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "a.txt").write_bytes(b"0 .5 .5 1 1")
    with adopted(tmp_path / "a.jpg", after="delete", sidecar=tmp_path / "a.txt") as one:
        spool.inbox.abandon(spool.inbox.stage(one))
    assert (tmp_path / "a.jpg").read_bytes() == b"picture"
    assert (tmp_path / "a.txt").exists()
    assert files(spool) == []


def test_an_arrival_rings(spool: Spool) -> None:
    """Uploaders are woken by a commit, not by a stage."""
    heard = spool.arrived.rings()
    staged = spool.inbox.stage(draft(b"picture"))
    assert spool.arrived.rings() == heard
    spool.inbox.commit([staged])
    assert spool.arrived.rings() == heard + 1
    spool.inbox.commit([])
    assert spool.arrived.rings() == heard + 1


def test_i5_the_cap_holds_for_what_is_staged_and_what_is_put(tmp_path: Path) -> None:
    """What others are just writing counts as written; delivered bytes make room again."""
    with own(tmp_path / "spool", limits=Limits(100, 0)) as spool:
        first = spool.inbox.stage(draft(b"x" * 60))
        with pytest.raises(SpoolFull, match="max_bytes"):
            spool.inbox.stage(draft(b"x" * 41))
        second = spool.inbox.stage(draft(b"x" * 40))
        spool.inbox.commit([first, second])
        with pytest.raises(SpoolFull):
            spool.inbox.stage(draft(b"x"))
        deliver_all(spool)
        put(spool, draft(b"x" * 100))
        check(spool.directory)


def test_i5_the_floor_counts_what_is_being_written(tmp_path: Path) -> None:
    """Two threads that look at the same free bytes do not both take them."""
    with own(tmp_path / "spool", limits=Limits(10**9, 1000)) as spool:
        spool.allowance._measure = lambda: Usage(0, 1000 + OVERHEAD_BYTES + 100)
        first = spool.inbox.stage(draft(b"x" * 60))
        with pytest.raises(SpoolFull, match="min_free_bytes"):
            spool.inbox.stage(draft(b"x" * 41))
        spool.inbox.abandon(first)
        spool.inbox.abandon(spool.inbox.stage(draft(b"x" * 100)))


def test_i5_the_cap_holds_against_many_threads(tmp_path: Path) -> None:
    """However many put at once, together they stay under the cap, and every refusal leaves nothing."""
    nursery, lock, kept = Nursery(Stop()), threading.Lock(), 0
    with own(tmp_path / "spool", limits=Limits(1000, 0)) as spool:

        def work() -> None:
            nonlocal kept
            for _ in range(10):
                with suppress(SpoolFull):
                    put(spool, draft(b"x" * 90))
                    with lock:
                        kept += 1

        for number in range(6):
            nursery.start(f"putter {number}", work)
        assert nursery.join(20) == []
        assert (kept, nursery.failure) == (11, None)
        assert len(files(spool)) == kept
        assert spool.allowance.bytes_set_aside == 0
        check(spool.directory)


def test_i5_two_processes_share_the_cap(tmp_path: Path) -> None:
    """What another process put since the first look is seen inside the transaction: all of the batch is refused."""
    with own(tmp_path / "spool", limits=Limits(100, 0)) as spool:
        staged = spool.inbox.stage(draft(b"x" * 60))
        with beside(spool) as other:
            put(other, draft(b"y" * 50, source="by hand"))
        with pytest.raises(SpoolFull):
            spool.inbox.commit([staged])
        assert spool.usage().spool_bytes == 50
        deliver_all(spool)
        put(spool, draft(b"z" * 100))
        assert len(files(spool)) == 1
        check(spool.directory)


def test_numbers_come_in_blocks_that_no_two_processes_share(spool: Spool) -> None:
    """Two processes that put in turns never give one number twice, and a block costs one commit."""
    with beside(spool) as other:
        before = spool.commits()
        mine = [spool.inbox.stage(draft(b"x")) for _ in range(SEQUENCE_BLOCK)]
        assert spool.commits() == before + 1
        theirs = [other.inbox.stage(draft(b"y")) for _ in range(10)]
        mine += [spool.inbox.stage(draft(b"x")) for _ in range(10)]
        numbers = [one.id for one in (*mine, *theirs)]
        assert len(set(numbers)) == len(numbers)
        spool.inbox.commit(mine)
        other.inbox.commit(theirs)
    check(spool.directory)


def test_a_real_second_process_gets_numbers_of_its_own(tmp_path: Path) -> None:
    """A forked process and this one put at the same time; every item is there once."""
    own(tmp_path / "spool").close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with Spool(tmp_path / "spool", ROOMY, clock=SystemClock(), owner=False) as other:
                for _ in range(100):
                    put(other, draft(b"child", source="child"))
            code = 0
        finally:
            os._exit(code)
    with Spool(tmp_path / "spool", ROOMY, clock=SystemClock(), owner=False) as spool:
        for _ in range(100):
            put(spool, draft(b"parent", source="parent"))
        assert os.waitpid(child, 0)[1] == 0
        assert {source: account.waiting for source, account in spool.accounts().items()} == {
            "child": 100,
            "parent": 100,
        }
    check(tmp_path / "spool")


def test_a_first_put_beside_no_owner_makes_the_folders(tmp_path: Path) -> None:
    """`upload FILE` before any daemon ran finds a spool to write into, also where it has to copy."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    with Spool(tmp_path / "spool", ROOMY, clock=SystemClock(), owner=False) as spool:
        put(spool, draft(b"bytes"))
        put_file(spool, tmp_path / "a.jpg", copy=True)
    check(tmp_path / "spool")


def test_a_batch_is_put_whole_or_not_at_all(tmp_path: Path) -> None:
    """One picture too many keeps all of its batch out."""
    with own(tmp_path / "spool", limits=Limits(100, 0)) as spool:
        batch = [spool.inbox.stage(draft(b"x" * 30)), spool.inbox.stage(draft(b"y" * 30))]
        with beside(spool) as other:
            put(other, draft(b"z" * 50))
        with pytest.raises(SpoolFull):
            spool.inbox.commit(batch)
        assert claim(spool).size == 50
        assert spool.outbox.claim() is None


def test_a_failed_commit_keeps_its_files_until_the_next_one_holds(tmp_path: Path) -> None:
    """The rows may still come back with the journal, so the files outlive them; their bytes count until they go."""
    with own(tmp_path / "spool", limits=Limits(100, 0)) as spool:
        staged = spool.inbox.stage(draft(b"x" * 80))
        with locked(spool), pytest.raises(SpoolUnavailable, match="locked"):
            spool.inbox.commit([staged])
        assert files(spool) == [staged.path]
        assert spool.allowance.bytes_set_aside == 80
        after = put(spool, draft(b"y" * 90))[0]
        assert files(spool) == [after.path]
        assert spool.allowance.bytes_set_aside == 0
        check(spool.directory)


def test_a_failed_batch_cannot_be_committed_again(spool: Spool) -> None:
    """Its files may be gone by then: a second try is refused, and never makes an item without a picture."""
    staged = spool.inbox.stage(draft(b"picture"))
    with locked(spool), pytest.raises(SpoolUnavailable):
        spool.inbox.commit([staged])
    with pytest.raises(Wait, match="staged again"):
        spool.inbox.commit([staged])
    put(spool, draft(b"another"))
    with pytest.raises(Wait, match="staged again"):
        spool.inbox.commit([staged])
    spool.inbox.abandon(staged)
    assert spool.allowance.bytes_set_aside == 0
    assert spool.accounts()["cam-1"].captured == 1
    check(spool.directory)


def test_an_index_that_is_locked_refuses_without_filling_the_disk(spool: Spool) -> None:
    """While no commit holds, each try fails before it writes another picture."""
    spool.inbox.abandon(spool.inbox.stage(draft(b"to have numbers")))
    with locked(spool):
        for _ in range(5):
            with pytest.raises(SpoolUnavailable, match="locked"):
                put(spool, draft(b"picture"))
        assert len(files(spool)) == 1
    put(spool, draft(b"picture"))
    assert len(files(spool)) == 1
    check(spool.directory)


def test_a_watched_file_is_known_once_it_is_an_item(spool: Spool, tmp_path: Path) -> None:
    """The mark commits with the item: by name, and by inode for a file that was renamed."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    with adopted(tmp_path / "a.jpg") as one:
        assert one.mark is not None
        staged = spool.inbox.stage(one)
        assert spool.history.known("door", ["a.jpg"]) == {}
        spool.inbox.commit([staged])
        known = spool.history.known("door", ["a.jpg", "b.jpg"])
    mark = one.mark
    assert list(known) == ["a.jpg"]
    assert known["a.jpg"].is_at(mark.inode, mark.size, mark.mtime_ns)
    file, later = (mark.inode, mark.size, mark.mtime_ns), (mark.inode, mark.size, mark.mtime_ns + 1)
    assert spool.history.known_files("door", [later, file]) == {file: one.sha256}
    assert spool.history.known_files("gate", [file]) == {}
    assert spool.history.known_files("door", []) == {}
    spool.history.forget("door", ["a.jpg"])
    assert spool.history.known("door", ["a.jpg"]) == {}


@pytest.mark.parametrize("inode", [1, 2**63 - 1, 2**63, 2**64 - 1])
def test_any_name_and_any_inode_can_be_marked(spool: Spool, inode: int) -> None:
    """Names that are no UTF-8, and inodes that use all 64 bits (FUSE), are remembered."""
    name = os.fsdecode(b"caf\xe9.jpg")
    spool.inbox.mark("door", Mark(name, inode, 7, 8, "digest"))
    assert spool.history.known("door", [name])[name].is_at(inode, 7, 8)
    assert spool.history.known_files("door", [(inode, 7, 8)]) == {(inode, 7, 8): "digest"}
    assert spool.accounts() == {}


def test_a_position_commits_with_its_frame(spool: Spool) -> None:
    """A file source goes on behind the last frame that became an item, if it is still the same file."""
    at = Position("/film.mp4", "marks", 41)
    staged = spool.inbox.stage(draft(b"frame", position=at))
    assert spool.history.progress("cam-1", "/film.mp4", "marks") is None
    spool.inbox.commit([staged])
    put(spool, draft(b"frame", position=Position("/film.mp4", "marks", 42, ended=True)))
    assert spool.history.progress("cam-1", "/film.mp4", "marks") == Position("/film.mp4", "marks", 42, ended=True)
    assert spool.history.progress("cam-1", "/film.mp4", "other marks") is None


def test_i2_a_frame_that_found_no_room_is_in_the_books(spool: Spool) -> None:
    """Captured and dropped frames have their reason, and hold no bytes."""
    spool.inbox.count_dropped("cam-1", "spool full", items=2, size=8000)
    account = spool.accounts()["cam-1"]
    assert (account.captured, account.dropped, account.waiting) == (2, {"spool full": 2}, 0)
    assert spool.usage().spool_bytes == 0
    check(spool.directory)


@contextmanager
def locked(spool: Spool) -> Iterator[None]:
    """Keep every commit from holding, as another program that writes to the index does."""
    spool._commits._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(spool.directory / INDEX, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        yield


def beside(spool: Spool) -> Spool:
    """Open the same spool as another process does that only puts."""
    return Spool(spool.directory, Limits(10**9, 0), clock=SystemClock(), owner=False)

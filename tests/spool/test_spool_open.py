from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from spool_rig import ROOMY, StillClock, check, claim, deliver_all, draft, examine, kill, own, put, put_file, rows

from agent.errors import SpoolDamaged, SpoolTaken, SpoolUnavailable, Wait
from agent.spool.ownership import is_owned, owner_note
from agent.spool.schema import DAMAGED, INDEX, PAGE_BYTES
from agent.spool.spool import Spool
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Callable


def beside(directory: Path) -> Spool:
    """Open a spool as a command does that only puts."""
    return Spool(directory, ROOMY, clock=StillClock(), owner=False)


def open_files() -> int:
    """Count this process's open files."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    """Two agents on one spool are detected, with the pid and the remedy; the first goes on."""
    with own(tmp_path) as spool:
        assert is_owned(tmp_path)
        before = open_files()
        with pytest.raises(SpoolTaken, match=rf"pid {os.getpid()}\b.*spool.dir"):
            own(tmp_path)
        assert open_files() == before
        put(spool, draft(b"a"))
    assert not is_owned(tmp_path)
    with own(tmp_path) as spool:
        assert claim(spool).path.read_bytes() == b"a"


@pytest.mark.parametrize("note", [b"", b"\xff", b"[1]", b"{"])
def test_a_note_that_cannot_be_read_is_no_note(tmp_path: Path, note: bytes) -> None:
    """The sentence about another owner comes all the same."""
    assert owner_note(tmp_path) == {}
    assert not is_owned(tmp_path)
    with own(tmp_path):
        (tmp_path / "lock").write_bytes(note)
        assert owner_note(tmp_path) == {}
        with pytest.raises(SpoolTaken, match="pid unknown"):
            own(tmp_path)


def test_an_owner_waits_for_a_put_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process puts, the owner cannot know whose files are orphans; patience has an end, and a reason."""
    monkeypatch.setattr("agent.spool.ownership.INTAKE_PATIENCE", 2)
    with beside(tmp_path) as other:
        with pytest.raises(SpoolTaken, match="still putting"):
            own(tmp_path)
        assert not is_owned(tmp_path)
        put(other, draft(b"a"))
        other.done_putting()
        with own(tmp_path) as spool:
            assert claim(spool).path.read_bytes() == b"a"


def test_a_spool_that_cannot_be_opened_can_be_tried_again(tmp_path: Path) -> None:
    """A failed start leaves no lock and no connection behind."""
    (tmp_path / "items").write_bytes(b"in the way")
    before = open_files()
    for _ in range(3):
        with pytest.raises(SpoolUnavailable, match="items"):
            own(tmp_path)
    assert open_files() == before
    (tmp_path / "items").unlink()
    own(tmp_path).close()


def test_the_index_is_in_wal_mode_and_fully_synchronous(tmp_path: Path) -> None:
    """The mode that loses no acknowledged row is asked for, and read back."""
    with own(tmp_path) as spool:
        connection = spool._commits._connection
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_half_written_files_of_an_earlier_run_are_cleared(tmp_path: Path) -> None:
    """What lies in `tmp` at a start belongs to nobody; a process that only puts clears nothing."""
    own(tmp_path).close()
    (tmp_path / "tmp/half").write_bytes(b"half")
    beside(tmp_path).close()
    assert (tmp_path / "tmp/half").exists()
    own(tmp_path).close()
    assert not (tmp_path / "tmp/half").exists()


def test_a_spool_can_be_moved(tmp_path: Path) -> None:
    """Paths are relative to the spool: its items are found under another name."""
    with own(tmp_path / "old") as spool:
        put(spool, draft(b"a"))
    (tmp_path / "old").rename(tmp_path / "new")
    with own(tmp_path / "new") as spool:
        assert claim(spool).path.read_bytes() == b"a"
        check(tmp_path / "new")


# Damage

BACKLOG = 200


def garbage(index: Path) -> None:
    """Replace the whole file."""
    index.write_bytes(b"\x00garbage" * 5000)


def halved(index: Path) -> None:
    """Cut the file in the middle."""
    os.truncate(index, index.stat().st_size // 2)


def emptied(index: Path) -> None:
    """Leave a file of no bytes, as some file systems do after a power cut."""
    os.truncate(index, 0)


def removed(index: Path) -> None:
    """Take the file away, as people do to repair a queue."""
    index.unlink()


def flipped(index: Path) -> None:
    """Damage the pages that hold some items in the middle, which does not show when the file is opened."""
    pages = [index.read_bytes()[at : at + PAGE_BYTES] for at in range(0, index.stat().st_size, PAGE_BYTES)]
    middle = [f"Z-{number}.jpg".encode() for number in range(100, 120)]
    hit = [page for page in pages if b'{"source' in page and any(name in page for name in middle)]
    assert len(hit) > 3
    index.write_bytes(b"".join(bytes(byte ^ 0xA5 for byte in page) if page in hit else page for page in pages))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a closed spool with a backlog, some of it quarantined, some delivered, some watched."""
    directory = tmp_path / "spool"
    watched = tmp_path / "watched"
    watched.mkdir()
    with own(directory) as spool:
        put(spool, *(draft(f"picture {number}".encode()) for number in range(20)))
        deliver_all(spool)
        put(spool, *(draft(f"picture {number}".encode()) for number in range(20, BACKLOG)))
        spool.outbox.quarantine(claim(spool), "refused")
        spool.outbox.drop(claim(spool), "changed")
        for number in range(BACKLOG, BACKLOG + 10):
            (watched / f"{number}.jpg").write_bytes(f"picture {number}".encode())
            (watched / f"{number}.txt").write_text(str(number))
            put_file(spool, watched / f"{number}.jpg", sidecar=watched / f"{number}.txt")
    return directory


@pytest.mark.parametrize("damage", [garbage, halved, emptied, removed, flipped])
def test_a_damaged_index_costs_no_picture(filled: Path, damage: Callable[[Path], None]) -> None:
    """It is set aside, its rows are salvaged, the folder gives the rest; every picture is sent again, once, whole."""
    damage(filled / INDEX)
    with reopen_damaged(filled) as spool:
        assert spool.salvaged
        spool.outbox.sweep()
        spool.reconciler(examine).run(filled / "items", Stop())
        check(filled)
        fresh = put(spool, draft(b"fresh"))[0]
        waiting = {data for (data,) in of_items(filled, "waiting")}
        # The quarantined one waits again where its row was lost: a person's verdict may be needed twice, no more.
        whole = {f"picture {number}".encode() for number in range(22, BACKLOG + 10)} | {b"fresh"}
        assert waiting - {b"picture 20"} == whole
        assert b"picture 20" in waiting | {data for (data,) in of_items(filled, "quarantined")}
        assert fresh.id > max(number for (number,) in rows(filled, "SELECT id FROM item WHERE id != ?", fresh.id))
        deliver_all(spool)
        check(filled)
    with own(filled) as spool:
        assert not spool.salvaged


def test_an_index_with_other_pages_goes_on(filled: Path) -> None:
    """A new release makes smaller pages; an index that is there keeps those that it has, and everything in it."""
    index = sqlite3.connect(filled / INDEX, isolation_level=None)
    for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 4096", "VACUUM"):
        index.execute(statement)
    index.close()
    with own(filled) as spool:
        assert not spool.salvaged
        put(spool, draft(b"fresh"))
        deliver_all(spool)
        check(filled)
    assert rows(filled, "PRAGMA page_size") == [(4096,)]


def reopen_damaged(directory: Path) -> Spool:
    """Open a damaged spool as a daemon does: where nothing shows at the start, it works until it meets the damage."""
    spool = own(directory)
    if not spool.salvaged:
        with spool, pytest.raises(SpoolDamaged):
            spool.reader.all("SELECT * FROM item ORDER BY id")
        spool = own(directory)
    return spool


def of_items(directory: Path, state: str) -> list[tuple[bytes]]:
    """Return the bytes of all items in a state."""
    found = rows(directory, "SELECT path FROM item WHERE state = ?", state)
    return [((directory / os.fsdecode(path)).read_bytes(),) for (path,) in found]


def test_what_can_be_read_of_a_damaged_index_is_kept(filled: Path) -> None:
    """Rows before and behind the damage survive with their metadata, verdicts and totals; the old file is kept."""
    flipped(filled / INDEX)
    before = (filled / INDEX).read_bytes()
    with reopen_damaged(filled) as spool:
        saved = rows(filled, "SELECT count(*) FROM item")[0][0]
        assert BACKLOG / 2 < saved < BACKLOG - 12
        assert rows(filled, "SELECT count(*) FROM item WHERE state = 'quarantined' AND reason = 'refused'") == [(1,)]
        assert spool.accounts()["cam-1"].delivered == 20
        assert spool.accounts()["cam-1"].dropped == {"changed": 1}
        check(filled)
    assert (filled / "damaged-00.sqlite3").read_bytes()[:PAGE_BYTES] == before[:PAGE_BYTES]


def test_an_item_with_a_receipt_is_not_salvaged(filled: Path) -> None:
    """Where an old page of items survives beside a new one of receipts, the receipt wins: nothing is sent twice."""
    with own(filled) as spool:
        item = claim(spool)
        spool.outbox.release(item)
    rows(
        filled,
        "INSERT INTO receipt SELECT id, source, filename, size, sha256, 'delivered', NULL, NULL, NULL, 1, 0, "
        "captured_at, captured_at, NULL FROM item WHERE id = ?",
        item.id,
    )
    rows(filled, "UPDATE tally SET items = items + 1, bytes = bytes + ? WHERE what = 'delivered'", item.size)
    (filled / DAMAGED).touch()
    with own(filled) as spool:
        assert claim(spool).id == item.id + 1
        check(filled)
        assert spool.reconciler(examine).run(filled / "items", Stop()) == 0
        assert not item.path.exists()


def test_a_salvage_that_is_cut_off_starts_again(filled: Path) -> None:
    """Killed or refused half way, nothing is taken for done: the next start salvages from the same rows."""
    (filled / DAMAGED).touch()
    blocker = filled / "index.sqlite3-journal"
    blocker.mkdir()  # SQLite cannot create a new database beside it
    with pytest.raises(Wait):
        own(filled)
    blocker.rmdir()
    assert (filled / DAMAGED).read_text() == "damaged-00.sqlite3"
    with closing(sqlite3.connect(filled / INDEX)) as unfinished:
        unfinished.execute("CREATE TABLE IF NOT EXISTS half(done)")
    with own(filled) as spool:
        assert spool.salvaged
        assert spool.accounts()["cam-1"].captured == BACKLOG
        check(filled)
    assert not (filled / DAMAGED).exists()


def test_damaged_indexes_are_kept_apart(filled: Path) -> None:
    """Each one keeps its own name; what lay there before is not touched."""
    (filled / "damaged-00.sqlite3").write_bytes(b"an older one")
    (filled / DAMAGED).write_bytes(b"\xff/../../etc/passwd")
    own(filled).close()
    assert (filled / "damaged-00.sqlite3").read_bytes() == b"an older one"
    assert (filled / "damaged-01.sqlite3").stat().st_size > 10_000


def test_rows_that_make_no_sense_are_left_behind(filled: Path) -> None:
    """A row that was damaged inside a page stops no salvage: its picture is found without it."""
    nonsense = {
        "origin": "'[1'",
        "origin ": "'[]'",
        "captured_at": "x'00ff'",
        "path": "'nowhere'",
        "metadata": "CAST(x'ff' AS TEXT)",
        "size": "'many'",
    }
    for number, (column, value) in enumerate(nonsense.items(), 50):
        rows(filled, f"UPDATE item SET {column.strip()} = {value} WHERE id = {number}")  # noqa: S608 (the test's own)
    (filled / DAMAGED).touch()
    with own(filled) as spool:
        check(filled)
        assert spool.reconciler(examine).run(filled / "items", Stop()) >= len(nonsense)
        check(filled)
        assert {f"picture {number}".encode() for number in range(22, BACKLOG + 10)} <= {
            data for (data,) in of_items(filled, "waiting")
        }


def test_only_the_owner_repairs(filled: Path) -> None:
    """A process that only puts leaves a damaged index to the daemon."""
    garbage(filled / INDEX)
    with pytest.raises(SpoolDamaged):
        beside(filled)
    assert not list(filled.glob("damaged-*"))


def test_an_index_of_another_format_is_set_aside(filled: Path) -> None:
    """A format that this agent does not know is not guessed at in place."""
    rows(filled, "PRAGMA user_version = 99")
    with own(filled) as spool:
        assert spool.salvaged
        assert spool.accounts()["cam-1"].captured == BACKLOG


def test_a_kill_leaves_nothing_to_repair(tmp_path: Path) -> None:
    """Ready, done and dead are facts on disk: after `kill -9` the next start just goes on."""
    spool = own(tmp_path)
    put(spool, draft(b"a"), draft(b"b"))
    deliver_all(spool)
    put(spool, draft(b"c"))
    staged = spool.inbox.stage(draft(b"never committed"))
    with kill(spool, lambda: own(tmp_path)) as spool:
        assert not spool.salvaged
        assert spool.fence > staged.id
        assert claim(spool).path.read_bytes() == b"c"
        check(tmp_path)

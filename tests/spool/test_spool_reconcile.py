from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spool_rig import adopted, check, claim, deliver_all, draft, examine, kill, own, put, put_file, rows
from structlog.testing import capture_logs

from agent.errors import SpoolUnavailable
from agent.frame import Receipt
from agent.spool.filenames import upload_filename
from agent.workers import Stop

if TYPE_CHECKING:
    from agent.spool.reconcile import Found
    from agent.spool.spool import Spool


def restart(spool: Spool) -> Spool:
    """Kill the spool's owner and start another."""
    return kill(spool, lambda: own(spool.directory))


def reconcile(spool: Spool, base: Path | None = None) -> int:
    """Look through the spool's own folders, or another."""
    return spool.reconciler(examine).run(base or spool.directory / "items", Stop())


def plant(spool: Spool, sequence: int, data: bytes, *, folder: str = "000000") -> Path:
    """Lay a picture on the shelf that no row names."""
    path = spool.directory / "items" / folder / upload_filename("cam-1", draft(b"").captured_at, sequence, "image/jpeg")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_put_that_was_cut_off_is_adopted(tmp_path: Path) -> None:
    """A camera's picture without a row is whole: it becomes an item under the name that it has."""
    spool = own(tmp_path)
    staged = spool.inbox.stage(draft(b"picture"))
    with restart(spool) as spool:
        assert reconcile(spool) == 1
        item = claim(spool)
        assert (item.id, item.filename, item.path) == (staged.id, staged.filename, staged.path)
        assert (item.source, item.captured_at) == ("cam-1", staged.draft.captured_at)
        assert spool.accounts()["cam-1"].captured == 1
        assert reconcile(spool) == 0
        check(tmp_path)


def test_a_cut_off_link_is_removed_while_the_index_is_healthy(tmp_path: Path) -> None:
    """The original still lies in its folder, unknown, and is captured from there: not twice."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "a.txt").write_text("0 .5 .5 1 1")
    spool = own(tmp_path / "spool")
    with adopted(tmp_path / "a.jpg", sidecar=tmp_path / "a.txt") as one:
        staged = spool.inbox.stage(one)
    with restart(spool) as spool:
        assert reconcile(spool) == 0
        assert not staged.path.exists()
        assert staged.beside is not None
        assert not staged.beside.exists()
        assert (tmp_path / "a.jpg").exists()
        assert spool.accounts() == {}


def test_a_link_without_a_row_is_adopted_after_a_salvage(tmp_path: Path) -> None:
    """Its row was lost, not never written: the folder alone is enough, and the original is known by its inode."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "a.txt").write_text("0 .5 .5 1 1")
    with own(tmp_path / "spool") as spool:
        staged = put_file(spool, tmp_path / "a.jpg", sidecar=tmp_path / "a.txt")
    (tmp_path / "spool/index.sqlite3").write_bytes(b"garbage" * 1000)
    with own(tmp_path / "spool") as spool:
        assert reconcile(spool) == 1
        item = claim(spool)
        assert (item.filename, item.beside) == (staged.filename, staged.beside)
        assert "0 .5 .5 1 1" in item.metadata
        status = (tmp_path / "a.jpg").stat()
        assert spool.history.known_files("door", [(status.st_ino, status.st_size, status.st_mtime_ns)]) == {
            (status.st_ino, status.st_size, status.st_mtime_ns): item.sha256
        }
        spool.outbox.deliver(item, Receipt(item.id, "delivered"))
        assert (tmp_path / "a.jpg").exists()
        check(tmp_path / "spool")


def test_hidden_folders_are_looked_through_too(tmp_path: Path) -> None:
    """A link that lies in a watched directory is found by looking there."""
    hidden = tmp_path / "watched/.acusight-agent"
    own(tmp_path / "spool").close()
    with own(tmp_path / "spool") as spool:
        put(spool, draft(b"one, so that numbers are taken"))
        (hidden / "000000").mkdir(parents=True)
        shelved = plant(spool, 200, b"picture")
        orphan = shelved.rename(hidden / "000000" / shelved.name)
    with own(tmp_path / "spool") as spool:
        assert reconcile(spool, hidden) == 1
        assert rows(tmp_path / "spool", "SELECT path FROM item WHERE id = 200") == [(str(orphan).encode(),)]
        check(tmp_path / "spool")
        assert reconcile(spool, tmp_path / "no such folder") == 0


def test_hidden_links_are_found_when_all_numbers_are_lost(tmp_path: Path) -> None:
    """With every item in a watched directory and no readable row, nobody knows how far the numbers had come."""
    watched, hidden = tmp_path / "watched", tmp_path / "watched/.acusight-agent"
    (hidden / "000123").mkdir(parents=True)
    orphan = hidden / "000123" / upload_filename("door", draft(b"").captured_at, 123_456, "image/jpeg")
    (watched / "a.jpg").write_bytes(b"picture")
    orphan.hardlink_to(watched / "a.jpg")
    own(tmp_path / "spool").close()
    (tmp_path / "spool/index.sqlite3").write_bytes(b"garbage" * 1000)
    with own(tmp_path / "spool") as spool:
        assert reconcile(spool, hidden) == 1
        assert put(spool, draft(b"fresh"))[0].id > 123_456
        check(tmp_path / "spool")


def test_what_was_delivered_is_removed_not_sent_again(tmp_path: Path) -> None:
    """A picture with a receipt has no reason to be there any more."""
    with own(tmp_path) as spool:
        staged = put(spool, draft(b"picture"))[0]
        deliver_all(spool)
        put(spool, draft(b"another, on whose commit the leftover is forgotten"))
        deliver_all(spool)
    staged.path.parent.mkdir(exist_ok=True)
    staged.path.write_bytes(b"picture")
    with own(tmp_path) as spool:
        spool.outbox.sweep()
        staged.path.write_bytes(b"picture")
        assert reconcile(spool) == 0
        assert not staged.path.exists()
        assert spool.outbox.claim() is None


def test_what_is_still_to_be_removed_is_left_to_the_sweep(tmp_path: Path) -> None:
    """A picture that a leftover names is explained, not an orphan."""
    spool = own(tmp_path)
    put(spool, draft(b"picture"))
    item = claim(spool)
    spool.outbox._sweep = lambda *_: None  # type: ignore[method-assign]  # dies between record and removal
    spool.outbox.drop(item, "why")
    with restart(spool) as spool:
        assert reconcile(spool) == 0
        assert item.path.exists()
        assert spool.outbox.sweep() == 1
        assert not item.path.exists()


def test_only_numbers_below_the_fence_are_judged(tmp_path: Path) -> None:
    """What is being put at this moment has no row yet and is nobody's orphan."""
    with own(tmp_path) as spool:
        staged = spool.inbox.stage(draft(b"picture"))
        assert reconcile(spool) == 0
        spool.inbox.commit([staged])
        check(tmp_path)


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """What the spool did not name is reported, not opened, sent or deleted; nor are links followed."""
    elsewhere = tmp_path / "elsewhere/000000"
    elsewhere.mkdir(parents=True)
    with own(tmp_path / "spool") as spool:
        put(spool, draft(b"picture"))
        items = tmp_path / "spool/items"
        (items / "000000/notes.txt").write_bytes(b"mine")
        (items / "000000/sub").mkdir()
        (items / "loose.jpg").write_bytes(b"mine")
        (items / "empty").mkdir()
        (items / "linked").symlink_to(elsewhere)
        outside = plant(spool, 100, b"picture").rename(elsewhere / "cam-20260314T081502.417Z-100.jpg")
        (items / "000000/cam-20260314T081502.417Z-101.jpg").symlink_to(outside)
        os.mkfifo(items / "000000/cam-20260314T081502.417Z-102.jpg")
    with own(tmp_path / "spool") as spool, capture_logs() as logs:
        assert reconcile(spool) == 0
        assert [(entry["event"], Path(entry["path"]).name) for entry in logs] == [("foreign_file_found", "notes.txt")]
        left = {str(path.relative_to(items)) for path in items.rglob("*")}
        assert {"000000/notes.txt", "000000/sub", "loose.jpg", "empty", "linked"} <= left
        assert outside.exists()


def test_a_broken_orphan_is_quarantined_with_its_reason(tmp_path: Path) -> None:
    """It stops nobody and is not thrown away: a person sees it, and the books have it."""
    with own(tmp_path) as spool:
        put(spool, draft(b"whole"))
        plant(spool, 100, b"broken")
        plant(spool, 101, b"whole too")
    with own(tmp_path) as spool:
        assert reconcile(spool) == 1
        assert rows(tmp_path, "SELECT reason LIKE '%no whole picture%' FROM item WHERE state = 'quarantined'") == [(1,)]
        assert spool.accounts()["cam-1"].quarantined == 1
        assert spool.accounts()["cam-1"].waiting == 2
        assert spool.usage().spool_bytes == len(b"wholebrokenwhole too")


def test_a_file_that_goes_meanwhile_stops_nothing(tmp_path: Path) -> None:
    """Uploaders deliver and remove while the folders are compared: what is gone is simply no orphan."""
    with own(tmp_path) as spool:
        put(spool, draft(b"one"))
        first, second = plant(spool, 100, b"first"), plant(spool, 101, b"second")
        third = plant(spool, 102, b"third")
    with own(tmp_path) as spool:

        def look(picture: Path, sidecar: Path | None, **known: object) -> Found:
            second.unlink(missing_ok=True)
            return examine(picture, sidecar, **known)  # type: ignore[arg-type]

        assert spool.reconciler(look).run(tmp_path / "items", Stop()) == 2
        assert not second.exists()
        assert rows(tmp_path, "SELECT id FROM item ORDER BY id") == [(1,), (100,), (102,)]
        assert first.exists()
        assert third.exists()


def test_a_stop_is_heard_between_two_pictures(tmp_path: Path) -> None:
    """A long look ends when the agent does; the next start goes on with it."""
    with own(tmp_path) as spool:
        put(spool, draft(b"one"))
        for sequence in (100, 101, 102):
            plant(spool, sequence, b"picture")
    with own(tmp_path) as spool:
        stop = Stop()

        def look(picture: Path, sidecar: Path | None, **known: object) -> Found:
            stop.set()
            return examine(picture, sidecar, **known)  # type: ignore[arg-type]

        assert spool.reconciler(look).run(tmp_path / "items", stop) == 1
        assert reconcile(spool) == 2


def test_a_disk_that_fails_pauses_the_look(tmp_path: Path) -> None:
    """What cannot be examined now is neither adopted nor quarantined."""
    with own(tmp_path) as spool:
        put(spool, draft(b"one"))
        orphan = plant(spool, 100, b"picture")
    with own(tmp_path) as spool:

        def look(picture: Path, sidecar: Path | None, **known: object) -> Found:
            raise SpoolUnavailable(f"cannot read {picture} {sidecar} {known}")

        with capture_logs() as logs:
            assert spool.reconciler(look).run(tmp_path / "items", Stop()) == 0
        assert [entry["event"] for entry in logs] == ["reconcile_paused"]
        assert orphan.exists()
        assert reconcile(spool) == 1


def test_folders_that_have_served_are_removed(tmp_path: Path) -> None:
    """An empty folder below the fence goes; the one that is being filled stays, empty or not."""
    with own(tmp_path) as spool:
        orphan = plant(spool, 2500, b"picture", folder="000002")
        for folder in ("000000", "000001", "000003"):
            (tmp_path / "items" / folder).mkdir()
    with own(tmp_path) as spool:
        assert spool.fence == 2501
        reconcile(spool)
        assert sorted(path.name for path in (tmp_path / "items").iterdir()) == ["000002", "000003"]
        deliver_all(spool)
        assert not orphan.exists()
        reconcile(spool)
        assert (tmp_path / "items/000002").exists()


def test_a_row_without_a_picture_shows_at_its_claim(tmp_path: Path) -> None:
    """The row is an explained loss: whoever claims it finds no file, and drops it with that reason."""
    with own(tmp_path) as spool:
        put(spool, draft(b"picture"))[0].path.unlink()
    with own(tmp_path) as spool:
        assert reconcile(spool) == 0
        item = claim(spool)
        assert not item.path.exists()
        spool.outbox.drop(item, "missing")
        assert spool.accounts()["cam-1"].dropped == {"missing": 1}
        check(tmp_path)

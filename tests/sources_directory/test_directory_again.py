from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from directory_rig import ROOMY, Yard, jpeg, names, sha, without_privileges
from structlog.testing import capture_logs

from agent.annotations.plan import AnnotationPlan
from agent.errors import SpoolDamaged, SpoolUnavailable
from agent.sources import directory, memory
from agent.spool.budget import Limits
from agent.spool.schema import INDEX

if TYPE_CHECKING:
    from pathlib import Path

    from directory_rig import MovedClock, YardMaker

    from agent.spool.records import Draft, Staged

FIRST, SECOND, THIRD = jpeg(1), jpeg(2), jpeg(3)


def captured(yard: Yard) -> int:
    """Return how many pictures were captured so far, by the ledger."""
    account = yard.spool.accounts().get("door")
    return account.captured if account else 0


def replace(yard: Yard, name: str, data: bytes) -> None:
    """Put new bytes in place of a file as careful programs do: written beside, then renamed over it."""
    yard.put(f".{name}.new", data).rename(yard.root / name)


def test_a_kept_file_is_never_taken_twice(still: YardMaker) -> None:
    """Neither walks nor a restart, before the delivery or after it, take a file that lies there unchanged."""
    yard = still()
    yard.put("a.jpg", FIRST)
    for _ in range(3):
        yard.settle()
    yard.reopen()
    yard.settle()
    assert yard.deliver() == [FIRST]
    yard.reopen()
    yard.settle()
    assert (captured(yard), yard.deliver()) == (1, [])
    assert (yard.root / "a.jpg").read_bytes() == FIRST


@pytest.mark.parametrize("delivered", [True, False])
def test_touched_renamed_and_linked_files_are_old(still: YardMaker, *, delivered: bool) -> None:
    """The same bytes under new times, the same file under a new name or a second one are no new capture."""
    yard = still()
    path = yard.put("a.jpg", FIRST)
    yard.settle()
    assert not delivered or yard.deliver()
    os.utime(path, (5, 5))
    yard.settle()
    path.rename(yard.root / "b.jpg")
    yard.settle()
    (yard.root / "c.jpg").hardlink_to(yard.root / "b.jpg")
    yard.settle()
    assert captured(yard) == 1
    yard.reopen()
    yard.settle()
    assert captured(yard) == 1


def test_an_old_file_is_looked_into_once(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A touched file is remembered by its new times, so that later walks need not read it again."""
    yard = still()
    path = yard.put("a.jpg", FIRST)
    yard.settle()
    os.utime(path, (5, 5))
    yard.settle()
    monkeypatch.setattr(yard.watch._adopter, "take", pytest.fail)
    yard.settle()


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("how", ["renamed over", "in place", "removed and written"])
def test_new_bytes_are_a_new_capture(still: YardMaker, how: str, *, restarted: bool) -> None:
    """A file replaced by new bytes is captured again, and what was delivered before stays so."""
    yard = still()
    path = yard.put("a.jpg", FIRST)
    yard.settle()
    assert yard.deliver() == [FIRST]
    if restarted:
        yard.reopen()
    if how == "renamed over":
        replace(yard, "a.jpg", SECOND)
    elif how == "in place":
        path.write_bytes(SECOND)
    else:
        path.unlink()
        path.write_bytes(SECOND)
    yard.settle()
    assert yard.deliver() == [SECOND]


def test_the_same_bytes_elsewhere_are_a_capture(still: YardMaker) -> None:
    """A copy is a file of its own: two files of the same bytes are two pictures."""
    yard = still()
    yard.put("a.jpg", FIRST)
    yard.settle()
    yard.put("b.jpg", FIRST)
    yard.settle()
    assert yard.deliver() == [FIRST, FIRST]


def test_versions_renamed_over_each_other_are_all_kept(still: YardMaker) -> None:
    """While nothing can be sent, each version of a replaced file waits with its own bytes, none of them copied."""
    yard = still()
    pictures = [jpeg(number) for number in range(5)]
    with capture_logs() as logs:
        for picture in pictures:
            replace(yard, "latest.jpg", picture)
            yard.settle()
    assert yard.deliver() == pictures
    assert names(logs, "pictures_copied") == []


def test_a_file_rewritten_in_place_never_gives_a_mixed_picture(still: YardMaker) -> None:
    """Of `latest.jpg` the first version shares the file's fate and is dropped; all later ones are kept as copies."""
    yard = still()
    pictures = [jpeg(number) for number in range(6)]
    with capture_logs() as logs:
        for picture in pictures:
            yard.put("latest.jpg", picture)
            yard.settle()
        copied = [entry for entry in logs if entry["event"] == "pictures_copied"]
    assert len(copied) == 1
    assert "rewritten in place" in copied[0]["reason"]
    assert yard.digests() == [sha(picture) for picture in pictures]
    yard.put("latest.jpg", jpeg(7)[:200])
    assert yard.deliver() == pictures[1:]
    assert yard.spool.accounts()["door"].dropped == {"changed after adoption": 1}
    yard.put("latest.jpg", pictures[0])
    yard.settle()
    assert yard.deliver() == [pictures[0]]


@pytest.mark.parametrize("after", ["delete", "move"])
def test_what_was_delivered_goes_as_its_owner_said(still: YardMaker, tmp_path: Path, after: str) -> None:
    """With `delete` or `move` a picture and its sidecar leave the directory, but only after the delivery."""
    done = tmp_path / "done"
    yard = still(after=after, move_to=done if after == "move" else None)
    yard.put("a.jpg", FIRST)
    yard.put("a.txt", b"0 0.5 0.5 0.1 0.1")
    yard.put("b.jpg", SECOND)
    yard.settle()
    assert len(list(yard.root.iterdir())) == 3
    yard.put("b.jpg", THIRD)
    assert yard.deliver() == [FIRST]
    yard.settle()
    assert [path.name for path in yard.root.iterdir()] == ["b.jpg"]
    assert yard.deliver() == [THIRD]
    assert list(yard.root.iterdir()) == []
    left = sorted(path.name for path in done.iterdir()) if after == "move" else []
    assert left == (["a.jpg", "a.txt", "b.jpg"] if after == "move" else [])


@pytest.mark.parametrize("after", ["delete", "move"])
def test_a_picture_that_comes_again_after_it_left_is_a_new_one(still: YardMaker, tmp_path: Path, after: str) -> None:
    """The same bytes under the same name and time go again: such a folder is there to be emptied."""
    yard = still(after=after, move_to=tmp_path / "done" if after == "move" else None)
    for _ in range(2):
        yard.put("a.jpg", FIRST, mtime=1_700_000_000)
        yard.settle()
        assert yard.deliver() == [FIRST]
        assert list(yard.root.iterdir()) == []


def test_a_full_spool_leaves_files_where_they_are(still: YardMaker) -> None:
    """With no room the intake pauses, says so once, spends little, and goes on by itself in the old order."""
    yard = still(limits=Limits(max_bytes=2 * len(FIRST) + 10, min_free_bytes=0))
    pictures = [jpeg(number) for number in range(6)]
    for number, picture in enumerate(pictures):
        yard.put(f"{number}.jpg", picture, mtime=1_700_000_000 + number)
    sent: list[bytes] = []
    with capture_logs() as logs:
        yard.settle()
        for _ in range(20):
            assert len(yard.items()) == 2
            assert yard.watch._rest_s() > 0
            yard.step(1)
        for _ in range(40):
            sent += yard.deliver()
            yard.step(1)
    assert (sent, len(list(yard.root.iterdir()))) == (pictures, 6)
    assert len([entry for entry in logs if entry["event"] == "intake_paused"]) == 1


def test_a_picture_beyond_the_spool_stops_no_other(still: YardMaker) -> None:
    """One that can never have room is rejected with the remedy, and the others are taken."""
    yard = still(limits=Limits(max_bytes=3 * len(FIRST), min_free_bytes=0))
    yard.put("huge.jpg", FIRST + bytes(3 * len(FIRST)), mtime=1)
    yard.put("a.jpg", FIRST)
    with capture_logs() as logs:
        yard.settle()
    assert yard.taken() == ["a.jpg"]
    (said,) = [entry for entry in logs if entry["event"] == "file_rejected"]
    assert "Raise spool.max_bytes" in said["reason"]


def test_a_file_that_the_disk_refuses_stops_no_other(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one file alone cannot be made durable, the others are taken in the pauses between its tries."""
    yard = still()
    yard.put("a.jpg", FIRST, mtime=1)
    stage = yard.spool.inbox.stage

    def refuse(draft: Draft) -> Staged:
        if draft.sha256 == sha(FIRST):
            raise SpoolUnavailable("cannot link the picture to items: Input/output error")
        return stage(draft)

    monkeypatch.setattr(yard.spool.inbox, "stage", refuse)
    for number in range(5):
        yard.put(f"b{number}.jpg", jpeg(number + 10))
    with capture_logs() as logs:
        for _ in range(12):
            yard.step(1)
        assert sorted(yard.taken()) == [f"b{number}.jpg" for number in range(5)]
        assert len([entry for entry in logs if entry["event"] == "intake_paused"]) == 1
    monkeypatch.undo()
    yard.settle()
    for _ in range(6):
        yard.step(1)
    assert len(yard.taken()) == 6


def test_a_floor_that_is_reached_pauses_copies(still: YardMaker) -> None:
    """Where the disk is nearly full nothing is taken, and nothing is lost."""
    yard = still()
    floor = shutil.disk_usage(yard.spool_dir).total  # what is free, others on this disk change meanwhile
    yard.limits = Limits(max_bytes=ROOMY.max_bytes, min_free_bytes=floor)
    yard.reopen()
    yard.put("a.jpg", FIRST)
    with capture_logs() as logs:
        yard.settle()
    assert yard.items() == []
    assert "disk is nearly full" in next(entry["reason"] for entry in logs if entry["event"] == "intake_paused")


@pytest.mark.parametrize("call", ["known", "known_files"])
def test_a_spool_that_cannot_be_read_pauses_the_intake(
    still: YardMaker, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Errors of the spool's disk end nothing: the intake pauses, and misses no file once they are over."""
    yard = still()
    yard.put("a.jpg", FIRST)

    def fail(*_: object) -> None:
        raise SpoolUnavailable("cannot read the spool's index: disk I/O error")

    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(yard.spool.history, call, fail)
        for _ in range(5):
            yard.step(1)
            assert yard.watch._rest_s() > 0
            assert not yard.watch._finished()
    assert names(logs, "directory_unavailable") == []
    assert len([entry for entry in logs if entry["event"] == "intake_paused"]) == 1
    for _ in range(6):
        yard.step(1)
    assert yard.digests() == [sha(FIRST)]


def test_a_damaged_spool_is_for_the_next_start(still: YardMaker) -> None:
    """Damage is not waited for: it ends the run, whose next start salvages."""
    yard = still()
    yard.put("a.jpg", FIRST)
    index = yard.spool_dir / INDEX
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = index.stat().st_size
    with index.open("r+b") as stream:
        stream.seek(2048)
        stream.write(os.urandom(size - 2048))
    with pytest.raises(SpoolDamaged):
        yard.settle()


def test_an_outage_of_the_directory_is_said_once(still: YardMaker) -> None:
    """A directory that is away is said when it goes and when it is back; what it then holds is taken."""
    yard = still(rescan_s=30.0)
    yard.put("a.jpg", FIRST)
    yard.settle()
    with capture_logs() as logs:
        yard.remove()
        for _ in range(5):
            yard.step(30)
        assert [entry["event"] for entry in logs if entry["event"].startswith("directory")] == ["directory_unavailable"]
        yard.root.mkdir()
        yard.put("b.jpg", SECOND)
        yard.step(30)
        yard.step(1)
        said = [entry["event"] for entry in logs if entry["event"].startswith("directory")]
        assert said == ["directory_unavailable", "directory_restored"]
        yard.remove()
        yard.step(30)
        assert len(names(logs, "directory_unavailable")) == 2
    assert yard.digests() == [sha(FIRST), sha(SECOND)]


def test_walks_keep_their_distance(still: YardMaker, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow walk is followed by a longer rest, but the time that a walk waits for room is not held against it."""
    yard = still(rescan_s=30.0)
    list_slowly = yard.listing._list

    def slowly(below: str, folders: list[str]) -> object:
        clock.advance(10)
        return list_slowly(below, folders)

    with monkeypatch.context() as patch:
        patch.setattr(yard.listing, "_list", slowly)
        yard.step()
        assert yard.watch._rounds.due_at() == clock.boot() + 200
        yard.watch._rounds.ask()
        assert yard.watch._rounds.due_at() == clock.boot() + 200
    yard.step(200)
    assert yard.watch._rounds.due_at() == clock.boot() + 30
    yard.watch._rounds.ask()
    assert yard.watch._rest_s() == 0
    monkeypatch.setattr(directory, "TRACKED", 1)
    for number in range(3):
        yard.put(f"{number}.jpg")
    yard.step()
    assert yard.watch._rounds.walking
    assert yard.watch._rest_s() == 1.0
    yard.watch._rounds.ask()
    clock.advance(600)
    for _ in range(5):
        yard.step(1)
    assert len(yard.items()) == 3
    assert yard.watch._rounds.due_at() <= clock.boot() + 30


def test_gone_files_are_forgotten_where_many_are_remembered(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound what the index remembers of files that are no more goes, and what is still there stays."""
    monkeypatch.setattr(memory, "REMEMBERED", 10)
    monkeypatch.setattr(memory, "PIECE", 4)
    yard = still()
    for number in range(30):
        yard.put(f"{number:02d}.jpg", jpeg(number))
    yard.settle()
    yard.deliver()
    for number in range(0, 30, 2):
        (yard.root / f"{number:02d}.jpg").unlink()
    yard.settle()
    assert yard.spool.history.known_count("door") == 15
    assert yard.spool.history.known_names("door", "", 100) == [f"{number:02d}.jpg" for number in range(1, 30, 2)]
    assert captured(yard) == 30


def test_below_the_bound_nothing_is_forgotten(still: YardMaker) -> None:
    """A file that comes back after a while is still known."""
    yard = still()
    path = yard.put("a.jpg", FIRST)
    yard.put("b.jpg", SECOND)
    yard.settle()
    path.rename(yard.root.parent / "away.jpg")
    yard.settle()
    (yard.root.parent / "away.jpg").rename(path)
    yard.settle()
    assert captured(yard) == 2


@pytest.mark.parametrize("how", ["empty", "foreign", "away"])
def test_an_unmounted_disk_is_not_taken_for_deleted_files(
    still: YardMaker, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Where the walk met nothing that it knows, all that is remembered is kept."""
    monkeypatch.setattr(memory, "REMEMBERED", 3)
    yard = still()
    for number in range(6):
        yard.put(f"{number}.jpg", jpeg(number))
    yard.settle()
    yard.root.rename(yard.root.with_name("disk"))
    if how != "away":
        yard.root.mkdir()
    if how == "foreign":
        yard.put("new.jpg", jpeg(99))
    yard.settle()
    yard.settle() if how != "foreign" else yard.step(1)
    assert yard.spool.history.known_count("door") >= 6
    if how != "away":
        yard.remove()
    yard.root.with_name("disk").rename(yard.root)
    yard.settle()
    assert captured(yard) == (7 if how == "foreign" else 6)


def test_a_disk_that_goes_in_the_middle_keeps_its_files(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The witness is looked at again after each look for what is gone."""
    monkeypatch.setattr(memory, "REMEMBERED", 3)
    yard = still()
    for number in range(6):
        yard.put(f"{number}.jpg", jpeg(number))
    yard.settle()
    look_around = yard.listing.is_gone

    def unmount_first(name: str) -> bool:
        if yard.root.exists():
            yard.root.rename(yard.root.with_name("disk"))
        return look_around(name)

    monkeypatch.setattr(yard.listing, "is_gone", unmount_first)
    yard.settle()
    assert not yard.root.exists()
    assert yard.spool.history.known_count("door") == 6


def test_an_unreadable_root_is_an_outage(still: YardMaker) -> None:
    """A directory that may not be listed is waited for like one that is away."""
    yard = still()
    yard.put("a.jpg", FIRST)
    yard.root.chmod(0)
    with without_privileges(), capture_logs() as logs:
        yard.settle()
        yard.settle()
        yard.root.chmod(0o700)
        yard.settle()
    assert [entry["event"] for entry in logs if entry["event"].startswith("directory")] == [
        "directory_unavailable",
        "directory_restored",
    ]
    assert yard.digests() == [sha(FIRST)]


def boxes(yard: Yard) -> list[list[str] | None]:
    """Return the class names that each waiting picture goes with; None where nothing is known of it."""
    told = [json.loads(item.metadata).get("annotations") for item in yard.items()]
    return [None if said is None else [box["class_value"] for box in said] for said in told]


def test_a_rewritten_picture_does_not_get_the_boxes_of_the_last_one(still: YardMaker) -> None:
    """Where `latest.jpg` comes before its new `latest.txt` it waits, and goes without rather than with the old one."""
    yard = still(sidecar_wait_s=2.0, annotations=AnnotationPlan(classes=("bolt", "nut", "washer")))
    replace(yard, "latest.txt", b"0 0.5 0.5 0.1 0.1")
    replace(yard, "latest.jpg", jpeg(1))
    yard.settle()
    replace(yard, "latest.jpg", jpeg(2))
    yard.step(1.5)
    replace(yard, "latest.txt", b"1 0.5 0.5 0.1 0.1")
    yard.settle()
    replace(yard, "latest.jpg", jpeg(3))
    yard.settle()
    yard.step(2.0)
    replace(yard, "latest.txt", b"2 0.5 0.5 0.1 0.1")
    replace(yard, "latest.jpg", jpeg(4))
    yard.settle()
    assert boxes(yard) == [["bolt"], ["nut"], None, ["washer"]]

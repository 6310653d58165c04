from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from directory_rig import coded, jpeg, names, sha, without_privileges
from structlog.testing import capture_logs
from watchdog.events import FileClosedEvent

from agent.annotations.plan import AnnotationPlan
from agent.clock import utc_text
from agent.pictures.inspect import PictureLimits, inspect
from agent.sources import aside, directory

if TYPE_CHECKING:
    from directory_rig import MovedClock, YardMaker

    from agent.sources.settle import Sighting

WHOLE = jpeg(1)
BOX = '{"annotations": [{"class_value": "nut", "geometry": [0.5, 0.5, 0.2, 0.2]}]}'


def test_what_is_there_is_taken_as_it_is(still: YardMaker) -> None:
    """A settled JPEG or PNG goes into the spool byte for byte, and its original stays where it is."""
    yard = still()
    png = coded(".png")
    yard.put("a.jpg", WHOLE, mtime=1_700_000_000.25)
    yard.put("b.png", png, mtime=1_700_000_001)
    yard.step()
    yard.step(0.9)
    assert yard.items() == []
    yard.step(0.1)
    first, second = yard.items()
    assert [item.path.read_bytes() for item in (first, second)] == [WHOLE, png]
    assert [item.sha256 for item in (first, second)] == [sha(WHOLE), sha(png)]
    assert [item.media_type for item in (first, second)] == ["image/jpeg", "image/png"]
    assert utc_text(first.captured_at) == "2023-11-14T22:13:20.250Z"
    assert first.filename == f"door-20231114T221320.250Z-{first.id}.jpg"
    assert json.loads(first.metadata) == {
        "source": "door",
        "timestamp": "2023-11-14T22:13:20.250Z",
        "model_id": "m-1",
        "model_version": "7",
    }
    assert (yard.root / "a.jpg").samefile(first.path)
    assert yard.deliver() == [WHOLE, png]


def test_a_folders_priority_is_that_of_its_pictures(still: YardMaker) -> None:
    """What comes from an important folder is marked as such when it is taken."""
    yard = still(priority=8)
    yard.put("a.jpg")
    yard.settle()
    assert [row["priority"] for row in yard.rows("SELECT priority FROM item")] == [8]


def test_older_files_get_the_lower_numbers(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due together is taken in the order of the files' times, whatever the folder's order, batch by batch."""
    monkeypatch.setattr(directory, "BATCH", 4)
    yard = still()
    for number in range(30):
        yard.put(f"{number * 7 % 30:02d}.jpg", jpeg(number), mtime=1_700_000_000 + number * 7 % 30)
    yard.settle()
    assert yard.taken() == [f"{number:02d}.jpg" for number in range(30)]


def test_padding_after_the_end_is_kept(still: YardMaker) -> None:
    """Cameras pad their JPEGs; what follows EOI is sent as well."""
    yard = still()
    padded = WHOLE + bytes(5000) + b"\xff\xff camera 7"
    yard.put("a.jpg", padded)
    yard.settle()
    assert yard.deliver() == [padded]


@pytest.mark.parametrize("extension", [".webp", ".bmp", ".tif"])
def test_other_pictures_are_converted(still: YardMaker, extension: str) -> None:
    """WebP, BMP and TIFF become JPEGs of the same size; a kept one is not converted twice."""
    yard = still()
    path = yard.put(f"a{extension}", coded(extension, width=64, height=48))
    yard.settle()
    (item,) = yard.items()
    assert (item.media_type, item.filename.endswith(".jpg")) == ("image/jpeg", True)
    with item.path.open("rb") as stream:
        found = inspect(stream.fileno(), PictureLimits())
    assert (found.media_type, found.width, found.height) == ("image/jpeg", 64, 48)
    os.utime(path)
    yard.settle()
    assert len(yard.items()) == 1


def test_a_half_written_file_waits(still: YardMaker) -> None:
    """A picture that ends early is looked into less and less often, and taken when it is whole."""
    yard = still()
    with capture_logs() as logs:
        for cut in (0, 1, 100, len(WHOLE) - 1):
            yard.put("a.jpg", WHOLE[:cut])
            yard.settle()
            yard.step(30)
            assert yard.items() == []
        assert [entry for entry in logs if entry["log_level"] == "warning"][1:] == []
        yard.put("a.jpg", WHOLE)
        yard.settle()
    assert yard.digests() == [sha(WHOLE)]


def test_a_file_that_stays_half_is_said_once(still: YardMaker) -> None:
    """After minutes of waiting the log names the file that never became whole, once."""
    yard = still()
    yard.put("a.jpg", WHOLE[:-2])
    with capture_logs() as logs:
        for _ in range(400):
            yard.step(1)
    assert names(logs, "file_delayed") == ["a.jpg"]
    assert "ends in the middle" in next(entry["reason"] for entry in logs if entry["event"] == "file_delayed")


def test_a_slow_writer_is_waited_for(still: YardMaker) -> None:
    """A file that grows by a byte within each quiet time is not looked into before it rests."""
    yard = still()
    for end in range(len(WHOLE) - 8, len(WHOLE) + 1):
        yard.put("a.jpg", WHOLE[:end])
        yard.watch._rounds.ask()
        yard.step(0.9)
        assert yard.items() == []
    yard.step(0.9)
    yard.step(0.1)
    assert yard.digests() == [sha(WHOLE)]


def test_a_change_that_nobody_told_of_is_seen(still: YardMaker) -> None:
    """A whole picture that changed since it was seen is not taken before it is quiet as it is now."""
    yard = still()
    yard.put("a.jpg", WHOLE)
    yard.step()
    yard.step(0.9)
    yard.put("a.jpg", WHOLE + b"padding")
    yard.step(0.1)
    yard.step(0.9)
    assert yard.items() == []
    yard.step(0.1)
    assert yard.digests() == [sha(WHOLE + b"padding")]


def test_events_beyond_the_tracker_wait_for_a_walk(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of files for which there is no room cost no memory, and bring the next walk forward."""
    monkeypatch.setattr(directory, "TRACKED", 4)
    yard = still(rescan_s=3600.0)
    yard.step()
    for number in range(20):
        yard.watch._notices.on_any_event(FileClosedEvent(str(yard.put(f"{number}.jpg"))))
    yard.step()
    assert len(yard.watch._pictures) == 4
    for _ in range(15):
        yard.step(1)
    assert len(yard.items()) == 20


def test_what_is_no_picture_is_said_once(still: YardMaker) -> None:
    """What is nothing to send is named with its reason, again only when it changed or the agent restarted."""
    yard = still()
    yard.put("a.jpg", b"this is no picture")
    yard.put("b.jpg", b"\xff\xd8\xff\x00" + WHOLE)
    yard.put("c.jpg", WHOLE)
    with capture_logs() as logs:
        for _ in range(3):
            yard.settle()
        assert sorted(names(logs, "file_rejected")) == ["a.jpg", "b.jpg"]
        yard.put("a.jpg", b"nor is this")
        for _ in range(3):
            yard.settle()
        assert sorted(names(logs, "file_rejected")) == ["a.jpg", "a.jpg", "b.jpg"]
        yard.reopen()
        yard.settle()
        assert len(names(logs, "file_rejected")) == 5
    assert yard.taken() == ["c.jpg"]
    assert (yard.root / "a.jpg").read_bytes() == b"nor is this"


def test_rejections_are_remembered_within_bounds(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound they are silent, not said at every walk; those that are gone make room."""
    monkeypatch.setattr(aside, "REFUSED", 3)
    yard = still()
    for number in range(5):
        yard.put(f"{number}.jpg", b"no")
    with capture_logs() as logs:
        for _ in range(4):
            yard.settle()
        said = names(logs, "file_rejected")
        assert len(said) == len(set(said)) == 3
        for name in said:
            (yard.root / name).unlink()
        for _ in range(4):
            yard.settle()
        assert len(names(logs, "file_rejected")) == 5


@pytest.mark.parametrize(("decode", "taken"), [(False, ["broken.jpg", "whole.jpg"]), (True, ["whole.jpg"])])
def test_decoding_finds_what_structure_does_not(still: YardMaker, taken: list[str], *, decode: bool) -> None:
    """With `verify = "decode"` a JPEG of whole structure that lacks half its pixels is rejected."""
    picture = coded(".jpg", width=320, height=240)
    yard = still(decode=decode)
    yard.put("broken.jpg", picture[: len(picture) // 2] + b"\xff\xd9")
    yard.put("whole.jpg", picture)
    with capture_logs() as logs:
        yard.settle()
    assert sorted(yard.taken()) == taken
    assert sorted([*yard.taken(), *names(logs, "file_rejected")]) == ["broken.jpg", "whole.jpg"]


def test_a_sidecar_goes_with_its_picture(still: YardMaker) -> None:
    """Boxes beside a picture become its annotations; what comes within the wait is waited for."""
    yard = still(sidecar_wait_s=2.0, annotations=AnnotationPlan(classes=("bolt", "nut")))
    yard.put("first.txt", b"1 0.5 0.5 0.2 0.2\n")
    yard.put("first.jpg", mtime=1)
    yard.put("late.jpg", mtime=2)
    yard.put("never.jpg", mtime=3)
    yard.step()
    yard.step(1)
    assert yard.taken() == ["first.jpg"]
    yard.step(1)
    yard.put("late.json", BOX.encode())
    yard.step(1)
    assert yard.taken() == ["first.jpg", "never.jpg"]
    yard.step(1)
    assert yard.taken() == ["first.jpg", "never.jpg", "late.jpg"]
    said = [json.loads(item.metadata).get("annotations") for item in yard.items()]
    assert [boxes and [box["class_value"] for box in boxes] for boxes in said] == [["nut"], None, ["nut"]]
    first = yard.items()[0]
    assert first.beside is not None
    assert first.beside.read_bytes() == b"1 0.5 0.5 0.2 0.2\n"


def test_a_growing_sidecar_is_waited_for(still: YardMaker) -> None:
    """A sidecar that is still written is not read half."""
    yard = still(sidecar_wait_s=1.0)
    yard.put("a.jpg")
    yard.put("a.json", BOX[:20].encode())
    yard.step()
    for end in range(21, len(BOX), 10):
        yard.put("a.json", BOX[:end].encode())
        yard.step(0.9)
        yard.step(0.1)
        assert yard.items() == []
    yard.put("a.json", BOX.encode())
    yard.step(1)
    yard.step(1)
    assert len(json.loads(yard.items()[0].metadata)["annotations"]) == 1


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [("{", "no JSON"), ('{"annotations": 7}', "must be a list"), ("[" * 20_000, "nested too deeply|no JSON")],
)
def test_a_broken_sidecar_costs_the_boxes_alone(still: YardMaker, sidecar: str, reason: str) -> None:
    """A picture goes without annotations that cannot be read, and the log says why."""
    yard = still()
    yard.put("a.jpg")
    yard.put("a.json", sidecar.encode())
    with capture_logs() as logs:
        yard.settle()
    assert yard.taken() == ["a.jpg"]
    assert "annotations" not in json.loads(yard.items()[0].metadata)
    (said,) = [entry for entry in logs if entry["event"] == "sidecar_rejected"]
    assert any(part in said["reason"] for part in reason.split("|"))


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_plain_file_is_no_sidecar(still: YardMaker, kind: str) -> None:
    """A link or a folder of a sidecar's name is passed over."""
    yard = still()
    yard.put("a.jpg")
    (yard.root.parent / "secret.txt").write_text("0 0.5 0.5 0.1 0.1")
    if kind == "link":
        (yard.root / "a.txt").symlink_to(yard.root.parent / "secret.txt")
    else:
        (yard.root / "a.txt").mkdir()
    yard.settle()
    assert yard.taken() == ["a.jpg"]
    assert "annotations" not in json.loads(yard.items()[0].metadata)


def test_a_pipe_is_never_opened(still: YardMaker) -> None:
    """Whoever waits at the other end of a pipe of a picture's or a sidecar's name goes on waiting."""
    yard = still()
    yard.put("a.jpg")
    writers = []
    for name in ("a.txt", "b.jpg"):
        os.mkfifo(yard.root / name)
        writer = subprocess.Popen(["sh", "-c", f"echo ready; : > {name}"], cwd=yard.root, stdout=subprocess.PIPE)
        writers.append(writer)
        assert writer.stdout is not None
        with writer.stdout as said:
            assert said.readline() == b"ready\n"
    try:
        for _ in range(3):
            yard.settle()
        with pytest.raises(subprocess.TimeoutExpired):
            writers[0].wait(0.2)
        assert writers[1].poll() is None
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert yard.taken() == ["a.jpg"]


def test_an_unreadable_file_holds_nobody_up(still: YardMaker) -> None:
    """A file that may not be read is said once and tried again less often, while all others are taken."""
    yard = still()
    closed = yard.put("a.jpg", WHOLE, mtime=1)
    closed.chmod(0)
    with without_privileges(), capture_logs() as logs:
        for number in range(5):
            yard.put(f"b{number}.jpg")
            yard.settle()
        assert sorted(yard.taken()) == [f"b{number}.jpg" for number in range(5)]
        assert names(logs, "file_delayed") == ["a.jpg"]
        assert names(logs, "intake_paused") == []
        closed.chmod(0o600)
        for _ in range(60):
            yard.step(1)
    assert "a.jpg" in yard.taken()


def test_delayed_files_take_no_ones_place(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files stay half-written, whole ones are found and taken, and memory stays bounded."""
    monkeypatch.setattr(directory, "TRACKED", 8)
    monkeypatch.setattr(aside, "DELAYED", 20)
    yard = still()
    for number in range(50):
        yard.put(f"half-{number}.jpg", WHOLE[:-2])
    for number in range(20):
        yard.put(f"whole-{number}.jpg")
    for _ in range(120):
        yard.step(1)
        assert len(yard.watch._pictures) <= 8 + 20
    assert sorted(yard.taken()) == sorted(f"whole-{number}.jpg" for number in range(20))


def test_quiet_time_begins_at_the_look(still: YardMaker, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a look takes longer than the settle time, a file still has to be seen quiet before it is taken."""
    yard = still()
    yard.put("a.jpg", WHOLE)
    look = yard.listing.look

    def look_slowly(name: str) -> Sighting | None:
        found = look(name)
        clock.advance(5 if name == "a.jpg" else 0)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(yard.listing, "look", look_slowly)
        yard.step()
        assert yard.items() == []
    yard.step(1)
    assert len(yard.items()) == 1


@pytest.mark.parametrize(
    ("seconds", "taken_as"),
    [(-5, "1970-01-01T00:00:00.000Z"), (1.5, "1970-01-01T00:00:01.500Z")],
)
def test_a_time_that_no_calendar_has_is_brought_to_its_edge(still: YardMaker, seconds: float, taken_as: str) -> None:
    """The capture time of a file is its modification time, as far as there is such a time."""
    yard = still()
    os.utime(yard.put("a.jpg"), (seconds, seconds))
    yard.settle()
    assert [utc_text(item.captured_at) for item in yard.items()] == [taken_as]


@pytest.mark.parametrize("seconds", [2**40, -(2**40), 10**12])
def test_a_file_of_any_time_is_taken(still: YardMaker, seconds: int) -> None:
    """No modification time, however senseless, stops the intake."""
    yard = still()
    path = yard.put("a.jpg")
    os.utime(path, (seconds, seconds))
    yard.put("b.jpg")
    yard.settle()
    assert sorted(yard.taken()) == ["a.jpg", "b.jpg"]
    yard.settle()
    assert len(yard.items()) == 2
    assert len(yard.deliver()) == 2


@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", b"two\nlines.jpg", b"x" * 246 + b".jpg", b"-rf.jpg"])
def test_hostile_names_are_taken(still: YardMaker, name: bytes) -> None:
    """Whatever a file is called, it is captured once, and its upload is called as the agent says."""
    yard = still()
    path = yard.put(os.fsdecode(name), WHOLE)
    yard.settle()
    (item,) = yard.items()
    assert item.filename.isascii()
    assert item.origin is not None
    assert item.origin.path == path
    yard.reopen()
    yard.settle()
    assert yard.deliver() == [WHOLE]


def test_three_thousand_files_pass_through_a_small_tracker(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of any size is taken piece by piece: what is tracked stays within its bound."""
    monkeypatch.setattr(directory, "TRACKED", 300)
    monkeypatch.setattr(directory, "BATCH", 150)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a quicker disk
    yard = still()
    for number in range(3000):
        yard.put(f"{number}.jpg", jpeg(number))
    yard.step()
    assert yard.watch._rest_s() == yard.plan.settle_s
    tracked = []
    for _ in range(22):
        yard.step(1)
        tracked.append(len(yard.watch._pictures))
    assert max(tracked) <= 300
    assert len(set(yard.digests())) == len(set(yard.taken())) == 3000
    assert [len(kept) for kept in (yard.watch._sidecars.wait._pairs, yard.watch._sidecars.wait._stems)] == [0, 0]

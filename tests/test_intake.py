from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from drain_rig import ROOMY
from structlog.testing import capture_logs
from wire_rig import SEEN, sha

from agent.errors import SpoolDamaged, SpoolFull, SpoolUnavailable, Wait
from agent.frame import Annotation, Frame, Labels, Model, Position
from agent.health import Pulse
from agent.intake import NO_ROOM, UNAVAILABLE, FrameIntake
from agent.spool.budget import Limits
from agent.spool.schema import mark_damaged
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wire_rig import MovedClock

FULL = Limits(max_bytes=0, min_free_bytes=0)
PICTURE = b"\xff\xd8\xff a frame"


@pytest.fixture
def spool(tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
    """Return a spool with room."""
    with Spool(tmp_path / "spool", ROOMY, clock=clock, owner=True) as opened:
        opened._commits._connection.execute("PRAGMA busy_timeout = 0")
        yield opened


@pytest.fixture
def pulse(clock: MovedClock) -> Pulse:
    """Return the pulse that the intake beats on."""
    return Pulse(clock)


@pytest.fixture
def camera(spool: Spool, pulse: Pulse) -> FrameIntake:
    """Return a live camera's way into the spool."""
    return FrameIntake("belt", spool.inbox, Model("mdl-7", "2.1"), live=True, when_full="thin", pulse=pulse)


@pytest.fixture
def video(spool: Spool, pulse: Pulse) -> FrameIntake:
    """Return a video file's way into the spool."""
    return FrameIntake("clip", spool.inbox, Model(), live=False, when_full="pause", pulse=pulse)


def frame(source: str = "belt", picture: bytes = PICTURE, position: Position | None = None) -> Frame:
    """Return a frame."""
    return Frame(source, picture, SEEN, position=position)


def resize(spool: Spool, limits: Limits) -> None:
    """Give the spool other limits."""
    spool.allowance.limits = limits


def index(spool: Spool) -> closing[sqlite3.Connection]:
    """Open the index beside the spool."""
    return closing(sqlite3.connect(spool.directory / "index.sqlite3", isolation_level=None))


def test_a_frame_becomes_an_item(spool: Spool, camera: FrameIntake) -> None:
    """Its bytes, its moment, its source and the configured model are frozen as they were."""
    with capture_logs() as logs:
        camera.put(frame())
    item = spool.outbox.claim()
    assert item is not None
    assert (item.path.read_bytes(), item.sha256, item.captured_at) == (PICTURE, sha(PICTURE), SEEN)
    assert item.filename == f"belt-20260314T081502.417Z-{item.id}.jpg"
    assert json.loads(item.metadata) == {
        "source": "belt",
        "timestamp": "2026-03-14T08:15:02.417Z",
        "model_id": "mdl-7",
        "model_version": "2.1",
    }
    assert [(entry["event"], entry["item"], entry["bytes"]) for entry in logs] == [
        ("item_spooled", item.id, len(PICTURE))
    ]


def test_what_a_frame_shows_goes_with_it(spool: Spool, camera: FrameIntake) -> None:
    """Its labels become the metadata's annotations; a model that they name is the one that is told."""
    seen = Labels((Annotation("dent", (0.5, 0.5, 0.2, 0.1), 0.9),), Model("mdl-9", "1"))
    camera.put(replace(frame(), labels=seen))
    camera.put(replace(frame(), labels=Labels(())))
    first, second = (json.loads(item.metadata) for item in (spool.outbox.claim(), spool.outbox.claim()) if item)
    assert first["annotations"] == [{"class_value": "dent", "type": "bbox", "geometry": [0.5, 0.5, 0.2, 0.1]}]
    assert (first["model_id"], first["model_version"]) == ("mdl-9", "1")
    assert (second["annotations"], second["model_id"]) == ([], "mdl-7")


def test_a_video_goes_on_where_it_was(spool: Spool, video: FrameIntake) -> None:
    """The place in the file is committed with the frame that it belongs to."""
    video.put(frame("clip", position=Position("a.mp4", "print", 41)))
    assert spool.history.progress("clip", "a.mp4", "print") == Position("a.mp4", "print", 41)
    resize(spool, FULL)
    with pytest.raises(SpoolFull):
        video.put(frame("clip", position=Position("a.mp4", "print", 42)))
    assert spool.history.progress("clip", "a.mp4", "print") == Position("a.mp4", "print", 41)


def test_a_video_waits_for_room(spool: Spool, video: FrameIntake) -> None:
    """Nothing of a file is dropped: the same frame is offered again, and is there once."""
    resize(spool, FULL)
    for _ in range(3):
        with pytest.raises(Wait):
            video.put(frame("clip"))
    assert spool.accounts() == {}
    resize(spool, ROOMY)
    video.put(frame("clip"))
    account = spool.accounts()["clip"]
    assert (account.captured, account.waiting, account.dropped) == (1, 1, {})


def test_a_live_frame_without_room_is_dropped_and_counted(spool: Spool, camera: FrameIntake) -> None:
    """The world does not wait: what finds no room is gone, on record with the reason (I2)."""
    camera.put(frame())
    resize(spool, FULL)
    for _ in range(3):
        camera.put(frame())
    resize(spool, ROOMY)
    camera.put(frame())
    account = spool.accounts()["belt"]
    assert (account.captured, account.waiting, account.dropped) == (5, 2, {NO_ROOM: 3})
    assert account.held_bytes == 2 * len(PICTURE)


def test_i2_what_cannot_be_counted_now_is_counted_later(spool: Spool, camera: FrameIntake) -> None:
    """While the index refuses everything the camera goes on; the books are exact afterwards, with the true reason."""
    camera.put(frame())
    with index(spool) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(4):
            camera.put(frame())
        other.execute("ROLLBACK")
    camera.put(frame())
    account = spool.accounts()["belt"]
    assert (account.captured, account.waiting, account.dropped) == (6, 2, {UNAVAILABLE: 4})
    assert len(list(spool.directory.glob("items/*/*.jpg"))) == 2


@pytest.mark.parametrize("refusal", ["RAISE(FAIL, 'disk I/O error')", "json('rubbish')"])
def test_i2_a_frame_that_went_in_is_not_dropped_too(spool: Spool, camera: FrameIntake, refusal: str) -> None:
    """When only the counting of earlier drops fails, the frame at hand is an item and nothing else."""
    resize(spool, FULL)
    with index(spool) as other:
        other.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON tally WHEN NEW.what = 'dropped' BEGIN SELECT {refusal}; END"
        )
        camera.put(frame())
        resize(spool, ROOMY)
        camera.put(frame())
        assert spool.accounts()["belt"].captured == 1
        other.execute("DROP TRIGGER refuse")
    camera.put(frame())
    account = spool.accounts()["belt"]
    assert (account.captured, account.waiting, account.dropped) == (3, 2, {NO_ROOM: 1})


def test_a_pause_is_said_once(spool: Spool, camera: FrameIntake, clock: MovedClock) -> None:
    """Hours without room are a line every ten minutes, also where a picture goes in now and then."""
    with capture_logs() as logs:
        for limits in (ROOMY, FULL, FULL, FULL, ROOMY, FULL, FULL):
            resize(spool, limits)
            camera.put(frame())
        clock.advance(600)
        camera.put(frame())
        with index(spool) as other:
            resize(spool, ROOMY)
            other.execute("BEGIN IMMEDIATE")
            camera.put(frame())
            camera.put(frame())
            other.execute("ROLLBACK")
    said = [entry["reason"] for entry in logs if entry["event"] == "intake_paused"]
    assert len(said) == 3
    assert "locked" in said[-1]


def test_why_a_source_waits_can_be_asked(spool: Spool, camera: FrameIntake, pulse: Pulse) -> None:
    """`status` shows it for as long as it lasts."""
    assert pulse.paused() == {}
    resize(spool, FULL)
    camera.put(frame())
    assert "spool.max_bytes = 0" in pulse.paused()["belt"]
    resize(spool, ROOMY)
    camera.put(frame())
    assert pulse.paused() == {}


def test_what_is_dropped_is_told_once_a_minute(spool: Spool, camera: FrameIntake, clock: MovedClock) -> None:
    """The first at once, then how many they were: the log of a full spool must not fill the disk."""
    resize(spool, FULL)
    with capture_logs() as logs:
        for _ in range(100):
            camera.put(frame())
            clock.advance(1)
        spool.close()
    told = [(entry["items"], entry["bytes"]) for entry in logs if entry["event"] == "items_dropped"]
    assert told == [(1, 11), (60, 660), (39, 429)]


@pytest.mark.parametrize(
    ("when_full", "reason"), [("pause", NO_ROOM), ("newest", "newest dropped: spool full"), ("thin", NO_ROOM)]
)
def test_a_live_camera_cannot_wait(spool: Spool, pulse: Pulse, when_full: str, reason: str) -> None:
    """Whatever it is told: where nothing gives way for its frame, the frame does, on record (I2)."""
    intake = FrameIntake("belt", spool.inbox, Model(), live=True, when_full=when_full, pulse=pulse)
    resize(spool, FULL)
    intake.put(frame())
    assert spool.accounts()["belt"].dropped == {reason: 1}


def test_the_disks_floor_is_a_pause_like_another(spool: Spool, camera: FrameIntake) -> None:
    """A disk that others fill stops the camera's frames, not the agent (I5)."""
    resize(spool, replace(ROOMY, min_free_bytes=10**18))
    camera.put(frame())
    assert spool.accounts()["belt"].dropped == {NO_ROOM: 1}


@pytest.mark.parametrize("live", [True, False])
def test_damage_is_for_a_restart_to_mend(spool: Spool, pulse: Pulse, *, live: bool) -> None:
    """A corrupt index is neither waited out nor booked as a full spool."""
    intake = FrameIntake("belt", spool.inbox, Model(), live=live, when_full="thin", pulse=pulse)
    with index(spool) as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (spool.directory / "index.sqlite3").open("r+b") as file:
        file.seek(2048)
        file.write(b"\xff" * 2048 * (pages - 1))
    with pytest.raises(SpoolDamaged):
        intake.put(frame())
    mark_damaged(spool.directory)


def test_errors_are_told_apart(spool: Spool, video: FrameIntake) -> None:
    """A full spool and a failing disk are different waits, for the log and for people."""
    with index(spool) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SpoolUnavailable):
            video.put(frame("clip"))
        other.execute("ROLLBACK")
    resize(spool, FULL)
    with pytest.raises(SpoolFull):
        video.put(frame("clip"))


@pytest.mark.parametrize("prepare", [lambda _: None, lambda spool: resize(spool, FULL)], ids=["put", "dropped"])
def test_between_two_frames_the_stage_rests(
    spool: Spool, camera: FrameIntake, pulse: Pulse, clock: MovedClock, prepare: Callable[[Spool], None]
) -> None:
    """A camera that takes a picture an hour is healthy in between, whatever became of the last one."""
    prepare(spool)
    camera.put(frame())
    clock.advance(3600)
    assert pulse.stalled(60) == []


def test_a_frame_has_its_sources_priority_or_its_own(spool: Spool, pulse: Pulse) -> None:
    """A camera's priority is that of its frames, but for those that were given another one."""
    intake = FrameIntake("belt", spool.inbox, Model(), live=True, when_full="thin", pulse=pulse, priority=3)
    intake.put(frame())
    intake.put(replace(frame(), priority=8))
    assert [row["priority"] for row in spool.reader.all("SELECT priority FROM item ORDER BY id")] == [3, 8]

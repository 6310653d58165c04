from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from camera_rig import grabber, running, video
from structlog.testing import capture_logs

from agent.sources.camera import CameraPlan
from agent.sources.children import PIPE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from agent.frame import Frame


def test_every_frame_of_a_file_arrives_once_and_in_order(tmp_path: Path) -> None:
    """At interval 0 a file gives every frame once, in order, the last one marked, and then the thread ends."""
    clip = video(tmp_path / "clip.avi", 20)
    with capture_logs() as logs, running(CameraPlan("belt", str(clip), interval_s=0)) as camera:
        camera.until(camera.ended)
    assert camera.indexes() == list(range(20))
    positions = [frame.position for frame in camera.frames if frame.position]
    assert [position.next_frame for position in positions] == list(range(1, 21))
    assert [position.ended for position in positions] == [False] * 19 + [True]
    assert {position.path for position in positions} == {str(clip)}
    assert camera.state.ended
    assert camera.state.taken == 20
    assert camera.state.problem == ""
    assert [entry["event"] for entry in logs] == ["source_opened", "source_ended"]


def test_an_interval_counts_in_the_files_own_time(tmp_path: Path) -> None:
    """An interval of half a second takes every fifth frame of ten per second, however fast the file is read."""
    clip = video(tmp_path / "clip.avi", 18)
    with running(CameraPlan("belt", str(clip), interval_s=0.5)) as camera:
        camera.until(camera.ended)
    assert camera.indexes() == [0, 5, 10, 15]
    assert camera.frames[-1].position is not None
    assert camera.frames[-1].position.ended


def test_a_frame_is_stamped_as_if_the_file_was_written_with_its_last_frame(tmp_path: Path) -> None:
    """A frame's time is the file's modification time, less its duration, plus the frame's place in it."""
    clip = video(tmp_path / "clip.avi", 20)
    os.utime(clip, (1_700_000_000, 1_700_000_000))
    with running(CameraPlan("belt", str(clip), interval_s=0.5)) as camera:
        camera.until(camera.ended)
    began = datetime.fromtimestamp(1_700_000_000, UTC) - timedelta(seconds=2)
    offsets = [(frame.captured_at - began).total_seconds() for frame in camera.frames]
    assert offsets == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.001)


@pytest.mark.parametrize(("interval_s", "stop_after", "rest"), [(0, 7, range(7, 20)), (0.3, 3, [9, 12, 15, 18])])
def test_a_restart_goes_on_with_the_next_frame(
    tmp_path: Path, interval_s: float, stop_after: int, rest: range | list[int]
) -> None:
    """What an earlier run stored is not taken again, and the frames after it are those of an unbroken run."""
    clip = video(tmp_path / "clip.avi", 20)
    plan = CameraPlan("belt", str(clip), interval_s=interval_s)
    with running(plan) as first:

        def stop_in_time(_: Frame) -> None:
            if len(first.frames) + 1 == stop_after:
                first.stop.set()

        first.on_frame = stop_in_time
        first.until(first.ended)
    assert len(first.frames) == stop_after
    with running(plan, first.positions) as second:
        second.until(second.ended)
    assert second.indexes() == list(rest)


def test_a_file_that_ended_is_not_opened_again_unless_it_changed(tmp_path: Path) -> None:
    """A clip that was read to its end is skipped by the next run; new bytes under its name are a new clip."""
    clip = video(tmp_path / "clip.avi", 3)
    plan = CameraPlan("belt", str(clip), interval_s=0)
    with running(plan) as first:
        first.until(first.ended)
    with capture_logs() as logs, running(plan, first.positions) as second:
        second.until(second.ended)
    assert (second.frames, logs) == ([], [])
    video(clip, 5)
    with running(plan, first.positions) as third:
        third.until(third.ended)
    assert third.indexes() == [0, 1, 2, 3, 4]


def test_a_grabber_killed_in_the_middle_of_a_file_costs_no_frame(tmp_path: Path) -> None:
    """After a kill -9 of the grabber the file goes on behind the last frame that was taken."""
    clip = video(tmp_path / "clip.avi", 40, heavy=True)
    with running(CameraPlan("belt", str(clip), interval_s=0)) as camera:

        def kill_in_the_middle(_: Frame) -> None:
            if len(camera.frames) == 10:
                os.kill(grabber(), signal.SIGKILL)

        camera.on_frame = kill_in_the_middle
        camera.until(camera.ended)
    assert camera.indexes() == list(range(40))
    assert sum(len(frame.picture) for frame in camera.frames) > 3 * PIPE_BYTES, "the kill came after the end"
    assert camera.state.restarts == 1


def test_a_file_waits_for_room_and_loses_nothing(tmp_path: Path) -> None:
    """While the spool says Wait the same frame is offered again; none is dropped."""
    clip = video(tmp_path / "clip.avi", 5)
    plan = CameraPlan("belt", str(clip), interval_s=0)
    with running(plan) as camera:
        camera.full = True
        camera.until(lambda: camera.state.opened)
        assert not camera.ended()
        camera.full = False
        camera.until(camera.ended)
    assert camera.indexes() == [0, 1, 2, 3, 4]


def test_a_stop_ends_a_file_that_waits_for_room(tmp_path: Path) -> None:
    """A full spool holds up a file, never the stop."""
    clip = video(tmp_path / "clip.avi", 5)
    with running(CameraPlan("belt", str(clip), interval_s=0)) as camera:
        camera.full = True
        camera.until(lambda: camera.state.opened)
        assert camera.halt() < 2
    assert camera.frames == []


def test_a_glob_runs_in_sorted_order_and_skips_what_is_no_video(tmp_path: Path) -> None:
    """The files of a glob follow each other by name; one that cannot be opened is reported once and skipped."""
    video(tmp_path / "b.avi", 3)
    video(tmp_path / "a.avi", 2)
    (tmp_path / "aa.avi").write_bytes(b"no video at all")
    with capture_logs() as logs, running(CameraPlan("belt", f"{tmp_path}/*.avi", interval_s=0)) as camera:
        camera.until(camera.ended)
    assert camera.indexes() == [0, 1, 0, 1, 2]
    lost = [entry for entry in logs if entry["event"] == "source_lost"]
    assert len(lost) == 1
    assert "aa.avi cannot be opened" in lost[0]["reason"]
    assert "retry_in_s" not in lost[0]


def test_a_source_that_matches_no_file_says_so_and_ends(tmp_path: Path) -> None:
    """A glob without a match is one clear line, and nothing to wait for."""
    with capture_logs() as logs, running(CameraPlan("belt", f"{tmp_path}/*.mp4")) as camera:
        camera.until(camera.ended)
    assert [entry["reason"] for entry in logs] == [f"no file matches {tmp_path}/*.mp4. Check the camera's source."]
    assert camera.state.ended

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from camera_rig import ENVIRONMENT, children, jpeg, program, video

from agent.clock import SystemClock
from agent.sources.feeds import Opened, Pulse, Shot
from agent.sources.plan import CameraPlan
from agent.sources.trial import Examiner, Trial, try_source

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 14, tzinfo=UTC)


def tried(source: str, *, seconds: float = 0.6, stall_timeout_s: float = 1.0) -> Trial:
    """Try a source in a child process, as the commands do."""
    plan = CameraPlan("trial", source, stall_timeout_s=stall_timeout_s, open_timeout_s=2.0)
    trial = try_source(plan, seconds=seconds, environment=ENVIRONMENT, clock=SystemClock())
    assert not children(), "the child outlived the trial"
    return trial


def examiner(kind: str = "device") -> Examiner:
    """Return an examiner of a source that was opened 2 s after the trial began."""
    examiner = Examiner(Trial("/dev/video0", kind), 100.0)
    examiner.note(Opened("MJPG 1280x720", "MJPG 640x480 30 fps"), 102.0)
    return examiner


def shot(number: int, boot: float) -> Shot:
    """Return a picture that was the so-manieth frame."""
    return Shot(jpeg(3), NOW, boot, next_frame=number)


def test_the_rate_is_measured_by_the_times_of_the_grabs() -> None:
    """Frames counted over the time between their grabs make the rate, however late they were read."""
    watched = examiner()
    watched.note(shot(1, 102.0), 102.1)
    watched.note(shot(31, 103.0), 103.4)
    assert not watched.done(104.9, 3.0)
    assert watched.done(105.0, 3.0)
    trial = watched.verdict(105.0)
    assert (trial.opened_after_s, trial.seconds, trial.fps, trial.frames) == (2.0, 3.0, 30.0, 31)
    assert trial.age_s == pytest.approx(0.4)
    assert (trial.asked, trial.got) == ("MJPG 1280x720", "MJPG 640x480 30 fps")
    assert (trial.width, trial.height, trial.black, trial.problem) == (64, 48, False, "")


def test_a_camera_with_its_cap_on_is_told_by_its_black_frames() -> None:
    """Where every frame was refused the trial names the kinds, and the remedy of the most frequent one."""
    watched = examiner()
    watched.note(Pulse(1, {}), 102.0)
    watched.note(Pulse(61, {"black": 4, "torn": 1}), 104.0)
    trial = watched.verdict(105.0)
    assert trial.problem == "no usable picture came, only 4 black, 1 torn"
    assert trial.remedy.startswith("Take the cap off the lens")
    assert (trial.black, trial.fps) == (True, 30.0)


def test_dark_frames_while_a_camera_wakes_are_no_problem() -> None:
    """One usable picture is enough: the dark ones before it are told, and harm nothing."""
    watched = examiner()
    watched.note(Pulse(20, {"black": 1}), 103.0)
    watched.note(shot(30, 103.5), 103.5)
    trial = watched.verdict(105.0)
    assert (trial.problem, trial.black, dict(trial.bad)) == ("", False, {"black": 1})


def test_silence_is_told_as_such() -> None:
    """A source that opens and gives nothing has a problem, and no rate."""
    trial = examiner().verdict(105.0)
    assert (trial.problem, trial.fps, trial.frames) == ("no frame came", None, 0)


def test_rubbish_that_ends_like_a_picture_is_told() -> None:
    """What the platform would refuse is no usable picture, although the source gave it as one."""
    watched = examiner("command")
    watched.note(Shot(b"\xff\xd8\xff\xd9", NOW, 102.0), 102.0)
    trial = watched.verdict(103.0)
    assert trial.problem.startswith("the source gives pictures that cannot be sent: ")
    assert trial.black is None


def test_the_picture_is_in_no_text(tmp_path: Path) -> None:
    """A trial's text and its JSON tell the picture's size, never its bytes."""
    trial = tried(str(video(tmp_path / "a.avi", 5)))
    assert trial.picture
    assert "\\xff" not in repr(trial)
    assert trial.as_json()["picture"] == {"bytes": len(trial.picture), "width": 64, "height": 48}


def test_a_video_file_is_tried_in_the_grabber(tmp_path: Path) -> None:
    """A file is read to its end by the real child; its first and its later frames are judged."""
    trial = tried(str(video(tmp_path / "a.avi", 20)))
    assert (trial.kind, trial.opened, trial.frames, trial.problem) == ("file", True, 20, "")
    assert trial.got.startswith("MJPG 64x48 10 fps")
    assert (trial.black, trial.age_s) == (False, None)


def test_a_black_video_is_found_to_be_black(tmp_path: Path) -> None:
    """Frames without light are refused like a camera's, though the daemon would send a file's as they are."""
    path = tmp_path / "black.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for _ in range(12):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    trial = tried(str(path))
    assert (trial.black, trial.frames, trial.picture) == (True, 12, b"")
    assert set(trial.bad) == {"black"}
    assert "only 3 black" in trial.problem


def test_a_program_is_tried_for_as_long_as_asked(tmp_path: Path) -> None:
    """A live source is left after the time that was asked for, with its rate, and its child ended."""
    trial = tried(program(tmp_path, "for index in range(10000): show(index); time.sleep(0.02)\n"), seconds=1.0)
    assert (trial.problem, trial.black, trial.width) == ("", None, 64)
    assert 1.0 <= trial.seconds < 2.0
    assert trial.fps is not None
    assert 10 < trial.fps <= 50
    assert trial.age_s is not None
    assert trial.age_s < 1.0


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("/nonexistent/*.avi", "no file matches /nonexistent/*.avi"),
        ("rtsp://user:secret@127.0.0.1:9/x", "rtsp://***@127.0.0.1:9/x cannot be opened"),
        ("cmd:/nonexistent/program", "/nonexistent/program cannot be started: No such file or directory"),
        ("/dev/video99", "/dev/video99 cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_told_without_a_password(source: str, problem: str) -> None:
    """A source that does not open ends the trial with its reason; no password is in it."""
    trial = tried(source)
    assert (trial.problem, trial.opened, trial.black) == (problem, False, None)
    assert "secret" not in repr(trial)


def test_a_silent_program_ends_by_its_time_out(tmp_path: Path) -> None:
    """A source that says nothing is given up after its stall time-out: a trial never hangs."""
    trial = tried(program(tmp_path, "time.sleep(60)\n"), stall_timeout_s=0.5)
    assert trial.problem == "no frame for 0.5 s"

"""A detector in the real grabber, with a real model: boxes, a slow one, a hung one, one that takes the process down."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from camera_rig import alive, grabber, program, running
from test_camera_live import MjpegServer

from agent.annotators.outpost import CRASHED, Outpost
from agent.annotators.plan import AnnotatorPlan
from agent.clock import SystemClock
from agent.frame import Model
from agent.sources.camera import CameraPlan

sys.path.append(str(Path(__file__).parents[1] / "annotators"))  # which has the models

from models import SIDE, cell_finder, spotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.annotators.desk import AnnotatorState
    from agent.annotators.plan import Rule

PATCH = """
import os, signal, time
import agent.annotators.sight as sight
real = sight.detector
def detector(plan):
    see = real(plan)
    def seen(pixels):
        {body}
        return see(pixels)
    return seen
sight.detector = detector
"""


class Told:
    """A parent's side, and what it told."""

    def __init__(self, folder: Path, *, timeout_s: float = 20.0, rule: Rule = "send_without", model: str = "") -> None:
        self.states: list[AnnotatorState] = []
        self.passed: list[tuple[str, int]] = []
        if not model:
            model = str(cell_finder(folder / "cells.onnx"))
        detection = {"model_file": model, "classes": ["light", "dark"], "input_size": SIDE, "min_confidence": 0.6}
        self.outpost = Outpost(
            "belt",
            AnnotatorPlan("cv2dnn", timeout_s=timeout_s, start_timeout_s=2.0, on_failure=rule, model=Model("mdl", "7")),
            detection,
            pass_over=lambda reason, items: self.passed.append((reason, items)),
            clock=SystemClock(),
            rng=random.Random(1),
            observe=self.states.append,
        )

    @property
    def problem(self) -> str:
        """Return what is wrong now."""
        return self.states[-1].problem


def film(path: Path, places: Sequence[tuple[int, int]], size: tuple[int, int] = (128, 64)) -> str:
    """Write a video of dark pictures with a light in one place each, ten a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, size)
    for place in places:
        writer.write(spotted(*place, width=size[0], height=size[1]))
    writer.release()
    return str(path)


def patched(folder: Path, body: str) -> str:
    """Return a path of modules with which something is done to each frame before the detector looks at it."""
    (folder / "lib").mkdir()
    (folder / "lib" / "sitecustomize.py").write_text(PATCH.format(body=body), encoding="utf-8")
    return str(folder / "lib")


def lit(picture: bytes) -> tuple[float, float]:
    """Return where the light of a JPEG is: its middle, 0..1."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    rows, columns = np.nonzero(pixels > 128)
    return float(columns.mean() + 0.5) / pixels.shape[1], float(rows.mean() + 0.5) / pixels.shape[0]


def test_a_box_lies_where_the_light_is(tmp_path: Path) -> None:
    """No second child is asked, and the labels are those of the very frame, with the model's name."""
    places = [(0, 0), (1, 1), (2, 0), (3, 1)]
    told = Told(tmp_path)
    plan = CameraPlan("belt", film(tmp_path / "a.avi", places), interval_s=0)
    with running(plan, outpost=told.outpost) as camera:
        camera.until(camera.ended)
    assert len(camera.frames) == 4
    for frame in camera.frames:
        assert frame.labels is not None
        assert frame.labels.model == Model("mdl", "7")
        (box,) = frame.labels.annotations
        assert box.class_value == "light"
        assert box.geometry[:2] == pytest.approx(lit(frame.picture), abs=0.02)
    assert (told.states[-1].answered, told.states[-1].failed) == (4, 0)


RIGHT = (0.5, 0.0, 0.5, 1.0)
LOWER_LEFT_OF_IT = ((0.5, 0.5), (0.74, 0.5), (0.74, 1.0), (0.5, 1.0))


@pytest.mark.parametrize(
    ("crop", "masks", "side", "hidden"),
    [(None, (), 64, False), (RIGHT, (), 0, False), (RIGHT, (LOWER_LEFT_OF_IT,), 64, True)],
    ids=["scaled", "cropped", "all"],
)
def test_boxes_follow_the_pixels(tmp_path: Path, crop: Any, masks: Any, side: int, *, hidden: bool) -> None:  # noqa: ANN401
    """Cropped, masked, scaled: the boxes lie on the light of the picture that is sent, if it is there to be seen."""
    told = Told(tmp_path)
    source = film(tmp_path / "a.avi", [(3, 0), (3, 1), (2, 1)], (256, 128))
    plan = CameraPlan("belt", source, interval_s=0, crop=crop, masks=masks, max_side=side)
    with running(plan, outpost=told.outpost) as camera:
        camera.until(camera.ended)
    found = [frame.labels.annotations if frame.labels else () for frame in camera.frames]
    assert [len(boxes) > 0 for boxes in found] == [True, True, not hidden]
    for frame, boxes in zip(camera.frames, found, strict=True):
        if boxes:
            centres = np.array([box.geometry[:2] for box in boxes])
            assert tuple(centres.mean(axis=0)) == pytest.approx(lit(frame.picture), abs=0.02)


def test_a_model_that_cannot_be_loaded_leaves_the_camera_alone(tmp_path: Path) -> None:
    """Its frames go on without labels, with the reason; the camera was never lost."""
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    told = Told(tmp_path, model=str(tmp_path / "bad.onnx"))
    with running(
        CameraPlan("belt", film(tmp_path / "a.avi", [(0, 0)] * 3), interval_s=0), outpost=told.outpost
    ) as camera:
        camera.until(camera.ended)
    assert len(camera.frames) == 3
    assert all("cannot be loaded" in frame.unannotated and frame.labels is None for frame in camera.frames)
    assert "cannot be loaded" in told.problem
    assert camera.state.restarts == 0


def test_a_frame_that_takes_longer_than_the_stall_timeout_is_no_dead_camera(tmp_path: Path) -> None:
    """The grabber tells that it lives all the while; nothing is opened anew, and nothing is lost."""
    told = Told(tmp_path)
    plan = CameraPlan("belt", film(tmp_path / "a.avi", [(0, 0), (1, 1)]), interval_s=0, stall_timeout_s=1.0)
    with running(plan, outpost=told.outpost, PYTHONPATH=patched(tmp_path, "time.sleep(2.2)")) as camera:
        camera.until(camera.ended, seconds=30)
    assert [frame.unannotated for frame in camera.frames] == ["", ""]
    assert camera.state.restarts == 0
    assert told.states[-1].latency_s is not None
    assert told.states[-1].latency_s >= 2.2


def test_a_detector_that_hangs_has_the_process_started_anew(tmp_path: Path) -> None:
    """By the rule `wait` the video stops at its frame, until a new process looks at it; none is lost."""
    stuck = tmp_path / "stuck"
    stuck.touch()
    told = Told(tmp_path, timeout_s=0.3, rule="wait")
    body = f"time.sleep(600 if os.path.exists({str(stuck)!r}) else 0)"
    plan = CameraPlan("belt", film(tmp_path / "a.avi", [(0, 0)] * 3), interval_s=0)
    with running(plan, outpost=told.outpost, PYTHONPATH=patched(tmp_path, body)) as camera:
        camera.until(lambda: "did not answer in time" in told.problem)
        stuck.unlink()
        camera.until(camera.ended, seconds=30)
    assert any("the detector hangs" in state.problem for state in camera.states)
    assert [frame.unannotated for frame in camera.frames] == [""] * 3
    assert (told.states[-1].answered, told.problem) == (3, "")


def test_a_detector_that_takes_its_process_down_is_not_asked_at_once(tmp_path: Path) -> None:
    """The frames that follow go without it, from a new process, and the status says whose fault it was."""
    told = Told(tmp_path)
    source = film(tmp_path / "a.avi", [(0, 0)] * 60)
    body = "os.kill(os.getpid(), signal.SIGKILL)"
    with running(
        CameraPlan("belt", source, interval_s=0), outpost=told.outpost, PYTHONPATH=patched(tmp_path, body)
    ) as camera:
        camera.until(camera.ended, seconds=30)
    assert camera.state.restarts == 1
    assert told.problem == CRASHED
    assert len(camera.frames) == 60
    assert all("rests after a failure" in frame.unannotated for frame in camera.frames)


def test_a_stop_does_not_wait_for_a_frame_that_is_looked_at(tmp_path: Path) -> None:
    """The child is ended in the middle of it (I4)."""
    told = Told(tmp_path)
    source = film(tmp_path / "a.avi", [(0, 0)] * 3)
    with running(
        CameraPlan("belt", source, interval_s=0), outpost=told.outpost, PYTHONPATH=patched(tmp_path, "time.sleep(60)")
    ) as camera:
        camera.until(lambda: told.states[-1].answered == 0 and grabber())
        pid = grabber()
        assert camera.halt() < 2.5
    assert not alive(pid)


def test_a_programs_frames_are_no_affair_of_the_grabbers(tmp_path: Path) -> None:
    """There is no grabber that could look at them: they come without labels, and the annotator's desk is asked."""
    told = Told(tmp_path)
    source = program(tmp_path, "for index in range(3):\n    show(index); time.sleep(0.05)\ntime.sleep(30)")
    with running(CameraPlan("belt", source, interval_s=0), outpost=told.outpost) as camera:
        camera.until(lambda: len(camera.frames) >= 2)
    assert all(frame.labels is None and not frame.unannotated for frame in camera.frames)


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    """Return a camera that streams 20 frames a second."""
    made = MjpegServer()
    yield made
    made.close()


def live(server: MjpegServer, *, side: int = 0) -> CameraPlan:
    """Return a plan for it, with a stall timeout that is shorter than the frames take."""
    return CameraPlan("gate", server.url, interval_s=0.0, open_timeout_s=3.0, stall_timeout_s=1.0, max_side=side)


def test_a_live_camera_goes_on_while_a_frame_is_looked_at(tmp_path: Path, server: MjpegServer) -> None:
    """Twice as long as the stall timeout: it is not opened anew, and the frames that passed are counted."""
    told = Told(tmp_path)
    with running(live(server), outpost=told.outpost, PYTHONPATH=patched(tmp_path, "time.sleep(2.2)")) as camera:
        camera.until(lambda: len(camera.frames) >= 2)
        assert camera.state.restarts == 0
        # Grabbed all the while, at the camera's own rate.
        camera.until(lambda: camera.state.seen > 40)
    assert all(frame.labels is not None for frame in camera.frames)
    assert server.connections == 1
    assert dict(told.passed)["the annotator was busy"] > 5


def test_a_live_camera_outlives_a_detector_that_takes_its_process_down(tmp_path: Path, server: MjpegServer) -> None:
    """The pictures go on without labels, and the status says whose fault it was."""
    told = Told(tmp_path)
    body = "os.kill(os.getpid(), signal.SIGSEGV)"
    with running(live(server), outpost=told.outpost, PYTHONPATH=patched(tmp_path, body)) as camera:
        camera.until(lambda: len(camera.frames) >= 10, seconds=30)
    assert all("rests after a failure" in frame.unannotated for frame in camera.frames)

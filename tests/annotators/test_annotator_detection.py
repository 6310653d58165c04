from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from models import SIDE, cell_finder, spotted

from agent.annotations.read import Subject
from agent.annotators.answers import read_answer
from agent.annotators.command import StreamProgram
from agent.annotators.detection import BadModel, Detection, Detector, chosen, letterbox
from agent.annotators.plan import AnnotatorPlan
from agent.app.annotator_plans import detection_plan
from agent.clock import SystemClock
from agent.config.annotators import AnnotatorSettings
from agent.errors import Unanswered
from agent.workers import Stop

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("light", "dark")


@pytest.mark.parametrize("head", ["v8", "v5"])
@pytest.mark.parametrize("named", [NAMES, ()])
def test_a_box_lies_where_the_light_is(tmp_path: Path, head: str, named: tuple[str, ...]) -> None:
    """Both heads are read, with and without names; the bars of a wide picture are taken off again."""
    detector = Detector(Detection(str(cell_finder(tmp_path / "m.onnx", head=head)), named, SIDE, 0.6))
    for column in range(4):
        for row in range(2):
            ((name, geometry, confidence),) = detector.look(spotted(column, row))
            assert name == ("light" if named else "0")
            assert geometry == pytest.approx(((column + 0.5) / 4, (row + 0.5) / 2, 1 / 4, 1 / 2), abs=0.5 / SIDE)
            assert confidence == pytest.approx(250 / 255, abs=0.02)


def test_a_tall_picture_and_a_grey_one(tmp_path: Path) -> None:
    """Bars may be on the left and right, and grey pixels have one value each."""
    detector = Detector(Detection(str(cell_finder(tmp_path / "m.onnx")), NAMES, SIDE, 0.6))
    tall = cv2.rotate(spotted(0, 0), cv2.ROTATE_90_CLOCKWISE)
    ((_, geometry, _),) = detector.look(tall)
    assert geometry == pytest.approx((0.75, 0.125, 0.5, 0.25), abs=0.5 / SIDE)
    assert len(detector.look(spotted(1, 1)[:, :, 0])) == 1


def test_of_boxes_that_overlap_the_surest_is_kept(tmp_path: Path) -> None:
    """A detector finds a thing many times over; one box is told."""
    path = str(cell_finder(tmp_path / "m.onnx", twice=True))
    assert len(Detector(Detection(path, NAMES, SIDE, 0.6)).look(spotted(2, 1))) == 1
    assert len(Detector(Detection(path, NAMES, SIDE, 0.6, overlap=1.0)).look(spotted(2, 1))) == 2


def test_boxes_of_two_classes_do_not_put_each_other_out() -> None:
    """A person in a car is two things in nearly one box; the same class twice is one."""
    boxes = np.array([[30, 30, 20, 20], [31, 30, 20, 20]], np.float32)
    plan = Detection("m.onnx", NAMES, SIDE)
    assert len(chosen(boxes, np.array([[0.9, 0.1], [0.1, 0.8]], np.float32), plan)) == 2
    assert chosen(boxes, np.array([[0.8, 0.1], [0.9, 0.1]], np.float32), plan) == [(1, 0)]


def test_nothing_is_seen_in_the_dark(tmp_path: Path) -> None:
    """No box is an answer, too."""
    detector = Detector(Detection(str(cell_finder(tmp_path / "m.onnx")), NAMES, SIDE, 0.6))
    assert detector.look(np.full((48, 64, 3), 9, np.uint8)) == []


def test_the_whole_picture_fits_into_the_square() -> None:
    """Whatever its shape, no side is lost, and the bars are grey."""
    for height, width in ((64, 128), (128, 64), (1, 500), (64, 64)):
        square, fit = letterbox(np.zeros((height, width, 3), np.uint8), SIDE)
        assert square.shape == (SIDE, SIDE, 3)
        assert fit.scale * max(height, width) == pytest.approx(SIDE)
        assert int((square == 0).all(axis=2).sum()) == max(1, round(height * fit.scale)) * max(
            1, round(width * fit.scale)
        )


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_pixels_of_any_camera_are_fitted(channels: tuple[int, ...]) -> None:
    """Grey ones and those with a fourth channel become what the network takes: three."""
    square, _ = letterbox(np.full((40, 60, *channels), 7, np.uint8), SIDE)
    assert square.shape == (SIDE, SIDE, 3)
    assert square[SIDE // 2, SIDE // 2].tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no model", "m.onnx cannot be loaded"), (None, "m.onnx cannot be loaded")],
)
def test_a_file_that_is_no_model_is_told(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """One sentence with the file's name, also where there is none."""
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadModel, match=reason):
        Detector(Detection(str(path)))


def test_names_have_to_be_those_of_the_model(tmp_path: Path) -> None:
    """A list of another model would name everything wrongly."""
    path = str(cell_finder(tmp_path / "m.onnx", classes=5))
    with pytest.raises(BadModel, match="the model knows 5 classes, and 2 have a name"):
        Detector(Detection(path, NAMES, SIDE)).look(spotted(0, 0))


def test_a_square_of_another_size_is_told(tmp_path: Path) -> None:
    """The model takes 64 pixels, whatever the configuration says."""
    with pytest.raises(BadModel, match=r"does not run|no detector"):
        Detector(Detection(str(cell_finder(tmp_path / "m.onnx")), NAMES, 640)).look(spotted(0, 0))


def child(settings: AnnotatorSettings) -> StreamProgram:
    """Start the detector child as the daemon does."""
    order = json.dumps(detection_plan(settings)).encode() + b"\n"
    arguments = [sys.executable, "-P", "-m", "agent.annotators.detector", str(os.getpid())]
    environment = {"PATH": os.environ["PATH"]}
    return StreamProgram(
        arguments, AnnotatorPlan("cv2dnn"), environment=environment, stop=Stop(), clock=SystemClock(), order=order
    )


def test_the_child_answers_as_any_annotator(tmp_path: Path) -> None:
    """JPEGs in, boxes with names out; a picture that is none is told, and harms no other."""
    path = cell_finder(tmp_path / "m.onnx")
    settings = AnnotatorSettings(
        kind="cv2dnn",
        model_file=path,
        input_size=SIDE,
        min_confidence=0.6,
        classes=list(NAMES),  # type: ignore[arg-type]  # as TOML has it
    )
    engine, plan = child(settings), AnnotatorPlan("cv2dnn")
    try:
        jpeg = cv2.imencode(".jpg", spotted(3, 0))[1].tobytes()
        assert json.loads(engine.look(b"\xff\xd8 no picture")) == {"error": "it cannot be decoded"}
        (box,) = read_answer(engine.look(jpeg), plan, Subject("", 128, 64)).annotations
        assert box.class_value == "light"
        assert box.geometry == pytest.approx((0.875, 0.25, 0.25, 0.5), abs=0.01)
    finally:
        engine.close()


def test_the_child_says_why_it_cannot_start(tmp_path: Path) -> None:
    """Its last words are the sentence about the model."""
    engine = child(AnnotatorSettings(kind="cv2dnn", model_file=tmp_path / "none.onnx"))
    try:
        with pytest.raises(Unanswered, match=r"status 1: the model .*none.onnx cannot be loaded"):
            engine.look(b"\xff\xd8")
    finally:
        engine.close()

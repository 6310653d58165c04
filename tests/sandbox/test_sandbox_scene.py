from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from agent.sandbox.scene import COLOURS, draw

SCENE = [sys.executable, "-m", "agent.sandbox.scene"]


@pytest.mark.parametrize("index", [0, 7, 20, 41, 133, 1000])
@pytest.mark.parametrize(("width", "height"), [(640, 360), (321, 243), (64, 400)])
def test_boxes_are_true(index: int, width: int, height: int) -> None:
    """The boxes told are those of the connected patches of each class's colour, to the pixel; none is left out."""
    pixels, boxes = draw(index, width, height)
    seen = set()
    for name, colour in COLOURS.items():
        _, _, patches, _ = cv2.connectedComponentsWithStats(cv2.inRange(pixels, colour, colour), connectivity=8)
        seen |= {(name, *map(int, patch[:4])) for patch in patches[1:]}
    told = set()
    for box in boxes:
        x_center, y_center, across, down = box.geometry
        left, top = (x_center - across / 2) * width, (y_center - down / 2) * height
        told.add((box.class_value, *map(round, (left, top, across * width, down * height))))
    assert told == seen
    assert len(boxes) == len(told)


def test_the_scene_moves_and_shows_every_class() -> None:
    """No two frames are alike, boxes stay within the picture, and in a while every class comes by."""
    frames = [draw(index, 160, 90) for index in range(60)]
    assert len({pixels.tobytes() for pixels, _ in frames}) == 60
    boxes = [box for _, found in frames for box in found]
    assert {box.class_value for box in boxes} == set(COLOURS)
    for box in boxes:
        x_center, y_center, width, height = box.geometry
        assert 0 < width <= 2 * min(x_center, 1 - x_center) + 1e-9
        assert 0 < height <= 2 * min(y_center, 1 - y_center) + 1e-9


def test_it_writes_whole_jpegs() -> None:
    """The process writes as many JPEGs as it was asked for, one after the other, and nothing else."""
    line = [*SCENE, "--frames", "3", "--fps", "1000", "--width", "160", "--height", "90"]
    ended = subprocess.run(line, capture_output=True, timeout=30, check=True)
    pictures = [b"\xff\xd8\xff" + piece for piece in ended.stdout.split(b"\xff\xd8\xff")[1:]]
    shapes = []
    for picture in pictures:
        decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        shapes.append(decoded.shape)
    assert shapes == [(90, 160, 3)] * 3
    assert ended.stderr == b""


def test_no_two_runs_are_alike() -> None:
    """A second run does not repeat the bytes of the first, which the platform would refuse as duplicates."""
    line = [*SCENE, "--frames", "1"]
    first, second = (subprocess.run(line, capture_output=True, timeout=30, check=True).stdout for _ in range(2))
    assert first != second


def test_it_ends_in_silence_when_its_reader_leaves() -> None:
    """A reader that closes the pipe ends the process, with status 0 and without a word."""
    with subprocess.Popen([*SCENE, "--fps", "100"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.read(3) == b"\xff\xd8\xff"
        child.stdout.close()
        assert child.wait(10) == 0
        assert child.stderr.read() == b""


def test_it_ends_in_silence_when_told_to() -> None:
    """SIGTERM ends the process at once, without a word."""
    with subprocess.Popen(SCENE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.read(3) == b"\xff\xd8\xff"
        child.terminate()
        child.wait(5)
        assert child.stderr.read() == b""

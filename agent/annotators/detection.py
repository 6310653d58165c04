"""An ONNX detector with a YOLO-style head, run by OpenCV; imported in the process of `detector`, and in a camera's.

Two heads are told apart by their shape: `[1, 4 + classes, N]` (v8 and later: a box and the scores of the classes, a
column each) and `[1, N, 5 + classes]` (v5: a box, an objectness and the scores, a row each). Boxes are centre and size
in pixels of the network's input, to which a picture is fitted whole, with grey bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

GREY = 114
"""What YOLO's own training fills the bars with."""
MOST = 300
"""Boxes of one picture, the surest ones; as Ultralytics' own limit."""
_BOX = 4
_TO_COLOUR = {(): cv2.COLOR_GRAY2BGR, (1,): cv2.COLOR_GRAY2BGR, (4,): cv2.COLOR_BGRA2BGR}


class BadModel(Exception):
    """The model cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Detection:
    """How a detector is run. `classes` are the names by index; without any, the index is the name."""

    model_file: str
    classes: tuple[str, ...] = ()
    input_size: int = 640
    min_confidence: float = 0.25
    overlap: float = 0.45
    head: str = "auto"

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> Detection:
        """Read what a child process was told of it, as JSON."""
        return cls(**{**facts, "classes": tuple(facts["classes"])})


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture lies in the network's input: scaled, and moved by the bars to its left and above it."""

    scale: float
    left: int
    top: int


class Detector:
    """A loaded model; raises `BadModel`, with a sentence, where it is none that can be used."""

    def __init__(self, plan: Detection) -> None:
        self._plan = plan
        try:
            self._net = cv2.dnn.readNetFromONNX(plan.model_file)
        except cv2.error as error:
            reason = " ".join((error.err or str(error)).split())[:200]
            raise BadModel(f"the model {plan.model_file} cannot be loaded: {reason}") from None

    def look(self, pixels: Any) -> list[tuple[str, tuple[float, float, float, float], float]]:  # noqa: ANN401 (BGR pixels)
        """Return what is seen in BGR pixels: class, centre and size in fractions of the picture, confidence."""
        size = self._plan.input_size
        blob, fit = letterbox(pixels, size)
        try:
            self._net.setInput(cv2.dnn.blobFromImage(blob, 1 / 255, (size, size), swapRB=True))
            output = self._net.forward()
        except cv2.error as error:
            reason = " ".join((error.err or str(error)).split())[:200]
            raise BadModel(f"the model {self._plan.model_file} does not run: {reason}") from None
        boxes, scores = candidates(output, self._plan)
        height, width = pixels.shape[:2]
        found = []
        for index, class_index in chosen(boxes, scores, self._plan):
            x, y, across, down = boxes[index]
            geometry = (
                (x - fit.left) / fit.scale / width,
                (y - fit.top) / fit.scale / height,
                across / fit.scale / width,
                down / fit.scale / height,
            )
            name = self._plan.classes[class_index] if self._plan.classes else str(class_index)
            x_center, y_center, wide, high = (float(side) for side in geometry)
            found.append((name, (x_center, y_center, wide, high), float(scores[index, class_index])))
        return found


def letterbox(pixels: Any, size: int) -> tuple[Any, Fit]:  # noqa: ANN401 (BGR pixels)
    """Return the picture fitted into a square, with grey bars, and how it lies there.

    Pixels that come from a camera may be grey, or have a fourth channel, as some pipelines of GStreamer give them.
    """
    height, width, *channels = pixels.shape
    if (to_colour := _TO_COLOUR.get(tuple(channels))) is not None:
        pixels = cv2.cvtColor(pixels, to_colour)
    scale = size / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.full((size, size, 3), GREY, np.uint8)
    left, top = (size - wide) // 2, (size - high) // 2
    square[top : top + high, left : left + wide] = cv2.resize(pixels, (wide, high))
    return square, Fit(scale, left, top)


def candidates(output: Any, plan: Detection) -> tuple[Any, Any]:  # noqa: ANN401 (what the network gives)
    """Return the boxes (N x 4) and the scores of their classes (N x classes) of either head."""
    raw = np.asarray(output[0] if isinstance(output, list | tuple) else output)
    if raw.ndim != 3 or raw.shape[0] != 1:  # noqa: PLR2004 (one picture, rows, columns)
        raise BadModel(f"the model gives an output of the shape {list(raw.shape)}, no detector's [1, 4 + classes, N]")
    rows = raw[0]
    if head_of(rows.shape, plan) == "v8":
        boxes, scores = rows[:_BOX].T, rows[_BOX:].T
    else:
        boxes, scores = rows[:, :_BOX], rows[:, _BOX + 1 :] * rows[:, _BOX : _BOX + 1]
    if plan.classes and scores.shape[1] != len(plan.classes):
        raise BadModel(f"the model knows {scores.shape[1]} classes, and {len(plan.classes)} have a name in `classes`")
    return boxes, scores


def head_of(shape: tuple[int, int], plan: Detection) -> str:
    """Return `v8` or `v5`: by the number of the classes where it is known, else by the shorter side."""
    if plan.head != "auto":
        return plan.head
    count = len(plan.classes)
    if count and (shape[0] == _BOX + count) != (shape[1] == _BOX + 1 + count):
        return "v8" if shape[0] == _BOX + count else "v5"
    return "v8" if shape[0] < shape[1] else "v5"


def chosen(boxes: Any, scores: Any, plan: Detection) -> list[tuple[int, int]]:  # noqa: ANN401 (arrays)
    """Return the boxes that are kept and their classes: sure enough, and the surest of those that overlap.

    Boxes of different classes do not put each other out.
    """
    if scores.size == 0:
        return []
    best = scores.argmax(axis=1)
    sure = scores.max(axis=1)
    sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    wanted = np.flatnonzero((sure >= plan.min_confidence) & sound)
    if not len(wanted):
        return []
    # Moved apart by class, boxes of two classes never overlap.
    apart = best[wanted, None] * 4.0 * plan.input_size
    corners = boxes[wanted, :2] - boxes[wanted, 2:] / 2 + apart
    rectangles = np.concatenate([corners, boxes[wanted, 2:]], axis=1)
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), sure[wanted].tolist(), plan.min_confidence, plan.overlap)
    return [(int(wanted[index]), int(best[wanted[index]])) for index in np.asarray(kept).reshape(-1)[:MOST]]

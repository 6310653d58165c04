"""Small ONNX models whose boxes are known: one finds the brightest cell of a picture, in either head's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 64
CELL = 16
CELLS = SIDE // CELL
COUNT = CELLS * CELLS


def cell_finder(path: Path, *, head: str = "v8", classes: int = 2, twice: bool = False) -> Path:
    """Write a model that gives a box for each cell of 16 pixels, and its mean brightness as the first class's score.

    The input is 64 pixels square. With `twice` each box comes a second time, moved by a pixel.
    """
    places = [(x * CELL + CELL / 2, y * CELL + CELL / 2, CELL, CELL) for y in range(CELLS) for x in range(CELLS)]
    boxes = np.array(places, np.float32).T.reshape(1, 4, COUNT)
    nothing = np.zeros((1, classes - 1, COUNT), np.float32)
    constants: dict[str, np.ndarray] = {
        "boxes": boxes,
        "nothing": nothing,
        "weights": np.full((1, 3, CELL, CELL), 1 / (3 * CELL * CELL), np.float32),
        "flat": np.array([1, 1, COUNT], np.int64),
        "one": np.ones((1, 1, COUNT), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["means"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Reshape", ["means", "flat"], ["scores"]),
    ]
    parts = ["boxes", "scores", "nothing"] if head == "v8" else ["boxes", "one", "scores", "nothing"]
    nodes.append(helper.make_node("Concat", parts, ["columns"], axis=1))
    rows, last, count = 4 + classes + (head == "v5"), "columns", COUNT
    if twice:
        constants["moved"] = np.zeros((1, rows, COUNT), np.float32)
        constants["moved"][:, :2] = 1.0
        nodes.append(helper.make_node("Add", ["columns", "moved"], ["others"]))
        nodes.append(helper.make_node("Concat", ["columns", "others"], ["both"], axis=2))
        last, count = "both", COUNT * 2
    if head == "v5":
        nodes.append(helper.make_node("Transpose", [last], ["output"], perm=[0, 2, 1]))
    else:
        nodes.append(helper.make_node("Reshape", [last, "shape"], ["output"]))
        constants["shape"] = np.array([1, rows, count], np.int64)
    shape = [1, count, rows] if head == "v5" else [1, rows, count]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def spotted(column: int, row: int, *, width: int = 128, height: int = 64) -> np.ndarray:
    """Return a dark picture with a bright square: cell `column`, `row` of a grid of 4 by 2 that spans it."""
    pixels = np.full((height, width, 3), 20, np.uint8)
    across, down = width // 4, height // 2
    pixels[row * down : (row + 1) * down, column * across : (column + 1) * across] = 250
    return pixels

"""`python -m agent.sandbox.scene`: a moving test scene as MJPEG on standard output, a camera without hardware.

Parts travel over a conveyor belt from left to right. `draw` tells where each of them is, so that pictures can be
sent with boxes that are true. A process of its own: it may hold OpenCV.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import cv2
import numpy as np

from agent.frame import Annotation

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

# Blue, green, red; no two alike and none in the scenery, so that a test finds each part by its colour alone.
COLOURS = {"plate": (40, 110, 230), "washer": (60, 190, 90), "wedge": (210, 120, 50)}
FLOOR = (52, 48, 46)
BELT = (88, 84, 80)
SLAT = (74, 70, 66)
INK = (225, 225, 225)
QUALITY = 85
_SPEED = 1 / 60  # of the width, per frame
_SPACING = 0.3  # of the width, from part to part
_SIZE = 0.26  # of the height


def draw(index: int, width: int, height: int) -> tuple[Pixels, tuple[Annotation, ...]]:
    """Return frame `index` as BGR pixels (height, width, 3), and the box of every part in sight.

    A box is measured on the pixels: that of a part half out of the frame is that of the half to be seen.
    """
    pixels = np.full((height, width, 3), FLOOR, np.uint8)
    _draw_belt(pixels, index)
    size = round(min(_SIZE * height, 0.7 * _SPACING * width))
    boxes = []
    for number, left in _parts(index, width):
        name = list(COLOURS)[number % len(COLOURS)]
        top = round((0.38 + 0.08 * (number % 4)) * height)
        _draw_part(pixels, name, left, top, size)
        box = _box_of(name, pixels, max(0, left - 1), max(0, left + size + 1))
        if box is not None:
            boxes.append(Annotation(name, box))
    _print(pixels, f"frame {index:06d}", 26)
    return pixels, tuple(boxes)


def jpeg(pixels: Pixels) -> bytes:
    """Return the pixels as a JPEG."""
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _parts(index: int, width: int) -> list[tuple[int, int]]:
    """Return the number and the left edge, in pixels, of each part that may be in sight; numbers never repeat."""
    travelled = index * _SPEED
    newest = int(travelled / _SPACING)
    numbers = range(newest, newest - int(1 / _SPACING) - 3, -1)
    return [(number, round((travelled - (number + 1) * _SPACING) * width)) for number in numbers]


def _box_of(name: str, pixels: Pixels, start: int, end: int) -> tuple[float, float, float, float] | None:
    """Return the normalised box around the part's colour in columns `start` to `end`; None where there is none."""
    rows, columns = np.nonzero((pixels[:, start:end] == COLOURS[name]).all(axis=2))
    if not rows.size:
        return None
    height, width = pixels.shape[:2]
    left, right = start + int(columns.min()), start + int(columns.max()) + 1
    top, bottom = int(rows.min()), int(rows.max()) + 1
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def _draw_belt(pixels: Pixels, index: int) -> None:
    height, width = pixels.shape[:2]
    top, bottom = round(0.3 * height), round(0.95 * height)
    cv2.rectangle(pixels, (0, top), (width, bottom), BELT, -1)
    step = max(8, width // 16)
    for x in range(round(index * _SPEED * width) % step - step, width, step):
        cv2.line(pixels, (x, top), (x + step // 3, bottom), SLAT, 2)


def _draw_part(pixels: Pixels, name: str, left: int, top: int, size: int) -> None:
    right, bottom = left + size - 1, top + size - 1
    colour = COLOURS[name]
    if name == "plate":
        cv2.rectangle(pixels, (left, top), (right, bottom), colour, -1)
    elif name == "washer":
        centre, radius = (left + size // 2, top + size // 2), size // 2
        cv2.circle(pixels, centre, radius, colour, -1)
        cv2.circle(pixels, centre, radius // 3, BELT, -1)
    else:
        corners = np.array([[left, bottom], [right, bottom], [left, top]], np.int32)
        cv2.fillPoly(pixels, [corners], colour)


def _print(pixels: Pixels, text: str, baseline: int) -> None:
    cv2.putText(pixels, text, (10, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1)


@click.command("scene")
@click.option("--fps", default=5.0, show_default=True, type=click.FloatRange(min=0.1, max=1000))
@click.option("--width", default=640, show_default=True, type=click.IntRange(64, 7680))
@click.option("--height", default=360, show_default=True, type=click.IntRange(64, 4320))
@click.option("--frames", type=click.IntRange(min=1), help="End after so many; default: never.")
def main(*, fps: float, width: int, height: int, frames: int | None) -> None:
    """Write a moving scene as JPEGs, one after the other, to standard output."""
    try:
        _write(fps, width, height, frames)
    except (BrokenPipeError, KeyboardInterrupt):
        # Whoever watched has left. What is still buffered has nowhere to go, and must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(fps: float, width: int, height: int, frames: int | None) -> None:
    began = time.monotonic()
    for index in itertools.count() if frames is None else range(frames):
        time.sleep(max(0.0, began + index / fps - time.monotonic()))
        pixels, _ = draw(index, width, height)
        # Without the time, a second run would send the very bytes of the first: all duplicates.
        _print(pixels, datetime.now(UTC).isoformat(" ", "milliseconds"), height - 4)
        sys.stdout.buffer.write(jpeg(pixels))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

"""What is done to pixels, in the child processes alone: carries out a `Transform`, and makes the JPEG.

`steps` are those of `Transform.steps`, as they are or read back from JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A numpy array; named for the type checker where there is no numpy either.
Pixels: TypeAlias = Any

# Corners are rounded to pixels, by 0.7 at most, and a pixel reaches 0.7 beyond its centre: with a rim of 1.5 pixels
# every pixel that a mask touches is black.
_RIM = 3
_GREY = 2
# Blue, green and red of colours that stand out on most pictures.
_COLOURS = ((60, 60, 255), (80, 220, 60), (255, 160, 40), (40, 200, 255), (255, 80, 220), (230, 230, 60))


def prepared(image: Pixels, steps: Mapping[str, Any]) -> Pixels:
    """Return the picture turned upright, masked, cropped and scaled; the one that is handed in stays as it is.

    Masks come before anything that mixes neighbours, so nothing of what they hide is left in any pixel.
    """
    left, top, right, bottom = steps["crop"]
    masked = _masked(_upright(image, steps), steps["areas"])
    return resized(masked[top:bottom, left:right], tuple(steps["size"]))


def resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the picture in another size (width and height); only ever smaller ones are asked for."""
    height, width = image.shape[:2]
    return image if (width, height) == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def drawn(image: Pixels, boxes: Sequence[tuple[str, Sequence[float]]]) -> Pixels:
    """Return the picture in colour with boxes (centre and size, 0..1) and their names on it."""
    height, width = image.shape[:2]
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == _GREY else image.copy()
    thickness = max(1, round(max(width, height) / 400))
    for name, (x, y, across, down) in boxes:
        shade = _COLOURS[sum(name.encode()) % len(_COLOURS)]
        left, top = round((x - across / 2) * width), round((y - down / 2) * height)
        right, bottom = round((x + across / 2) * width) - 1, round((y + down / 2) * height) - 1
        cv2.rectangle(canvas, (left, top), (max(left, right), max(top, bottom)), shade, thickness)
        # OpenCV's own letters are ASCII; a name in another script is still told by its box.
        plain = name.encode("ascii", "replace").decode()
        place = (left + thickness, max(top - 2 * thickness, 12 * thickness))
        cv2.putText(canvas, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thickness, shade, thickness)
    return canvas


def _upright(image: Pixels, steps: Mapping[str, Any]) -> Pixels:
    if steps["swaps"]:
        image = cv2.transpose(image)
    if steps["mirrors_x"] or steps["mirrors_y"]:
        both = steps["mirrors_x"] and steps["mirrors_y"]
        image = cv2.flip(image, -1 if both else int(steps["mirrors_x"]))
    return image


def _masked(image: Pixels, areas: Sequence[Sequence[Sequence[float]]]) -> Pixels:
    if not areas:
        return image
    masked = image.copy()
    for area in areas:
        # A pixel's centre has whole coordinates here, and is half a pixel from its edges.
        corners = np.round(np.array(area, dtype=np.float64) - 0.5).astype(np.int32)
        cv2.fillPoly(masked, [corners], (0, 0, 0))
        cv2.polylines(masked, [corners], isClosed=True, color=(0, 0, 0), thickness=_RIM)
    return masked

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

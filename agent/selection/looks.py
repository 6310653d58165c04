"""Looking at a picture: its brightness, its sharpness and its print, of a small grey copy.

Everything is measured at one size, `SIDE` pixels on the longer side, so that a limit means the same for a camera and
for a file, at 640 x 480 and in 4K. It runs in the children alone, where cv2 and NumPy are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from agent.selection.facts import BLUR, CHANGE, DARK, Look
from agent.selection.plan import PIXEL_LIMITS
from agent.selection.prints import COLUMNS, LEVELS, PLANES, ROWS, Print

if TYPE_CHECKING:
    from collections.abc import Collection

# A NumPy array.
Pixels: TypeAlias = Any

SIDE = 240
ROWS_READ = 540
NEIGHBOURS = 9
"""A cell is compared with the mean of so many in its row, itself in the middle."""

NO_PRINT = Print((0,) * PLANES)
"""The print of a picture of which none is needed."""

FAINTEST = 25.0
"""The least variance that sharpness is related to: below it, in fog or at night, there is only noise to relate to."""


def small(pixels: Pixels) -> Pixels:
    """Return a small grey copy of a picture, grey or BGR."""
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    # Of a tall picture some rows are enough: a pixel of the copy is still the mean of 32 or more. At 1080p it costs
    # 0.8 ms so, 1.6 ms with all rows, 2.1 ms where the colours go last.
    pixels = pixels[:: max(1, height // ROWS_READ)]
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim > 2 else pixels  # noqa: PLR2004 (rows and columns)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if scale < 1 else grey


def reduction(longest: float, needs: Collection[str] = PIXEL_LIMITS) -> int:
    """Return how a JPEG whose longer side is so long is decoded for a look: an eighth of it, more where it is small.

    Sharpness is measured at one size. For the print 64 pixels are enough, two for each of its cells, and brightness
    is the same at any size.
    """
    side = SIDE if BLUR in needs else 2 * COLUMNS if CHANGE in needs else 1
    steps = (
        (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
        (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
        (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    )
    return next((flag for divisor, flag in steps if longest >= divisor * side), cv2.IMREAD_GRAYSCALE)


def colour_reduction(longest: float, side: int) -> int:
    """Return how a JPEG whose longer side is so long is decoded in colour, so that `side` pixels are left at least."""
    steps = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
    return next((flag for divisor, flag in steps if longest >= divisor * side), cv2.IMREAD_COLOR)


def look_at(pixels: Pixels, needs: Collection[str] = PIXEL_LIMITS) -> Look:
    """Measure a picture, grey or BGR: what the limits in `needs` ask for."""
    grey = small(pixels)
    return Look(
        light=round(cv2.mean(grey)[0], 1) if DARK in needs else 0.0,
        sharp=sharpness(grey) if BLUR in needs else 0.0,
        print=print_of(grey) if CHANGE in needs else NO_PRINT,
    )


def sharpness(grey: Pixels) -> float:
    """Return the variance of the Laplacian in percent of the picture's own variance: so contrast does not count.

    A tenth is a good picture's in most scenes, a hundredth that of one that is out of focus or smeared.
    """
    edges, own = (cv2.meanStdDev(one)[1].item() ** 2 for one in (cv2.Laplacian(grey, cv2.CV_16S), grey))
    return round(100 * edges / max(FAINTEST, own), 2)


def print_of(grey: Pixels) -> Print:
    """Return the print of a small grey picture."""
    cells = cv2.resize(grey, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).astype(np.float32)
    stands_out = cells - cv2.blur(cells, (NEIGHBOURS, 1), borderType=cv2.BORDER_REPLICATE)
    planes = [stands_out > level for level in LEVELS] + [stands_out < -level for level in LEVELS]
    return Print.of_bytes(np.packbits(np.stack(planes)).tobytes())

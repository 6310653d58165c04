"""The one shape of a box: centre and size in 0..1, inside the picture, on a grid of a millionth."""

from __future__ import annotations

from typing import TypeAlias

Geometry: TypeAlias = tuple[float, float, float, float]

# Detectors overshoot an edge by a little; further out, the numbers mean something else.
FAR_OUT = 2.0
PIXELS = "Are these pixels? Divide by the picture's width and height."

_GRID = 1_000_000


def box_inside(x_center: float, y_center: float, width: float, height: float) -> Geometry | None:
    """Return the part of a box that lies within the picture, or None where nothing is left of it.

    A box that hangs over an edge is cut, not shifted. Rounded, it still ends inside the picture; what is thinner
    than the grid (a fifteenth of a pixel where a side has 65,535) counts as nothing.
    """
    across, down = _span_inside(x_center, width), _span_inside(y_center, height)
    if across is None or down is None:
        return None
    return across[0], down[0], across[1], down[1]


def envelope(xs: list[float], ys: list[float]) -> Geometry:
    """Return the box around some points, which may lie outside of the picture."""
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _span_inside(center: float, length: float) -> tuple[float, float] | None:
    low, high = max(0.0, center - length / 2), min(1.0, center + length / 2)
    if low >= high:
        return None
    middle = round((low + high) / 2 * _GRID)
    extent = min(round((high - low) * _GRID), 2 * middle, 2 * (_GRID - middle))
    return (middle / _GRID, extent / _GRID) if extent else None

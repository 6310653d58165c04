"""The load of a simulated server over time, as a picture: a panel for each scenario, a line for each policy."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, TOP, GAP = 720, 150, 56, 34, 46
MOST = 3.0  # times the capacity; what is beyond is cut off, and the table has its height
COLOURS = {"agent": "#0a7d4f", "fixed": "#c2410c", "exponential": "#6d28d9"}
INK = "#57606a"


def plot(panels: Mapping[str, Mapping[str, Sequence[float]]], bucket_s: float) -> str:
    """Return an SVG; a panel maps the names of policies to requests over capacity, one figure a bucket."""
    parts = []
    for number, (title, lines) in enumerate(panels.items()):
        parts += _panel(TOP + number * (HEIGHT + GAP), title, lines, bucket_s)
    height = TOP + len(panels) * (HEIGHT + GAP)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 16} {height}" font-family="sans-serif"'
    )
    return "\n".join([f'{head} font-size="12"><rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"])


def _panel(top: int, title: str, lines: Mapping[str, Sequence[float]], bucket_s: float) -> list[str]:
    longest = max(len(line) for line in lines.values())
    parts = [f'<text x="{LEFT}" y="{top - 10}" font-weight="bold">{escape(title)}</text>']
    for level in range(int(MOST) + 1):
        y = _y(top, level)
        dash = ' stroke-dasharray="4 3"' if level == 1 else ""
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}" stroke="#d0d7de"{dash}/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" fill="{INK}">{level}x</text>')
    for minutes in range(0, int(longest * bucket_s / 60) + 1, 30):
        x = LEFT + WIDTH * minutes * 60 / (longest * bucket_s)
        parts.append(
            f'<text x="{x:.0f}" y="{top + HEIGHT + 16}" text-anchor="middle" fill="{INK}">{minutes} min</text>'
        )
    for place, (name, line) in enumerate(lines.items()):
        points = " ".join(
            f"{LEFT + WIDTH * (number + 0.5) / longest:.1f},{_y(top, min(load, MOST)):.1f}"
            for number, load in enumerate(line)
        )
        colour = COLOURS.get(name, INK)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        parts.append(
            f'<text x="{LEFT + WIDTH - 90 * (len(lines) - place - 1)}" y="{top - 10}" text-anchor="end" '
            f'fill="{colour}">{escape(name)}</text>'
        )
    return parts


def _y(top: int, load: float) -> float:
    return top + HEIGHT * (1 - load / MOST)

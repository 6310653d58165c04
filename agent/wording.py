"""Figures as people read them: sizes, durations and rates in a few characters."""

from __future__ import annotations

SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
THOUSAND = 1000.0
TEN = 10.0
SPANS = (("day", 86_400), ("h", 3600), ("min", 60))


def size_text(size: float) -> str:
    """Write bytes with two or three digits: `3.1 MB`."""
    value, unit = float(size), 0
    while abs(value) >= THOUSAND - 0.5 and unit < len(SIZES) - 1:
        value, unit = value / THOUSAND, unit + 1
    return f"{value:.0f} {SIZES[unit]}" if unit == 0 or abs(value) >= TEN else f"{value:.1f} {SIZES[unit]}"


def span_text(seconds: float) -> str:
    """Write a duration in its largest fitting unit: `4 min`, `2 days`."""
    for name, length in SPANS:
        if seconds >= length:
            count = seconds / length
            shown = f"{count:.0f}" if count >= TEN else f"{count:.1f}".removesuffix(".0")
            return f"{shown} {name}{'s' if name == 'day' and shown != '1' else ''}"
    return f"{max(seconds, 0):.0f} s"


def rate_text(per_s: float) -> str:
    """Write how often something happens: a second, a minute, an hour or a day, whichever gives a readable figure."""
    for name, length in (("s", 1), ("min", 60), ("h", 3600)):
        if per_s * length >= 1:
            return f"{_short(per_s * length)}/{name}"
    return f"{_short(per_s * 86_400)}/day" if per_s > 0 else "0/s"


def pictures_text(count: int) -> str:
    """Count pictures."""
    return "1 picture" if count == 1 else f"{count} pictures"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= TEN else f"{value:.1f}".removesuffix(".0")

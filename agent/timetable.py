"""Rates by weekday and hour: what a timetable says of a moment, and when it next lets uploads through.

Everything is in the device's local time, which whoever asks hands in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
HORIZON_DAYS = 9  # a week and the rest of a day: what does not open by then never does
_HOURS = re.compile(r"(\d{1,2})(?::([0-5]\d))?-(\d{1,2})(?::([0-5]\d))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timetable: on these days (0 is Monday), from minute `start` to before minute `end` of the day.

    An `end` that is not after `start` lies on the next day. `rate_bytes_s` is the cap, 0 for none; `pause` stops all.
    """

    days: frozenset[int]
    start: int
    end: int
    rate_bytes_s: int = 0
    pause: bool = False

    def holds(self, local: datetime) -> bool:
        """Tell whether the line is about this moment."""
        today, minute = local.weekday(), local.hour * 60 + local.minute
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = (today - 1) % len(DAYS)
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


def line_at(lines: Sequence[Line], local: datetime) -> Line | None:
    """Return the first line that holds at a moment, or None."""
    return next((line for line in lines if line.holds(local)), None)


def opening(lines: Sequence[Line], local: datetime) -> datetime | None:
    """Return the first moment from `local` on at which nothing is paused; None where there never is one."""
    if not _paused(lines, local):
        return local
    marks = sorted({0, *(mark % DAY_MINUTES for line in lines for mark in (line.start, line.end))})
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = (midnight + timedelta(days=day, minutes=mark) for day in range(HORIZON_DAYS) for mark in marks)
    return next((moment for moment in moments if moment > local and not _paused(lines, moment)), None)


def parse_days(text: str) -> frozenset[int]:
    """Read `mon-fri`, `sat,sun` or `fri-mon`; raises ValueError."""
    days: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS or part.endswith("-"):
            raise ValueError('must be weekdays such as "mon-fri", "sat,sun" or "mon"')
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days |= {day % len(DAYS) for day in range(begin, (end if end >= begin else end + len(DAYS)) + 1)}
    return frozenset(days)


def parse_hours(text: str) -> tuple[int, int]:
    """Read `06-18`, `22:30-06` or `00-24` as minutes of the day; raises ValueError."""
    match = _HOURS.fullmatch(text.replace(" ", ""))
    if match is None:
        raise ValueError('must be hours such as "06-18", "22:30-06" or "00-24"')
    start, end = int(match[1]) * 60 + int(match[2] or 0), int(match[3]) * 60 + int(match[4] or 0)
    if start >= DAY_MINUTES or end > DAY_MINUTES:
        raise ValueError("must lie between 00:00 and 24:00")
    if start == end:
        raise ValueError('must not begin where it ends; the whole day is "00-24"')
    return start, end


def _paused(lines: Sequence[Line], local: datetime) -> bool:
    line = line_at(lines, local)
    return line is not None and line.pause

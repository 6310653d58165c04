"""The lines of `upload.timetable`, as they are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from agent.config.fields import Bytes, Section, Word
from agent.timetable import Line, opening, parse_days, parse_hours

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)


class TimetableSettings(Section):
    """What holds for uploads on some days and hours; of the lines that are about a moment, the first counts."""

    days: Word = Field(default="mon-sun", description='Weekdays, such as "mon-fri", "sat,sun" or "fri-mon".')
    hours: Word = Field(
        default="00-24",
        description='Hours of the device\'s local time, such as "06-18", or "22:30-06" into the next day.',
    )
    rate_bytes_s: Bytes = Field(
        default=0, description="Most to send, in bytes per second, in place of max_rate_bytes_s; 0 for no cap."
    )
    pause: bool = Field(default=False, description="Begin no upload in these hours; one that is under way is finished.")

    @field_validator("days")
    @classmethod
    def _check_days(cls, days: str) -> str:
        parse_days(days)
        return days

    @field_validator("hours")
    @classmethod
    def _check_hours(cls, hours: str) -> str:
        parse_hours(hours)
        return hours

    def line(self) -> Line:
        """Return the line that was written."""
        start, end = parse_hours(self.hours)
        return Line(parse_days(self.days), start, end, self.rate_bytes_s, self.pause)


def check_timetable(lines: Sequence[TimetableSettings]) -> None:
    """Raise ValueError where uploads would be paused for ever."""
    if opening([line.line() for line in lines], ANY_DAY) is None:
        raise ValueError("pauses uploads all week; leave some hours open")

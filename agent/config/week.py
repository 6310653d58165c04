"""Hours of the week, as they are written in more than one section."""

from __future__ import annotations

from pydantic import Field, field_validator

from agent.config.fields import Section, Word
from agent.timetable import parse_days, parse_hours


class WeekSettings(Section):
    """Some days, and some hours of each."""

    days: Word = Field(default="mon-sun", description='Weekdays, such as "mon-fri", "sat,sun" or "fri-mon".')
    hours: Word = Field(
        default="00-24",
        description='Hours of the device\'s local time, such as "06-18", or "22:30-06" into the next day.',
    )

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

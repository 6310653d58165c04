"""What follows from settings: functions of a section, be it a model that is being checked or the values of one."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from agent.tariff import Tariff
from agent.timetable import Line, parse_days, parse_hours

if TYPE_CHECKING:
    from agent.config.annotators import AnnotatorSettings
    from agent.config.selection import HoursSettings, RuleSettings
    from agent.config.settings import UploadSettings
    from agent.config.sources import CameraSettings
    from agent.config.timetable import TimetableSettings


def tariff_of(upload: UploadSettings) -> Tariff:
    """Return when, how fast and how much may be sent."""
    return Tariff(
        rate_bytes_s=upload.max_rate_bytes_s,
        timetable=tuple(timetable_line(entry) for entry in upload.timetable),
        max_bytes_day=upload.max_bytes_day,
        max_bytes_month=upload.max_bytes_month,
    )


def timetable_line(entry: TimetableSettings) -> Line:
    """Return the line of a timetable that was written."""
    start, end = parse_hours(entry.hours)
    return Line(parse_days(entry.days), start, end, entry.rate_bytes_s, entry.pause)


def weekly_hours(entry: HoursSettings) -> tuple[tuple[int, ...], int, int]:
    """Return the weekdays, and the first and the last minute of the day."""
    return tuple(sorted(parse_days(entry.days))), *parse_hours(entry.hours)


def rule_name(rule: RuleSettings, number: int) -> str:
    """Return the name of a rule in the counts, which may be its number in the list, from 1."""
    return rule.name or f"rule-{number}"


def period_of(camera: CameraSettings) -> float:
    """Return the time between two pictures, whichever way it was written; 0 for every frame."""
    if camera.fps is not None:
        return 1.0 / camera.fps
    return 1.0 if camera.interval_s is None else camera.interval_s


def arguments_of(annotator: AnnotatorSettings) -> list[str]:
    """Return the program of `command` and its arguments."""
    return shlex.split(annotator.command or "")

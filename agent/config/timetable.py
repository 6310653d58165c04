"""The lines of `upload.timetable`, as they are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import Field

from agent.config.derived import timetable_line
from agent.config.fields import Bytes  # noqa: TC001 (pydantic reads the annotations)
from agent.config.week import WeekSettings
from agent.timetable import opening

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)


class TimetableSettings(WeekSettings):
    """What holds for uploads on some days and hours; of the lines that are about a moment, the first counts."""

    rate_bytes_s: Bytes = Field(
        default=0, description="Most to send, in bytes per second, in place of max_rate_bytes_s; 0 for no cap."
    )
    pause: bool = Field(default=False, description="Begin no upload in these hours; one that is under way is finished.")


def check_timetable(lines: Sequence[TimetableSettings]) -> None:
    """Raise ValueError where uploads would be paused for ever."""
    if opening([timetable_line(line) for line in lines], ANY_DAY) is None:
        raise ValueError("pauses uploads all week; leave some hours open")

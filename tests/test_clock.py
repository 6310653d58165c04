from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.clock import SystemClock, boot_id, utc_text

INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC), "2026-03-14T08:15:02.417Z"),
        (datetime(2026, 3, 14, 8, 15, 2, tzinfo=UTC), "2026-03-14T08:15:02.000Z"),
        (datetime(2026, 3, 14, 8, 15, 2, 999999, tzinfo=UTC), "2026-03-14T08:15:02.999Z"),
        (datetime(2026, 3, 14, 13, 45, 2, 417000, tzinfo=INDIA), "2026-03-14T08:15:02.417Z"),
        (datetime(2026, 1, 1, 3, tzinfo=INDIA), "2025-12-31T21:30:00.000Z"),
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_written_as_the_contract_wants_them(moment: datetime, text: str) -> None:
    """UTC, milliseconds that are cut and never rounded up, and a Z, wherever the time came from."""
    assert utc_text(moment) == text
    assert utc_text(datetime.fromisoformat(text)) == text


def test_wall_time_is_aware_utc() -> None:
    """No naive time is ever handed out."""
    before = datetime.now(UTC)
    now = SystemClock().wall()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


def test_the_boot_clock_counts_suspends_and_never_goes_back() -> None:
    """It is the monotonic clock plus the time that the machine slept."""
    clock = SystemClock()
    awake, first, second = time.clock_gettime(time.CLOCK_MONOTONIC), clock.boot(), clock.boot()
    assert awake <= first <= second


def test_a_boot_has_one_name() -> None:
    """The name stays the same for as long as the machine is up, and is the kernel's."""
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36

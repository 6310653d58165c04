from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.timetable import Line, line_at, opening, parse_days, parse_hours

MONDAY = datetime(2026, 3, 9, tzinfo=UTC)


def at(day: int, hour: float) -> datetime:
    """Return a moment of that week; 0 is Monday."""
    return MONDAY + timedelta(days=day, hours=hour)


def line(days: str, hours: str, *, rate: int = 0, pause: bool = False) -> Line:
    """Make a line as the configuration does."""
    return Line(parse_days(days), *parse_hours(hours), rate, pause)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", {0}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("sat,sun", {5, 6}),
        ("Sat - Mon", {5, 6, 0}),
        ("mon,wed-thu,sun", {0, 2, 3, 6}),
        ("sun-sat", set(range(7))),
    ],
)
def test_days_are_read_as_people_write_them(text: str, days: set[int]) -> None:
    """Single days, ranges, also over the end of a week, and lists of both."""
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "monday", "mon-", "-mon", "mon--fri", "mon,", "0-4", "mon-fri-sun", "daily"])
def test_other_days_are_refused(text: str) -> None:
    """With examples of what would be right."""
    with pytest.raises(ValueError, match="mon-fri"):
        parse_days(text)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("06-18", (360, 1080)),
        ("00-24", (0, 1440)),
        ("22-06", (1320, 360)),
        ("6:30 - 7", (390, 420)),
        ("23:59-24:00", (1439, 1440)),
        ("18-0", (1080, 0)),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, minutes: tuple[int, int]) -> None:
    """With minutes or without, also over midnight."""
    assert parse_hours(text) == minutes


@pytest.mark.parametrize(
    "text", ["", "6", "6-", "6-25", "24-6", "6-18-20", "6.5-7", "06:60-07", "24:01-3", "6-24:30", "8-8", "٠٦-١٨"]
)
def test_other_hours_are_refused(text: str) -> None:
    """Also those that would hold never."""
    with pytest.raises(ValueError, match="must"):
        parse_hours(text)


@pytest.mark.parametrize(
    ("days", "hours", "moment", "holds"),
    [
        ("mon-fri", "06-18", at(0, 6), True),
        ("mon-fri", "06-18", at(0, 5.99), False),
        ("mon-fri", "06-18", at(4, 17.99), True),
        ("mon-fri", "06-18", at(4, 18), False),
        ("mon-fri", "06-18", at(5, 12), False),
        ("fri", "22-06", at(4, 23), True),
        ("fri", "22-06", at(5, 5.99), True),
        ("fri", "22-06", at(5, 6), False),
        ("fri", "22-06", at(5, 23), False),
        ("fri", "22-06", at(4, 3), False),
        ("sun", "22-06", at(7, 3), True),
        ("sun", "00-24", at(6, 23.99), True),
    ],
)
def test_a_line_holds_within_its_hours(days: str, hours: str, moment: datetime, *, holds: bool) -> None:
    """From the first minute to before the last; hours over midnight belong to the day on which they begin."""
    assert line(days, hours).holds(moment) is holds


def test_the_first_line_that_fits_counts() -> None:
    """Exceptions are written above the rule."""
    lines = [line("sun", "00-24", rate=1), line("mon-sun", "00-12", rate=2)]
    assert [
        found.rate_bytes_s if found else None for found in (line_at(lines, at(6, 1)), line_at(lines, at(5, 1)))
    ] == [1, 2]
    assert line_at(lines, at(5, 12)) is None


@pytest.mark.parametrize(
    ("lines", "moment", "opens"),
    [
        ([], at(0, 3), at(0, 3)),
        ([line("mon-fri", "06-18", pause=True)], at(0, 12), at(0, 18)),
        ([line("mon-fri", "06-18", pause=True)], at(0, 18), at(0, 18)),
        ([line("sat,sun", "00-24", pause=True)], at(5, 1), at(7, 0)),
        ([line("fri", "22-06", pause=True), line("sat", "06-08", pause=True)], at(4, 23), at(5, 8)),
        ([line("mon", "10-11", rate=5), line("mon-sun", "00-24", pause=True)], at(1, 0), at(7, 10)),
        ([line("mon-sun", "00-24", pause=True)], at(1, 0), None),
        ([line("mon-sun", "20-08", pause=True), line("mon-sun", "08-20", pause=True)], at(1, 0), None),
    ],
)
def test_a_pause_ends_when_nothing_pauses(lines: list[Line], moment: datetime, opens: datetime | None) -> None:
    """At the first moment at which the line that counts is no pause; None where there is none."""
    assert opening(lines, moment) == opens


LINES = st.builds(
    Line,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 23).map(lambda hour: hour * 60),
    st.integers(0, 24).map(lambda hour: hour * 60),
    st.just(0),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, max_size=4), st.integers(0, 7 * 24 * 60))
def test_the_opening_is_the_first_there_is(lines: list[Line], minute: int) -> None:
    """Every quarter of an hour before it is paused, and it is not."""

    def paused(when: datetime) -> bool:
        found = line_at(lines, when)
        return found is not None and found.pause

    moment = MONDAY + timedelta(minutes=minute)
    opens = opening(lines, moment)
    until = opens or moment + timedelta(days=8)
    assert opens is None or not paused(opens)
    assert all(
        paused(moment + timedelta(minutes=15 * step))
        for step in range(8 * 96)
        if moment + timedelta(minutes=15 * step) < until
    )

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from drain_rig import ROOMY, Drain
from structlog.testing import capture_logs

from agent.spool.spool import Spool
from agent.spool.traffic import KEPT_DAYS, read_sent
from agent.tariff import Meter, Tariff, budgets, closed, facts, rate_at
from agent.timetable import Line, parse_days, parse_hours

if TYPE_CHECKING:
    from pathlib import Path

    from wire_rig import MovedClock

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 3, 14, 10, 15, tzinfo=ZONE)  # a Saturday
WEEKEND = Line(parse_days("sat,sun"), *parse_hours("00-24"), pause=True)
MORNING = Line(parse_days("mon-sun"), *parse_hours("06-12"), 50_000)
DAILY = Tariff(max_bytes_day=500)
BOTH = Tariff(max_bytes_day=500, max_bytes_month=1000)


@pytest.mark.parametrize(
    ("tariff", "sent", "opens"),
    [
        (Tariff(), {"2026-03-14": 10**12}, None),
        (DAILY, {}, None),
        (DAILY, {"2026-03-13": 500, "2026-03-14": 499}, None),
        (DAILY, {"2026-03-14": 500}, datetime(2026, 3, 15, tzinfo=ZONE)),
        (BOTH, {"2026-02-28": 5000, "2026-03-01": 500}, None),
        (BOTH, {"2026-03-01": 500, "2026-03-02": 500}, datetime(2026, 4, 1, tzinfo=ZONE)),
        (BOTH, {"2026-03-01": 500, "2026-03-14": 500}, datetime(2026, 4, 1, tzinfo=ZONE)),
        (Tariff(timetable=(MORNING,)), {}, None),
        (Tariff(timetable=(WEEKEND,)), {}, datetime(2026, 3, 16, tzinfo=ZONE)),
        (Tariff(timetable=(WEEKEND,), max_bytes_day=500), {"2026-03-14": 500}, datetime(2026, 3, 16, tzinfo=ZONE)),
    ],
)
def test_uploads_rest_until_everything_lets_them_go(
    tariff: Tariff, sent: dict[str, int], opens: datetime | None
) -> None:
    """A day's budget until midnight, a month's until the first, a timetable until its pause ends; the last counts."""
    found = closed(tariff, sent, NOW)
    assert (found.opens_at if found else None) == opens


def test_the_reason_says_what_and_until_when() -> None:
    """A sentence that needs no manual."""
    spent = closed(DAILY, {"2026-03-14": 501}, NOW)
    paused = closed(Tariff(timetable=(WEEKEND,)), {}, NOW)
    assert spent is not None
    assert spent.reason == "the day's budget of 500 bytes is spent; uploads go on at 2026-03-15 00:00"
    assert paused is not None
    assert paused.reason == "the timetable pauses uploads now; uploads go on at 2026-03-16 00:00"


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_ends(month: int) -> None:
    """Also December and February."""
    for day in (1, 28):
        renewed = budgets(BOTH, {}, datetime(2026, month, day, 23, 59, tzinfo=ZONE))["month"].renewed_at
        assert renewed == datetime(2026 + month // 12, month % 12 + 1, 1, tzinfo=ZONE)


def test_the_rate_is_the_timetables_where_it_says_one() -> None:
    """Elsewhere `max_rate_bytes_s` holds, also for what a pause finds under way."""
    tariff = Tariff(rate_bytes_s=9, timetable=(MORNING, WEEKEND))
    assert [rate_at(tariff, NOW.replace(hour=hour)) for hour in (5, 6, 11, 12)] == [9, 50_000, 50_000, 9]


def test_the_facts_are_plain_values() -> None:
    """For `status --json`: used, left, and when it opens again."""
    assert facts(DAILY, {"2026-03-14": 600}, NOW) == {
        "resting": {
            "reason": "the day's budget of 500 bytes is spent; uploads go on at 2026-03-15 00:00",
            "opens_at": "2026-03-15T00:00:00+02:00",
        },
        "rate_bytes_s": 0,
        "budgets": {
            "day": {"max_bytes": 500, "used_bytes": 600, "left_bytes": 0, "renewed_at": "2026-03-15T00:00:00+02:00"}
        },
    }
    assert facts(Tariff(), {}, NOW) == {"resting": None, "rate_bytes_s": 0, "budgets": {}}


def test_what_was_sent_is_counted_across_restarts(tmp_path: Path, clock: MovedClock) -> None:
    """Written at most every five seconds, and at the end; a clock that jumps back finds its day as it was."""
    with Spool(tmp_path, ROOMY, clock=clock, owner=True) as spool:
        spool.traffic.add("2026-03-14", 100)
        spool.traffic.save()
        assert read_sent(spool.reader) == {}
        clock.advance(5)
        spool.traffic.save()
        assert read_sent(spool.reader) == {"2026-03-14": 100}
        commits = spool._commits.count
        clock.advance(5)
        spool.traffic.save()
        assert spool._commits.count == commits
        spool.traffic.add("2026-03-14", 11)
        spool.traffic.add("1970-01-01", 7)
        spool.traffic.save(now=True)
    with Spool(tmp_path, ROOMY, clock=clock, owner=True) as spool:
        assert spool.traffic.sent == {"2026-03-14": 111, "1970-01-01": 7}


def test_old_days_are_forgotten(tmp_path: Path, clock: MovedClock) -> None:
    """What is kept covers two months, whatever a wrong clock added."""
    with Spool(tmp_path, ROOMY, clock=clock, owner=True) as spool:
        for number in range(KEPT_DAYS + 30):
            spool.traffic.add((NOW + timedelta(days=number)).date().isoformat(), 1)
        spool.traffic.save(now=True)
        kept = read_sent(spool.reader)
    assert len(kept) == KEPT_DAYS
    assert min(kept) == "2026-04-13"


def test_a_disk_that_refuses_loses_no_count(tmp_path: Path, clock: MovedClock) -> None:
    """It is written when the disk takes it again; the link's business goes on meanwhile."""
    with Spool(tmp_path, ROOMY, clock=clock, owner=True) as spool:
        spool._commits._connection.execute("PRAGMA query_only = 1")
        spool.traffic.add("2026-03-14", 100)
        spool.traffic.save(now=True)
        spool._commits._connection.execute("PRAGMA query_only = 0")
        spool.traffic.add("2026-03-14", 1)
        spool.traffic.save(now=True)
        assert read_sent(spool.reader) == {"2026-03-14": 101}


def metered(drain: Drain, tariff: Tariff) -> Meter:
    """Put a tariff before a drain, each picture costing a hundred bytes."""
    meter = Meter(tariff, drain.spool.traffic, clock=drain.clock)
    drain.link._meter = meter
    answer = drain.reply

    def reply(request: object) -> object:
        meter.count(100)
        return answer(request)  # type: ignore[arg-type]

    drain.reply = reply  # type: ignore[assignment]
    return meter


def test_a_spent_budget_rests_and_charges_nothing(tmp_path: Path, clock: MovedClock) -> None:
    """Three pictures a day go, the others wait untouched, and the journal says it once each way."""
    with Drain(tmp_path / "spool", clock) as drain:
        meter = metered(drain, Tariff(max_bytes_day=300))
        drain.put(*[f"picture {number}".encode() for number in range(7)])
        uploader = drain.uploader()
        with capture_logs() as logs:
            drain.run(600, uploader=uploader)
            assert drain.account() == (3, 4, 0, {})
            assert {(item["attempts"], item["not_before"]) for item in drain.rows("item")} == {(0, 0)}
            found = meter.rest()
            assert found is not None
            assert drain.link.closed == found[0]
            assert drain.link.enter() == found[1] > 3600
            drain.run(86_400, uploader=uploader)
        assert drain.account() == (6, 1, 0, {})
        said = [entry["event"] for entry in logs if entry["event"].startswith("uploads_")]
        assert said == ["uploads_closed", "uploads_opened", "uploads_closed"]
        drain.run(86_400, uploader=uploader)
        assert drain.account() == (7, 0, 0, {})


def test_a_backlog_leaves_room_for_fresh_pictures(tmp_path: Path, clock: MovedClock) -> None:
    """Every fourth goes to the newest while much waits; the last ones go in their order."""
    with Drain(tmp_path / "spool", clock) as drain:
        pictures = [f"picture {number:03d}".encode() for number in range(80)]
        drain.put(*pictures)
        uploader = drain.uploader()
        uploader._fresh_share = 0.25
        drain.run(60, uploader=uploader)
        posts = drain.posts()
        assert posts[:8] == [*pictures[:3], pictures[79], *pictures[3:6], pictures[78]]
        assert sorted(posts) == pictures
        late = posts[20:]
        assert late == sorted(late)


def test_the_local_day_is_the_devices_own(tmp_path: Path, clock: MovedClock) -> None:
    """The wall clock is asked in the local zone each time: a day begins at the device's midnight."""
    with Spool(tmp_path, ROOMY, clock=clock, owner=True) as spool:
        meter = Meter(DAILY, spool.traffic, clock=clock)
        meter.count(5)
        assert spool.traffic.sent == {clock.wall().astimezone().date().isoformat(): 5}
        Meter(Tariff(), spool.traffic, clock=clock).count(10**9)
        assert sum(spool.traffic.sent.values()) == 5
        assert clock.wall().tzinfo is UTC

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agent.annotations.metadata import retimed
from agent.clock import boot_id, utc_text
from agent.timekeeping import Timekeeping
from agent.workers import Stop

if TYPE_CHECKING:
    from conftest import FakeClock
    from directory_rig import YardMaker

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STAMPS = "SELECT boot_id, boot_s, time_trusted FROM item"


@pytest.fixture
def unset(clock: FakeClock) -> FakeClock:
    """Return a clock that began at 1970 with the boot, 1000 s ago."""
    clock.now, clock.is_trusted = EPOCH + timedelta(seconds=1000), False
    return clock


def set_clock(clock: FakeClock, now: datetime) -> None:
    """Let the time service come."""
    clock.now, clock.is_trusted = now, True


def test_a_file_that_a_wrong_clock_dated_is_put_right(still: YardMaker, unset: FakeClock) -> None:
    """Its time is absurd and lies in this boot, so it is known when it was written once the clock is set."""
    yard = still()
    yard.put("a.jpg", mtime=940.0)
    yard.settle()
    assert yard.rows(STAMPS)[0][:] == (boot_id(), 940.0, 0)
    set_clock(unset, datetime(2026, 5, 1, 12, tzinfo=UTC))
    true = unset.now - timedelta(seconds=unset.uptime - 940.0)
    assert Timekeeping(yard.spool.retiming(retimed), clock=unset, stop=Stop()).look() == 1
    [item] = yard.items()
    assert item.captured_at == true
    assert json.loads(item.metadata)["timestamp"] == utc_text(true)


def test_a_file_of_a_possible_time_keeps_it(still: YardMaker, unset: FakeClock) -> None:
    """It may have come from elsewhere with its time: a wrong clock of ours says nothing about it."""
    written = datetime(2026, 4, 1, tzinfo=UTC)
    yard = still()
    yard.put("a.jpg", mtime=written.timestamp())
    yard.settle()
    assert yard.rows(STAMPS)[0][:] == (boot_id(), None, 0)
    set_clock(unset, datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert Timekeeping(yard.spool.retiming(retimed), clock=unset, stop=Stop()).look() == 0
    assert yard.items()[0].captured_at == written

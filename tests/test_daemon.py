from __future__ import annotations

import pytest

from agent.daemon import QUIET_S, QUIET_TICK_S, TICK_S, tick_s


@pytest.mark.parametrize(
    ("quiet_s", "rest_s"), [(0.0, TICK_S), (QUIET_S - 0.1, TICK_S), (QUIET_S, QUIET_TICK_S), (1e6, QUIET_TICK_S)]
)
def test_a_daemon_in_which_nothing_moves_wakes_less_than_every_other_second(quiet_s: float, rest_s: float) -> None:
    """While the spool changes it looks every second; once that is some seconds ago, it rests longer."""
    assert tick_s(quiet_s, None) == rest_s
    assert 1 / QUIET_TICK_S <= 0.5


@pytest.mark.parametrize("ping_s", [0.5, 1.0, 1.5, 30.0])
@pytest.mark.parametrize("quiet_s", [0.0, QUIET_S])
def test_a_short_watchdog_is_fed_in_time(quiet_s: float, ping_s: float) -> None:
    """However quiet it is, the daemon comes round twice as often as the service manager wants to hear of it."""
    assert tick_s(quiet_s, ping_s) == min(tick_s(quiet_s, None), ping_s / 2)

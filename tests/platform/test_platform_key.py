from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from agent.errors import ConfigError
from agent.platform.key import KeyHolder
from agent.platform.pace import Pace
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire_rig import MovedClock


def unreadable() -> str:
    """Refuse as a key file with loose permissions does."""
    raise ConfigError("the key file can be read by others")


@pytest.mark.parametrize(
    ("read", "expected"), [(lambda: "adk_02", "adk_02"), (lambda: None, "adk_01"), (unreadable, "adk_01")]
)
def test_a_key_is_read_again_on_request(read: Callable[[], str | None], expected: str) -> None:
    """A new key is used from then on; one that is gone or cannot be read leaves the last good one."""
    holder = KeyHolder("adk_01", read)
    assert holder.current() == "adk_01"
    holder.refresh()
    assert holder.current() == expected


def test_i7_the_holder_does_not_show_its_key() -> None:
    """A representation in a log or a traceback says that there is a key, not which."""
    assert "adk_01" not in repr(KeyHolder("adk_01", lambda: None))


class Waited(Stop):
    """A stop that notes how long it was asked to wait, and moves the clock by it."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__()
        self._clock = clock
        self.total = 0.0

    def wait(self, seconds: float | None) -> bool:
        """Move the clock instead of sleeping."""
        assert seconds is not None
        self.total += seconds
        self._clock.advance(seconds)
        return self.is_set()


def test_no_rate_is_no_cap(clock: MovedClock) -> None:
    """Without a cap nobody waits."""
    stop = Waited(clock)
    pace = Pace(lambda: 0, clock=clock, stop=stop)
    for _ in range(100):
        pace.take(10**9)
    assert stop.total == 0


def test_the_rate_holds_in_sum(clock: MovedClock) -> None:
    """A million bytes at 10,000 a second take 100 seconds, but for the one second that may be in hand."""
    stop = Waited(clock)
    pace = Pace(lambda: 10_000, clock=clock, stop=stop)
    for _ in range(1000):
        pace.take(1000)
    assert stop.total == pytest.approx(99.0)


def test_an_idle_hour_is_not_saved_up(clock: MovedClock) -> None:
    """After silence one second's worth goes at once, not an hour's."""
    stop = Waited(clock)
    pace = Pace(lambda: 1000, clock=clock, stop=stop)
    pace.take(5000)
    clock.advance(3600)
    before = stop.total
    pace.take(1000)
    assert stop.total == before
    pace.take(1000)
    assert stop.total == pytest.approx(before + 1.0)


def test_a_long_wait_shows_signs_of_life(clock: MovedClock) -> None:
    """One stride at a thousand bytes a second takes minutes: every five seconds there is a beat for the watchdog."""
    stop, beats = Waited(clock), list[float]()
    pace = Pace(lambda: 1000, clock=clock, stop=stop)
    began = clock.boot()
    pace.take(262_144, beat=lambda: beats.append(clock.boot()))
    gaps = [later - sooner for sooner, later in itertools.pairwise([began, *beats])]
    assert max(gaps) <= 5.0
    assert stop.total == pytest.approx(261.144)
    assert beats[-1] == clock.boot()


def test_a_new_rate_holds_from_the_next_stride_on(clock: MovedClock) -> None:
    """The timetable changes the rate while an upload is under way."""
    stop, rates = Waited(clock), [1000]
    pace = Pace(lambda: rates[0], clock=clock, stop=stop)
    pace.take(10_000)
    rates[0] = 100
    before = stop.total
    pace.take(1000)
    assert stop.total - before == pytest.approx(10.0)
    rates[0] = 0
    pace.take(10**9)
    assert stop.total - before == pytest.approx(10.0)


def test_a_stop_lets_go_at_once(clock: MovedClock) -> None:
    """Whoever waits for its share returns when the agent ends."""
    stop = Stop()
    stop.set()
    Pace(lambda: 1, clock=clock, stop=stop).take(10**6)

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.concurrency import Window, opening, takes_fresh
from agent.link import Link
from agent.platform.answers import Meaning
from agent.workers import Bell

if TYPE_CHECKING:
    from wire_rig import MovedClock


def sizes(window: Window, successes: int) -> list[int]:
    """Return the sizes after each of so many successes."""
    found = []
    for _ in range(successes):
        window = window.grown()
        found.append(window.size)
    return found


@pytest.mark.parametrize(
    ("window", "after"),
    [
        (opening(1), [1] * 9),
        (opening(4), [2, 3, *[4] * 99]),
        (Window(8, 1, 3), [2, *[3] * 24, *[4] * 32, 5]),
        (Window(8, 1, 1), [*[1] * 7, *[2] * 16, *[3] * 24, 4]),
        (Window(2, 1, 1), [*[1] * 7, *[2] * 99]),
    ],
)
def test_it_grows_fast_to_its_goal_and_then_slowly(window: Window, after: list[int]) -> None:
    """One with each success up to the goal, from there one with eight times as many successes as may go at once."""
    assert sizes(window, len(after)) == after


@pytest.mark.parametrize(("size", "goal"), [(1, 1), (2, 1), (3, 1), (4, 2), (32, 16)])
def test_it_falls_to_one_and_aims_at_half(size: int, goal: int) -> None:
    """What proved too much is halved, and approached from below; an outage says nothing of how much is too much."""
    assert Window(32, size, 20, successes=1).fallen(overloaded=False) == Window(32, 1, 20)
    assert Window(32, size, 32, successes=1).fallen(overloaded=True) == Window(32, 1, goal)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 32), st.lists(st.sampled_from(["good", "busy", "gone"]), max_size=200))
def test_it_stays_between_one_and_the_workers(most: int, results: list[str]) -> None:
    """Whatever happens in whatever order, somebody may send, and never more than were configured."""
    window = opening(most)
    for result in results:
        before, window = window, window.grown() if result == "good" else window.fallen(overloaded=result == "busy")
        assert 1 <= window.size <= most
        assert 1 <= window.goal <= most
        assert window.size <= before.size + 1
    assert sizes(window, 8 * most * most + 1)[-1] == most


@pytest.mark.parametrize(
    ("share", "turns"),
    [
        (0.0, ""),
        (0.25, "3 7 11 15 19"),
        (0.5, "1 3 5 7 9 11 13 15 17 19"),
        (0.1, "9 19"),
        (1.0, " ".join(map(str, range(20)))),
    ],
)
def test_fresh_pictures_get_their_share_evenly(share: float, turns: str) -> None:
    """A quarter is every fourth turn, always the same ones."""
    assert [turn for turn in range(20) if takes_fresh(turn, share)] == [int(turn) for turn in turns.split()]


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.integers(1, 300))
def test_the_share_is_kept_at_every_moment(share: float, turns: int) -> None:
    """After any number of turns the count is the share of them, rounded down."""
    assert sum(takes_fresh(turn, share) for turn in range(turns)) == int(turns * share)


@dataclass
class Overload:
    """Uploaders on one link, in virtual time, against a server that bears `capacity` uploads at once."""

    workers: int
    capacity: int
    clock: MovedClock
    load: list[tuple[float, int]] = field(default_factory=list)
    answers: dict[Meaning, int] = field(default_factory=lambda: {Meaning.DELIVERED: 0, Meaning.BUSY: 0})

    def __post_init__(self) -> None:
        self.link = Link(clock=self.clock, rng=random.Random(1), bell=Bell(), start_jitter_s=0.0, workers=self.workers)
        self._ends: list[tuple[float, Meaning]] = []

    def run(self, seconds: float) -> None:
        """Let time pass: each uploader sends whenever it may, each upload takes a second, a refusal a tenth."""
        until = self.clock.boot() + seconds
        while self.clock.boot() < until:
            now = self.clock.boot()
            for end in [end for end in self._ends if end[0] <= now]:
                self._ends.remove(end)
                self.answers[end[1]] += 1
                self.link.report(end[1], "")
            while len(self._ends) < self.workers and self.link.enter() is None:
                busy = len(self._ends) >= self.capacity
                self._ends.append((now + (0.1 if busy else 1.0), Meaning.BUSY if busy else Meaning.DELIVERED))
            self.load.append((now, len(self._ends)))
            self.clock.advance(0.05)


def test_after_an_outage_the_load_ramps_up(clock: MovedClock) -> None:
    """One upload for the first second, then more with each, until all workers are busy."""
    world = Overload(8, 99, clock)
    world.link.report(Meaning.OFFLINE, "no route")
    world.clock.advance(world.link.state.open_at - world.clock.boot())
    world.run(12)
    began = world.load[0][0]
    by_second = [max(load for at, load in world.load if second <= at - began < second + 0.99) for second in range(12)]
    assert by_second[0] == 1
    assert by_second == sorted(by_second)
    assert by_second[-1] == 8


@pytest.mark.parametrize("capacity", [1, 3, 6])
def test_an_overloaded_server_is_not_driven_over(clock: MovedClock, capacity: int) -> None:
    """Of all answers of ten minutes few are refusals, and most of what it bears is used while it is not rested."""
    world = Overload(16, capacity, clock)
    world.run(600)
    delivered, refused = world.answers[Meaning.DELIVERED], world.answers[Meaning.BUSY]
    assert refused < 0.2 * delivered
    assert max(load for _, load in world.load) <= capacity + 2
    assert delivered > 300 * capacity

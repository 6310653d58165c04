from __future__ import annotations

import random
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.spool.thinning import FEWEST, MOST, SHARE, lowest, oldest, sparest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
MOMENTS = st.lists(st.floats(min_value=0, max_value=1e9, allow_nan=False), max_size=200)


def captured(moments: list[float], room: int) -> list[float]:
    """Capture at those moments into room for so many, thinned as the spool does it: look, then use what was named."""
    kept: list[float] = []
    named: deque[float] = deque()
    for moment in moments:
        if len(kept) == room:
            if not named:
                named.extend(kept[at] for at in sparest(kept))
            kept.remove(named.popleft())
        kept.append(moment)
    return kept


@QUICK
@given(
    room=st.integers(min_value=FEWEST + 1, max_value=150),
    times=st.floats(min_value=1.0, max_value=30.0),
    jitter=st.floats(min_value=0.0, max_value=0.4),
    seed=st.integers(),
)
def test_what_is_left_is_spread_evenly(room: int, times: float, jitter: float, seed: int) -> None:
    """However long an outage lasts, the largest gap is at most four times the mean, and both ends are there."""
    rng = random.Random(seed)
    moments = [number + rng.uniform(-jitter, jitter) for number in range(int(room * times))]
    kept = captured(moments, room)
    gaps = [later - earlier for earlier, later in pairwise(kept)]
    assert len(kept) == min(room, len(moments))
    assert (kept[0], kept[-1]) == (moments[0], moments[-1])
    assert max(gaps) <= 4 * sum(gaps) / len(gaps)


def test_a_burst_is_thinned_before_what_is_rare() -> None:
    """Ten pictures in a second make room for each other, not at the cost of one an hour."""
    hourly = [3600.0 * hour for hour in range(20)]
    burst = [3600.0 * 20 + tenth / 10 for tenth in range(10)]
    for moments in (hourly + burst, burst + hourly):
        assert {moments[at] for at in sparest(moments)} <= set(burst)


@QUICK
@given(MOMENTS)
def test_neither_ends_nor_neighbours_go(moments: list[float]) -> None:
    """In any order and with any gaps: the first and the last stay, and so does one beside each that goes."""
    order = sorted(range(len(moments)), key=moments.__getitem__)
    places = sorted(order.index(at) for at in sparest(moments))
    assert not {0, len(moments) - 1} & set(places)
    assert all(later - earlier >= 2 for earlier, later in pairwise(places))
    assert len(places) <= max(1, len(moments) // SHARE)
    assert (len(places) > 0) == (len(moments) > FEWEST)


@QUICK
@given(MOMENTS)
def test_the_oldest_are_the_oldest(moments: list[float]) -> None:
    """Nothing that stays was captured before what goes, and the oldest of all goes first."""
    gone = [moments[at] for at in oldest(moments)]
    assert gone == sorted(moments)[: max(1, len(moments) // SHARE)]


@QUICK
@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 9)), max_size=100), st.sampled_from([sparest, oldest]))
def test_the_lowest_priority_goes_first(
    held: list[tuple[float, int]], choose: Callable[[Sequence[float]], list[int]]
) -> None:
    """Nothing goes while something of a lower priority waits, and something goes wherever priorities differ."""
    moments, priorities = [moment for moment, _ in held], [priority for _, priority in held]
    gone = lowest(moments, priorities, choose)
    assert {priorities[at] for at in gone} <= {min(priorities, default=0)}
    assert len(gone) == len(set(gone))
    if len(set(priorities)) < 2:
        assert gone == choose(moments)
    else:
        assert gone


@pytest.mark.parametrize("choose", [sparest, oldest])
def test_one_look_is_bounded(choose: object) -> None:
    """What one look names is held in memory, so it is no more than some thousands."""
    assert callable(choose)
    assert len(choose([float(number) for number in range(100_000)])) == MOST

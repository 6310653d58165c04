from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.platform.answers import Meaning
from agent.retry import OUTAGES, OVERLOAD, SETTLED, LinkState, after
from agent.spacing import (
    AGAIN,
    CLOSE,
    EASE,
    FIRST_S,
    FURTHER,
    LEAST_S,
    LONGEST_START_S,
    MOST_S,
    OUTAGE_SHARE,
    RISE,
    Spacing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
DISTANCES = st.floats(LEAST_S, MOST_S)
STEPS: dict[str, Callable[[Spacing], Spacing]] = {
    "refused": lambda spacing: spacing.refused(again=False),
    "refused again": lambda spacing: spacing.refused(again=True),
    "taken": Spacing.taken,
    "restored": lambda spacing: spacing.restored(HOUR),
}


def results(*meanings: Meaning, state: LinkState | None = None, alone: bool = True, now: float = 100.0) -> LinkState:
    """Return the link's state after some results, each got when the last one's pause was over."""
    state, rng = state or LinkState(), random.Random(7)
    for meaning in meanings:
        now = max(now, state.open_at)
        state = after(state, meaning, "why", item_id=1, now=now, rng=rng, alone=alone)
    return state


def way_back(spacing: Spacing) -> list[float]:
    """Return the distances of a device that is refused nothing, until it needs none."""
    distances = []
    while spacing != CLOSE:
        spacing = spacing.taken()
        distances.append(spacing.seconds)
    return distances


def test_a_server_that_bears_all_keeps_nothing_apart() -> None:
    """Without a refusal and without an outage the next upload goes at once."""
    assert results(*[Meaning.DELIVERED] * 20) == LinkState()


def test_a_refusal_lengthens_and_a_success_eases() -> None:
    """The distance outlives a success, and a refusal after one says that the server is at its limit."""
    assert results(Meaning.BUSY).spacing.seconds == FIRST_S
    eased = results(Meaning.BUSY, Meaning.DELIVERED)
    assert not eased.paused
    assert eased.spacing.seconds == pytest.approx(FIRST_S * EASE)
    assert results(Meaning.BUSY, state=eased).spacing.seconds == pytest.approx(FIRST_S * EASE * FURTHER)


def test_refusals_in_a_row_double_only() -> None:
    """A server that answers 503 for half a minute, while it restarts, has all of a device again within minutes."""
    distances = [results(*[Meaning.BUSY] * count).spacing.seconds for count in range(1, 9)]
    assert distances == [min(MOST_S, FIRST_S * AGAIN**count) for count in range(8)]
    assert sum(way_back(Spacing(distances[3]))) < 5.5 * 60


def test_a_server_that_recovers_has_all_of_a_device_again() -> None:
    """After the longest distance there is, fifty successes or so and some thirteen minutes lead back to none."""
    distances = way_back(Spacing(MOST_S))
    assert len(distances) < 55
    assert sum(distances) < 14 * 60


@settings(max_examples=2000, deadline=None)
@given(near=DISTANCES, far=DISTANCES)
def test_who_is_slower_catches_up(near: float, far: float) -> None:
    """Each success brings the slower of two devices nearer to the faster one's pace, never further from it.

    In each second a device gains at least RISE uploads a second, however far apart it sends.
    """
    near, far = sorted((near, far))
    nearer, less_far = Spacing(near).taken().seconds, Spacing(far).taken().seconds
    assert less_far <= EASE * far
    if nearer:
        assert less_far / nearer <= far / near * 1.001
        assert (1 / less_far - 1 / far) / far >= RISE * 0.999


@settings(max_examples=2000, deadline=None)
@given(seconds=st.just(0.0) | DISTANCES, again=st.booleans())
def test_a_refusal_never_brings_closer(seconds: float, *, again: bool) -> None:
    """A refusal always lengthens, more so after a success, unless it is as far as it gets."""
    refused = Spacing(seconds).refused(again=again).seconds
    assert refused == MOST_S or refused >= max(FIRST_S, AGAIN * seconds)
    assert refused <= Spacing(seconds).refused(again=False).seconds


@pytest.mark.parametrize("overload", sorted(OVERLOAD, key=str))
def test_several_at_once_are_the_windows_affair(overload: Meaning) -> None:
    """Where three uploads at a time were too many, one after another may be just right."""
    assert results(*[overload] * 4, alone=False).spacing == CLOSE


@pytest.mark.parametrize("cause", sorted(OUTAGES, key=str))
@pytest.mark.parametrize("answer", sorted(set(Meaning) - OUTAGES, key=str))
def test_a_fleet_that_was_cut_off_comes_back_over_minutes(cause: Meaning, answer: Meaning) -> None:
    """After an hour each device begins two minutes apart, whatever the first answer is: the fleet is there with it."""
    out = results(cause, now=0.0)
    back = results(answer, state=out, now=HOUR)
    assert back.spacing.seconds >= Spacing(LONGEST_START_S).taken().seconds
    assert results(*[cause] * 20, now=0.0).spacing == CLOSE
    if answer in SETTLED:
        assert back.open_at - HOUR >= back.spacing.seconds / 2
    if answer is Meaning.BUSY:
        assert back.spacing.seconds == MOST_S


def test_slow_uploads_are_not_slowed_down_twice() -> None:
    """The distance is counted from when an upload began: one that took longer than that is followed at once."""
    near, rng = LinkState(spacing=Spacing(60.0)), random.Random(3)
    for began, ended in ((100.0, 101.0), (100.0, 300.0)):
        state = after(near, Meaning.DELIVERED, "", item_id=1, now=ended, rng=rng, began=began)
        assert 0.5 <= (state.open_at - began) / state.spacing.seconds <= 1.5


def test_a_short_outage_costs_nothing_more() -> None:
    """A server that restarts within seconds finds every device at full speed; a longer outage asks for more."""
    assert CLOSE.restored(LEAST_S / OUTAGE_SHARE * 0.99) == CLOSE
    assert CLOSE.restored(600.0).seconds == pytest.approx(20.0)
    assert CLOSE.restored(1e9).seconds == LONGEST_START_S
    assert Spacing(MOST_S).restored(60.0).seconds == MOST_S


@settings(max_examples=2000, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=100), st.integers())
def test_the_distance_is_bounded_and_no_two_devices_keep_step(steps: list[str], seed: int) -> None:
    """Whatever comes, the wait is at most half as much again as the longest distance, and is jittered around it."""
    spacing, rng = CLOSE, random.Random(seed)
    for step in steps:
        spacing = STEPS[step](spacing)
        assert spacing.seconds == 0.0 or LEAST_S <= spacing.seconds <= MOST_S
        assert 0.5 * spacing.seconds <= spacing.wait_s(rng) <= 1.5 * spacing.seconds


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(Meaning), max_size=60), st.integers(0, 999))
def test_whatever_happened_a_device_is_soon_itself_again(history: list[Meaning], seed: int) -> None:
    """From any state sixty successes and less than a quarter of an hour lead to full speed."""
    state = results(*history)
    now, rng, count = state.open_at, random.Random(seed), 0
    began = now
    while (state := after(state, Meaning.DELIVERED, "", item_id=1, now=now, rng=rng)) != LinkState():
        now, count = max(now, state.open_at), count + 1
        assert count < 60
    assert now - began < 1000

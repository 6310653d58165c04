from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.platform.answers import Meaning
from agent.retry import OVERLOAD, LinkState, after
from agent.spacing import EASE, FIRST_S, LEAST_S, LONGEST_SPREAD_S, MOST_S, OUTAGE_SHARE, Spacing

HOUR = 3600.0


def results(*meanings: Meaning, alone: bool = True) -> LinkState:
    """Return the link's state after some results, each got when the last one's pause was over."""
    state, rng, now = LinkState(), random.Random(7), 100.0
    for meaning in meanings:
        now = max(now, state.open_at)
        state = after(state, meaning, "why", item_id=1, now=now, rng=rng, alone=alone)
    return state


def test_a_server_that_bears_all_keeps_nothing_apart() -> None:
    """Without a refusal and without an outage the next upload goes at once."""
    assert results(*[Meaning.DELIVERED] * 20) == LinkState()


def test_a_refusal_doubles_and_a_success_eases() -> None:
    """The distance outlives a success: where one in ten is refused, it stays about where it is."""
    once = Spacing().refused()
    assert once.seconds == FIRST_S
    assert once.refused().seconds == 2 * FIRST_S
    assert once.refused().taken().seconds == pytest.approx(2 * FIRST_S * EASE)
    busy = results(Meaning.BUSY, Meaning.BUSY, Meaning.DELIVERED)
    assert not busy.paused
    assert busy.spacing.seconds == pytest.approx(2 * FIRST_S * EASE)


def test_a_server_that_recovers_has_all_of_a_device_again() -> None:
    """After the longest distance there is, fifty successes or so and less than half an hour lead back to none."""
    distances, spacing = [], Spacing(MOST_S)
    while spacing != Spacing():
        spacing = spacing.taken()
        distances.append(spacing.seconds)
    assert len(distances) < 60
    assert sum(distances) < 30 * 60


@pytest.mark.parametrize("overload", sorted(OVERLOAD, key=str))
def test_several_at_once_are_the_windows_affair(overload: Meaning) -> None:
    """Where three uploads at a time were too many, one after another may be just right."""
    assert results(*[overload] * 4, alone=False).spacing == Spacing()


def test_a_fleet_that_was_cut_off_comes_back_over_minutes() -> None:
    """After an hour each device begins two minutes apart, and one that is refused knows that it is not alone."""
    back = Spacing().restored(HOUR)
    assert back.seconds == LONGEST_SPREAD_S / 2
    assert back.refused().seconds == MOST_S
    state = after(LinkState(), Meaning.OFFLINE, "why", item_id=1, now=0.0, rng=random.Random(1))
    state = after(state, Meaning.DELIVERED, "", item_id=1, now=HOUR, rng=random.Random(1))
    assert state.open_at - HOUR > back.seconds * EASE / 2
    refused = after(state, Meaning.BUSY, "why", item_id=1, now=2 * HOUR, rng=random.Random(1), alone=False)
    assert refused.spacing.seconds == MOST_S


def test_a_short_outage_costs_nothing_more() -> None:
    """A server that restarts within seconds finds every device at full speed."""
    assert Spacing().restored(OUTAGE_SHARE * LEAST_S).seconds == 0.0


@given(st.lists(st.sampled_from(["refused", "taken", "restored"]), max_size=200), st.integers())
def test_the_distance_is_bounded_and_no_two_devices_keep_step(steps: list[str], seed: int) -> None:
    """Whatever comes, the wait is at most half as much again as the longest distance, and is jittered around it."""
    spacing, rng = Spacing(), random.Random(seed)
    for step in steps:
        spacing = spacing.restored(HOUR) if step == "restored" else getattr(spacing, step)()
        assert spacing.seconds == 0.0 or LEAST_S <= spacing.seconds <= MOST_S
        assert 0.5 * spacing.seconds <= spacing.wait_s(rng) <= 1.5 * spacing.seconds

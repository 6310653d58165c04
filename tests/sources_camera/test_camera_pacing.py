from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sources.pacing import Pace, live_pace


def picked(pace: Pace, moments: list[float]) -> list[float]:
    """Return the moments that the pace takes."""
    taken = []
    for moment in moments:
        if pace.due(moment):
            pace.take(moment)
            taken.append(moment)
    return taken


def frames(rate: float, seconds: float) -> list[float]:
    """Return the moments of a steady camera."""
    return [1000 + index / rate for index in range(round(rate * seconds))]


def test_an_interval_of_nothing_takes_every_frame() -> None:
    """At 0 every frame is due, also two of the same moment."""
    assert picked(Pace(0), [1.0, 1.0, 0.5]) == [1.0, 1.0, 0.5]


def test_the_first_frame_is_due_at_once() -> None:
    """Nobody waits an hour for the first picture."""
    assert picked(Pace(3600), [5.0, 6.0]) == [5.0]


def test_late_frames_do_not_push_the_next_ones_back() -> None:
    """Frames that come at 7 a second are taken at one a second on average, over any time: no drift."""
    assert len(picked(live_pace(1.0), frames(7, 100))) == 100


def test_a_stall_is_not_made_up_for() -> None:
    """After ten silent seconds one frame is taken, not ten."""
    assert picked(Pace(1.0), [0.0, 1.0, 11.3, 11.4, 11.5, 12.1]) == [0.0, 1.0, 11.3, 12.1]


@pytest.mark.parametrize("jitter_s", [0.0, 0.004, -0.004])
def test_a_jittering_camera_keeps_its_own_rate(jitter_s: float) -> None:
    """A camera of 30 frames a second loses none at an interval of 1/30 s for being a few milliseconds early."""
    moments = [at + jitter_s * (index % 2) for index, at in enumerate(frames(30, 10))]
    assert len(picked(live_pace(1 / 30), moments)) >= 299


def test_due_changes_nothing() -> None:
    """Asking is free: a bad frame leaves its interval to the next one."""
    pace = Pace(10)
    pace.take(0.0)
    assert (pace.due(10.0), pace.due(10.1)) == (True, True)


@given(
    st.floats(0.01, 100),
    st.lists(st.floats(0, 1000), min_size=1, max_size=60).map(sorted),
)
def test_there_is_never_more_than_one_frame_an_interval(interval_s: float, moments: list[float]) -> None:
    """Whatever comes when, the frames taken are at most one more than the intervals that passed."""
    taken = picked(live_pace(interval_s), moments)
    assert len(taken) <= (moments[-1] - moments[0]) / interval_s + 2
    assert taken[0] == moments[0]

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.health import Pulse

if TYPE_CHECKING:
    from wire_rig import MovedClock


@pytest.fixture
def pulse(clock: MovedClock) -> Pulse:
    """Return a pulse that has felt nothing yet."""
    return Pulse(clock)


def test_a_stage_that_was_never_heard_of_is_not_stalled(pulse: Pulse, clock: MovedClock) -> None:
    """What has not begun owes nothing."""
    clock.advance(10**6)
    assert pulse.stalled(0.0) == []


@pytest.mark.parametrize(("after_s", "stalled"), [(0.0, []), (30.0, []), (30.1, ["upload-1"])])
def test_a_stage_at_work_has_to_move(pulse: Pulse, clock: MovedClock, after_s: float, stalled: list[str]) -> None:
    """It is stalled once nothing has moved for longer than the limit."""
    pulse.beat("upload-1")
    clock.advance(after_s)
    assert pulse.stalled(30.0) == stalled


def test_a_slow_stage_that_moves_is_healthy(pulse: Pulse, clock: MovedClock) -> None:
    """A thin link takes an hour for a picture; every piece that goes out is a beat."""
    for _ in range(180):
        pulse.beat("upload-1")
        clock.advance(20)
        assert pulse.stalled(30.0) == []


def test_a_stage_may_rest_for_ever(pulse: Pulse, clock: MovedClock) -> None:
    """Nothing to do is no stall; the next beat starts the measure anew."""
    pulse.beat("upload-1")
    pulse.rest("upload-1")
    clock.advance(10**6)
    assert pulse.stalled(30.0) == []
    pulse.beat("upload-1")
    assert pulse.stalled(30.0) == []
    clock.advance(31)
    assert pulse.stalled(30.0) == ["upload-1"]


def test_every_stalled_stage_is_named(pulse: Pulse, clock: MovedClock) -> None:
    """One stage's beats do not cover another's silence."""
    for stage in ("watch-a", "upload-2", "upload-1"):
        pulse.beat(stage)
    clock.advance(31)
    pulse.beat("watch-a")
    assert pulse.stalled(30.0) == ["upload-1", "upload-2"]

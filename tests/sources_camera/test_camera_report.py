from __future__ import annotations

from typing import TYPE_CHECKING

import tenacity
from camera_rig import dice
from structlog.testing import capture_logs

from agent.clock import SystemClock
from agent.errors import Reject, Reopen
from agent.frame import Position
from agent.hush import Hush
from agent.sources.clips import ATTEMPTS, Clip
from agent.sources.feeds import Opened, Pulse, Shot
from agent.sources.patience import LONGEST_S, SHORTEST_S, Patience
from agent.sources.report import CameraState, Report

if TYPE_CHECKING:
    from pathlib import Path

    from camera_rig import HandClock


def test_a_thing_is_said_again_when_it_changes_or_after_ten_minutes() -> None:
    """Figures and addresses do not make a text a new one; words do."""
    hush = Hush()
    assert hush.lets("no frame for 3 s at 0x7f", 0)
    assert not hush.lets("no frame for 4 s at 0x8a", 599)
    assert hush.lets("ended with status", 599)
    assert not hush.lets("ended with status", 1198)
    assert hush.lets("ended with status", 1199)
    hush.forget()
    assert hush.lets("ended with status", 1199)


def report(clock: HandClock) -> tuple[Report, list[CameraState]]:
    """Return a report and the states it tells."""
    states: list[CameraState] = []
    return Report(CameraState("gate", "rtsp://cam"), states.append, clock), states


def test_counters_add_up_over_reopenings(clock: HandClock) -> None:
    """Every opening counts from nothing; the state counts since the agent started."""
    camera, _ = report(clock)
    camera.opened(Opened("MJPG", "MJPG 64x48"))
    camera.pulse(Pulse(10, {"black": 2}))
    camera.pulse(Pulse(20, {"black": 3}))
    camera.lost(Reopen("gone"), 1.0)
    camera.opened(Opened("MJPG", "MJPG 64x48"))
    camera.pulse(Pulse(5, {"frozen": 1}))
    assert (camera.state.seen, camera.state.restarts) == (25, 1)
    assert camera.state.bad == {"black": 3, "frozen": 1}
    assert (camera.state.asked, camera.state.got) == ("MJPG", "MJPG 64x48")


def test_every_change_is_told_at_once(clock: HandClock) -> None:
    """Also the last picture before a long interval is counted for those who look meanwhile."""
    camera, states = report(clock)
    camera.opened(Opened())
    camera.pulse(Pulse(1, {}))
    camera.taken(Shot(b"", clock.wall(), clock.boot()))
    assert (states[-1].opened, states[-1].seen, states[-1].taken) == (True, 1, 1)
    assert states[-1].last_frame_at == clock.boot()
    camera.lost(Reopen("gone"), 1.0)
    assert states[-1].problem == "gone"
    assert not states[-1].opened


def test_a_flapping_camera_is_quiet_until_it_was_well(clock: HandClock) -> None:
    """A loss that repeats is not said, nor the opening after it; after a while of frames it is news again."""
    camera, _ = report(clock)
    with capture_logs() as logs:
        for _ in range(3):
            camera.opened(Opened())
            camera.lost(Reopen("no frame for 10 s"), 1.0)
        camera.opened(Opened())
        camera.recovered()
        camera.lost(Reopen("no frame for 10 s"), 1.0)
    events = [entry["event"] for entry in logs]
    assert events == ["source_opened", "source_lost", "source_opened", "source_lost"]


def test_every_file_that_is_given_up_is_named(clock: HandClock) -> None:
    """What is not tried again is always said, also when it reads like the last one."""
    camera, _ = report(clock)
    with capture_logs() as logs:
        camera.lost(Reject("/clips/1.avi cannot be opened"), None)
        camera.lost(Reject("/clips/2.avi cannot be opened"), None)
    assert len(logs) == 2
    assert camera.state.restarts == 0


def waits(patience: Patience, attempts: list[int]) -> list[float]:
    """Return the waits before these attempts."""
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    seconds = []
    for attempt in attempts:
        state.attempt_number = attempt
        seconds.append(patience(state))
    return seconds


def test_waits_grow_from_half_a_second_to_a_minute() -> None:
    """Each wait lies between a fifth of its ceiling and the ceiling, whatever the attempt's number."""
    for seed in range(20):
        seconds = waits(Patience(dice(seed)), [1, 2, 3, 8, 30, 5000])
        ceilings = [SHORTEST_S, 1.0, 2.0, LONGEST_S, LONGEST_S, LONGEST_S]
        assert all(top / 5 <= wait <= top for wait, top in zip(seconds, ceilings, strict=True))


def test_the_jitter_comes_from_the_part_that_is_handed_in() -> None:
    """The same seed gives the same waits, another seed others."""
    first, again, other = (waits(Patience(dice(seed)), [1, 2, 3]) for seed in (1, 1, 2))
    assert first == again != other


def test_a_source_that_was_well_starts_with_short_waits() -> None:
    """After a reset the next wait is of the first kind, and counting goes on from there."""
    patience = Patience(dice(1))
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = 20
    patience.reset()
    assert patience(state) <= SHORTEST_S
    assert state.attempt_number == 1


def test_a_clip_is_given_up_after_attempts_without_progress(tmp_path: Path) -> None:
    """Attempts in a row that brought no frame are counted; a frame starts the count again."""
    path = tmp_path / "clip.avi"
    path.write_bytes(b"x")
    clip = Clip.of(str(path), lambda *_: Position(str(path), "", 5))
    assert clip is not None
    for _ in range(ATTEMPTS - 1):
        clip.try_again()
    assert not clip.hopeless()
    clip.next_frame += 1
    for _ in range(ATTEMPTS):
        assert not clip.hopeless()
        clip.try_again()
    assert clip.hopeless()


def test_the_clock_of_a_shot_is_the_boot_clock() -> None:
    """The state's last frame can be held against the boot clock of the one who reads it."""
    states: list[CameraState] = []
    clock = SystemClock()
    camera = Report(CameraState("gate", "0"), states.append, clock)
    camera.taken(Shot(b"", clock.wall(), clock.boot()))
    assert camera.state.last_frame_at is not None
    assert 0 <= clock.boot() - camera.state.last_frame_at < 5

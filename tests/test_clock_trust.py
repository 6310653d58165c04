from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from agent import clock as clocks
from agent import synchronisation
from agent.clock import (
    ASK_EVERY_S,
    LIFETIME,
    RELEASED,
    SystemClock,
    boot_id,
    is_plausible,
    is_trusted,
    put_right,
    stamp_file,
    stamp_now,
)

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FakeClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
GOOD = RELEASED + timedelta(days=300)


@pytest.mark.parametrize(
    ("wall", "plausible"),
    [
        (EPOCH, False),
        (RELEASED - SECOND, False),
        (RELEASED, True),
        (RELEASED + LIFETIME - SECOND, True),
        (RELEASED + LIFETIME, False),
        (datetime.max.replace(tzinfo=UTC), False),
    ],
)
def test_no_device_lives_before_its_release(wall: datetime, *, plausible: bool) -> None:
    """A wall time before the release, or generations after it, is wrong."""
    assert is_plausible(wall) is plausible


@pytest.mark.parametrize(
    ("wall", "synchronised", "trusted"),
    [(GOOD, True, True), (GOOD, False, False), (GOOD, None, True), (EPOCH, True, False), (EPOCH, None, False)],
)
def test_a_clock_is_trusted_that_is_kept_and_plausible(wall: datetime, *, synchronised: bool, trusted: bool) -> None:
    """A time service's no counts, and so does an absurd time; where nobody says anything, a plausible time will do."""
    assert is_trusted(wall, synchronised=synchronised) is trusted


@pytest.mark.parametrize(
    ("kernel", "service", "said"),
    [
        (True, None, True),
        (False, True, True),
        (None, True, True),
        (True, False, True),
        (False, None, False),
        (False, False, False),
        (None, False, False),
        (None, None, None),
    ],
)
def test_one_yes_is_enough(*, kernel: bool | None, service: bool | None, said: bool | None) -> None:
    """The kernel forgets during a long outage what the service has done, and a sandbox may hide the kernel's word."""
    assert synchronisation.decide(kernel, service) is said


def test_the_mark_of_the_time_service_is_read(tmp_path: Path) -> None:
    """No folder: it does not run; a folder without the mark: it has not set the clock yet."""
    folder = tmp_path / "timesync"
    assert synchronisation._timesyncd_says(folder) is None
    folder.mkdir()
    assert synchronisation._timesyncd_says(folder) is False
    (folder / "synchronized").touch()
    assert synchronisation._timesyncd_says(folder) is True


def test_the_kernel_answers_and_nothing_is_set() -> None:
    """The real call gives one of three answers, and the clock goes on as before."""
    before = SystemClock().wall()
    assert synchronisation._kernel_says() in {True, False, None}
    assert SystemClock().wall() - before < timedelta(seconds=5)
    assert isinstance(SystemClock().trusted(), bool)


class MovedClock(SystemClock):
    """The machine's own clocks, as if somebody moved them."""

    step_s = uptime_s = 0.0

    def wall(self) -> datetime:
        """Return the wall time that was set."""
        return super().wall() + timedelta(seconds=self.uptime_s + self.step_s)

    def boot(self) -> float:
        """Return the uptime."""
        return super().boot() + self.uptime_s


@pytest.mark.parametrize("step_s", [-86_400.0, -0.5, 0.5, 86_400.0, 25 * 365 * 86_400.0])
def test_an_answer_of_before_the_clock_was_set_does_not_hold(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """It holds for a second, but not over a step: who looks right after one gets the answer of then."""
    asked, clock = list[float](), MovedClock()
    monkeypatch.setattr(clocks, "is_synchronised", lambda: asked.append(clock.step_s))
    for _ in range(3):
        clock.trusted()
    assert len(asked) == 1
    clock.step_s = step_s
    for _ in range(3):
        clock.trusted()
    assert len(asked) == 2
    clock.uptime_s += ASK_EVERY_S  # both clocks went on, as they do
    clock.trusted()
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("labelled", "boot_s", "right"),
    [
        (EPOCH + timedelta(seconds=940), 940.0, GOOD - timedelta(seconds=60)),
        (GOOD + timedelta(days=900), 1000.0, GOOD),
        (GOOD - timedelta(seconds=59.5), 940.0, GOOD - timedelta(seconds=59.5)),
        (GOOD - timedelta(seconds=58), 940.0, GOOD - timedelta(seconds=60)),
    ],
    ids=["behind", "ahead", "slewed", "off by two seconds"],
)
def test_the_boot_clock_tells_the_true_time(labelled: datetime, boot_s: float, right: datetime) -> None:
    """By a clock that is right now, the moment of a capture is known to the second, whatever it was labelled."""
    assert put_right(labelled, boot_s, wall=GOOD, boot=1000.0) == right


def test_a_frame_from_before_the_clock_was_set_is_right_at_once(clock: FakeClock) -> None:
    """Between the grab and the spool the time service may come: what is labelled is already put right."""
    labelled, stamp = stamp_now(EPOCH, 998.0, clock)
    assert labelled == clock.now - timedelta(seconds=2)
    assert (stamp.boot_id, stamp.boot_s, stamp.trusted) == (boot_id(), 998.0, True)


def test_a_frame_by_a_wrong_clock_is_marked(clock: FakeClock) -> None:
    """While nobody knows better the label stays, with all that is needed to put it right."""
    clock.is_trusted = False
    labelled, stamp = stamp_now(EPOCH, 998.0, clock)
    assert (labelled, stamp.boot_s, stamp.trusted) == (EPOCH, 998.0, False)


@pytest.mark.parametrize(
    ("written", "boot_s"),
    [
        (EPOCH + timedelta(seconds=940), 940.0),
        (EPOCH + timedelta(seconds=1001), None),
        (EPOCH - timedelta(seconds=1), None),
        (GOOD, None),
    ],
    ids=["in this boot", "in the future", "before this boot", "plausible"],
)
def test_a_file_of_an_absurd_time_is_placed_in_this_boot(
    clock: FakeClock, written: datetime, boot_s: float | None
) -> None:
    """A file's time is its own: only one that cannot be true, and lies in this boot, is taken for our clock's."""
    clock.now, clock.is_trusted = EPOCH + timedelta(seconds=1000), False
    stamp = stamp_file(written, clock)
    assert (stamp.boot_s, stamp.trusted) == (boot_s, False)


def test_a_file_is_not_judged_by_a_clock_that_was_set_since(clock: FakeClock) -> None:
    """Once the clock is right, nothing tells in which boot a file of 1970 was written."""
    assert stamp_file(EPOCH + timedelta(seconds=940), clock).boot_s is None

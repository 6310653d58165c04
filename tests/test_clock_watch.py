from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from clock_rig import set_clock, sleeps
from house_rig import until
from structlog.testing import capture_logs

from agent.clock_watch import ClockWatch
from agent.errors import SpoolDamaged
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG_S, SHORT_S = 30.0, 0.02
TRIES = 20  # another test, or the machine, may set the clock meanwhile


def descriptors() -> set[str]:
    """Return what this process has open: the number of each descriptor, and what it is."""
    found = set()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 (names are wanted, not paths)
        with_what = f"/proc/self/fd/{number}"
        if os.path.lexists(with_what):  # the one of the list itself is gone
            found.add(f"{number} {os.readlink(with_what)}")  # noqa: PTH115 (likewise)
    return found


def waited(watch: ClockWatch, act: Callable[[], object]) -> tuple[bool, float]:
    """Wait in a thread, act once it sleeps, and return what the wait said and how long after the act it ended."""
    answers = list[tuple[bool, float]]()
    sleeper = Nursery(Stop())
    sleeper.start("sleeper", lambda: answers.append((watch.wait(LONG_S), time.monotonic())))
    [thread] = sleeper._threads
    until(lambda: sleeps(thread))
    began = time.monotonic()
    act()
    assert sleeper.join(LONG_S) == []
    [(said, ended)] = answers
    return said, ended - began


def is_quiet(watch: ClockWatch) -> bool:
    """Tell whether a wait says no, and lasts as long as it was to; tried until it is so."""
    for _ in range(TRIES):
        began = time.monotonic()
        if not watch.wait(SHORT_S) and time.monotonic() - began >= SHORT_S:
            return True
    return False


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Have the kernel refuse every further descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestWatched:
    """Where the kernel tells."""

    def test_a_clock_that_is_set_ends_the_wait_at_once(self) -> None:
        """Forward and backward, each is told of once; then waits are as long as ever."""
        set_clock(0)  # or skip
        with ClockWatch(Stop()) as watch:
            for step in (+1, -1):
                said, took = waited(watch, partial(set_clock, step))
                assert said
                assert took < 1
                assert is_quiet(watch)

    def test_what_came_between_two_waits_is_not_missed(self) -> None:
        """The clock is set while somebody works on what it was set to before; the next wait tells of it."""
        with ClockWatch(Stop()) as watch:
            set_clock(+1)
            set_clock(-1)
            assert watch.wait(LONG_S) is True
            assert is_quiet(watch)

    def test_a_clock_that_nobody_sets_is_not_told_of(self) -> None:
        """A wait lasts as long as it was to, and says no."""
        with ClockWatch(Stop()) as watch:
            assert watch.tells
            assert is_quiet(watch)

    def test_somebody_else_can_end_a_wait(self) -> None:
        """It ends one wait only, and a wake that came before the wait is not lost."""
        with ClockWatch(Stop()) as watch:
            assert waited(watch, watch.wake)[1] < 1
            watch.wake()
            watch.wake()
            began = time.monotonic()
            watch.wait(LONG_S)
            assert time.monotonic() - began < 1
            assert is_quiet(watch)

    def test_after_its_end_it_holds_no_descriptor(self) -> None:
        """However often it is used, and also when it ends with an error; a late wake or stop meets nothing."""
        stop, before = Stop(), descriptors()
        for _ in range(20):
            watch = ClockWatch(stop)
            with pytest.raises(SpoolDamaged), watch:
                fail_with(descriptors() - before)
        assert descriptors() == before
        with open(os.devnull, "rb") as another:  # noqa: PTH123 (it has the number of one that was closed)
            watch.wake()
            stop.set()
            assert another.read() == b""

    def test_children_do_not_inherit_it(self) -> None:
        """Programs that the agent starts get neither the timer nor the bell."""
        with ClockWatch(Stop()) as watch:
            assert watch._open is not None
            timer, bell = watch._open
            assert [os.get_inheritable(descriptor) for descriptor in (timer, bell.descriptor)] == [False, False]


@pytest.mark.parametrize("refused", [False, True], ids=["watched", "looked at"])
class TestStopped:
    """With the kernel's help and without."""

    def test_i4_the_stop_ends_a_wait_at_once(self, *, refused: bool) -> None:
        """In the middle of a wait, and before it; then no wait is one."""
        stop = Stop()
        watch = ClockWatch(stop)
        with opened(watch, refused=refused):
            assert waited(watch, stop.set)[1] < 1
        with opened(ClockWatch(stop), refused=refused) as late:
            began = time.monotonic()
            late.wait(LONG_S)
            assert time.monotonic() - began < 1


def fail_with(found: set[str]) -> None:
    """Check what a watch holds, and end its work as a damaged spool would."""
    assert len(found) == 2
    raise SpoolDamaged(", ".join(found))


@contextmanager
def opened(watch: ClockWatch, *, refused: bool) -> Iterator[ClockWatch]:
    """Open a watch, by a kernel that refuses it or one that does not."""
    if refused:
        with no_descriptors_left():
            watch.__enter__()
    else:
        watch.__enter__()
    try:
        assert watch.tells is not refused
        yield watch
    finally:
        watch.__exit__(None, None, None)


class TestRefused:
    """Where the kernel, or a sandbox, does not."""

    def test_it_says_so_once_and_waits_all_the_same(self) -> None:
        """It is no error: waits are as long as they were to be, and a wake is not heard."""
        with capture_logs() as logs, opened(ClockWatch(Stop()), refused=True) as watch:
            watch.wake()
            assert all(is_quiet(watch) for _ in range(2))
        assert [(entry["log_level"], entry["event"]) for entry in logs] == [("debug", "clock_not_watched")]

    @pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
    @pytest.mark.parametrize(
        ("call", "tells"),
        [
            ("timerfd_create:error=ENOSYS", False),
            ("timerfd_settime:error=EINVAL", False),
            ("eventfd2:error=EPERM", False),
            ("timerfd_settime:error=ECANCELED", True),
        ],
    )
    def test_whatever_is_refused_nothing_is_left_open(self, call: str, *, tells: bool) -> None:
        """An old kernel knows no timer or not its flag, a sandbox forbids one or the other: it falls back, whole.

        That the clock was set in the very moment is no refusal.
        """
        script = (
            "import os; from agent.clock_watch import ClockWatch; from agent.workers import Stop\n"
            "import structlog; structlog.configure(logger_factory=structlog.ReturnLoggerFactory())\n"
            "before = os.listdir('/proc/self/fd')\n"
            "with ClockWatch(Stop()) as watch:\n"
            "    print(watch.tells, len(os.listdir('/proc/self/fd')) - len(before))\n"
            "assert os.listdir('/proc/self/fd') == before\n"
        )
        traced = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call.partition(':')[0]}", "-e", f"inject={call}"]
        ended = subprocess.run(
            [*traced, sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
        assert ended.stdout == f"{tells} {2 * tells}\n"

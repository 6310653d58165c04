from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from agent.workers import Bell, Nursery, Stop, last_core

if TYPE_CHECKING:
    from collections.abc import Callable


def spinning(done: Callable[[], bool]) -> None:
    """Wait until something has come about in another thread, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def sleep_on(end: Stop | threading.Event) -> Callable[[], None]:
    """Return work that lasts until `end` is set, thirty seconds at most."""

    def work() -> None:
        end.wait(30)

    return work


class TestStop:
    """One sticky request to end."""

    def test_a_stop_that_comes_first_is_not_lost(self) -> None:
        """Who starts to wait after the stop was set does not wait at all."""
        stop = Stop()
        assert not stop.is_set()
        assert stop.wait(0) is False
        stop.set()
        assert stop.is_set()
        assert stop.wait(None) is True

    def test_a_stop_ends_a_wait(self) -> None:
        """A thread in the middle of its wait wakes at once, however long it meant to sleep."""
        stop, answers = Stop(), list[bool]()
        nursery = Nursery(stop)
        nursery.start("sleeper", lambda: answers.append(stop.wait(3600)))
        stop.set()
        assert nursery.join(10) == []
        assert answers == [True]

    def test_a_listener_is_told_once(self) -> None:
        """Before the stop it waits for it, after the stop it is told at once; a second stop tells nobody twice."""
        stop, told = Stop(), list[str]()
        stop.subscribe(lambda: told.append("early"))
        assert told == []
        stop.set()
        stop.set()
        assert told == ["early"]
        stop.subscribe(lambda: told.append("late"))
        assert told == ["early", "late"]

    def test_a_listener_sees_the_stop_and_may_ask_again(self) -> None:
        """Listeners run without the lock: one that subscribes another does not lock itself out."""
        stop, told = Stop(), list[bool]()
        stop.subscribe(lambda: stop.subscribe(lambda: told.append(stop.is_set())))
        stop.set()
        assert told == [True]

    def test_no_listener_is_lost_between_two_threads(self) -> None:
        """However subscription and stop fall together, each listener is told exactly once."""
        for _ in range(50):
            stop, told = Stop(), list[int]()
            nursery = Nursery(Stop())
            for number in range(4):
                nursery.start(f"listener {number}", partial(stop.subscribe, partial(told.append, 1)))
            nursery.start("stopper", stop.set)
            assert nursery.join(10) == []
            assert told == [1, 1, 1, 1]


class TestBell:
    """Wakes those who wait, and those who were just about to."""

    def test_a_ring_before_the_wait_is_not_lost(self) -> None:
        """The count was read before the look: a ring in between ends the wait before it begins."""
        bell = Bell()
        heard = bell.rings()
        bell.ring()
        bell.wait(heard, None)

    def test_a_wait_has_an_end_without_a_ring(self) -> None:
        """Nothing rings, and the time runs out."""
        bell = Bell()
        bell.ring()
        bell.wait(bell.rings(), 0.001)

    def test_a_ring_wakes_everybody(self) -> None:
        """All who wait go on, not one of them."""
        bell, nursery, woken = Bell(), Nursery(Stop()), list[int]()
        heard = bell.rings()

        def wait(number: int) -> None:
            bell.wait(heard, None)
            woken.append(number)

        for number in range(4):
            nursery.start(f"waiter {number}", partial(wait, number))
        spinning(lambda: len(bell._condition._waiters) == 4)  # type: ignore[attr-defined]
        bell.ring()
        assert nursery.join(10) == []
        assert sorted(woken) == [0, 1, 2, 3]


class TestNursery:
    """Every thread is started, watched and ended here."""

    def test_threads_run_under_their_names(self) -> None:
        """The name is that of the stack dumps, and a thread that ended is not running."""
        nursery, names, go_on = Nursery(Stop()), list[str](), threading.Event()

        def work() -> None:
            names.append(threading.current_thread().name)
            go_on.wait(10)

        nursery.start("uploader 1", work)
        assert nursery.running() == ["uploader 1"]
        go_on.set()
        assert nursery.join(10) == []
        assert names == ["uploader 1"]
        assert nursery.running() == []
        assert nursery.failure is None

    def test_a_thread_that_fails_stops_the_others(self) -> None:
        """A defect is logged with its thread, remembered, and ends the whole, so that it is started anew."""
        stop = Stop()
        nursery = Nursery(stop)
        defect = RuntimeError("defect")

        def fail() -> None:
            raise defect

        with capture_logs() as logs:
            nursery.start("bystander", sleep_on(stop))
            nursery.start("culprit", fail)
            assert nursery.join(10) == []
        assert stop.is_set()
        assert nursery.failure is defect
        assert [(entry["event"], entry["thread"], entry["exc_info"]) for entry in logs] == [
            ("thread_failed", "culprit", defect)
        ]

    def test_i4_stragglers_share_one_deadline_and_are_named(self) -> None:
        """Two threads that do not end cost one grace together, not one each; the others are not blamed."""
        stop, release = Stop(), threading.Event()
        nursery = Nursery(stop)
        for name in ("camera", "uploader"):
            nursery.start(name, sleep_on(release))
        nursery.start("orderly", sleep_on(stop))
        stop.set()
        began = time.monotonic()
        assert nursery.join(0.8) == ["camera", "uploader"]
        assert 0.8 <= time.monotonic() - began < 1.59
        release.set()
        assert nursery.join(10) == []

    def test_joining_without_grace_does_not_wait(self) -> None:
        """A grace that is used up, or negative, is a look."""
        release = threading.Event()
        nursery = Nursery(Stop())
        nursery.start("camera", sleep_on(release))
        assert nursery.join(0) == nursery.join(-1) == ["camera"]
        release.set()
        assert nursery.join(10) == []

    @pytest.mark.parametrize("times", [1, 3])
    def test_i4_a_straggler_does_not_keep_the_process(self, times: int) -> None:
        """A real process with threads that never end is gone as soon as its main thread is."""
        script = (
            "import threading\n"
            "from agent.workers import Nursery, Stop\n"
            "nursery = Nursery(Stop())\n"
            f"for number in range({times}):\n"
            "    nursery.start('stuck', threading.Event().wait)\n"
            "print(nursery.join(0.05))\n"
        )
        ended = subprocess.run([sys.executable, "-c", script], check=True, timeout=10, capture_output=True, text=True)
        assert ended.stdout == f"{['stuck'] * times}\n"


def test_a_thread_is_shown_by_its_name() -> None:
    """Whoever looks with `top -H` sees which thread is busy; a name that is too long is cut."""
    shown: list[str] = []
    nursery = Nursery(Stop())
    nursery.start("camera-förderband-1", lambda: shown.append(Path("/proc/thread-self/comm").read_text()))
    assert nursery.join(10) == []
    assert shown == ["camera-förderb\n"]


class TestNeighbours:
    """Threads that stay on one core."""

    def test_neighbours_share_a_core_and_others_go_where_they_like(self) -> None:
        """What works on the same pictures stays on the one core; a thread beside it, and whoever started it, do not."""
        free, found = os.sched_getaffinity(0), dict[str, tuple[set[int], int]]()

        def note(name: str) -> None:
            found[name] = os.sched_getaffinity(0), os.sched_getscheduler(0)

        nursery = Nursery(Stop(), core=last_core())
        nursery.start("near", partial(note, "near"), neighbours=True)
        nursery.start("far", partial(note, "far"))
        assert nursery.join(10) == []
        assert found == {"near": ({max(free)}, os.SCHED_BATCH), "far": (free, os.SCHED_OTHER)}
        assert os.sched_getaffinity(0) == free

    def test_a_core_that_is_not_to_be_had_costs_nothing(self) -> None:
        """Where the machine refuses the core, the work is done all the same."""
        done = threading.Event()
        nursery = Nursery(Stop(), core=1023)
        nursery.start("near", done.set, neighbours=True)
        assert nursery.join(10) == []
        assert done.is_set()
        assert nursery.failure is None

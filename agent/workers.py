"""The nursery: every thread of the agent is started, watched and ended here.

Stopping is one sticky event with one deadline. A straggler is named in the log, not waited for: its thread is a
daemon thread, so the process ends all the same (I4).
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)


def last_core() -> int:
    """Return the last core that this process may use: interrupts are served by the first."""
    return max(os.sched_getaffinity(0))


class Stop:
    """A sticky request to end: once set it stays set, also for those who start to listen later."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def set(self) -> None:
        """Ask everybody to end; wakes whoever waits. Never called from inside a signal handler."""
        with self._lock:
            self._event.set()
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def is_set(self) -> bool:
        """Tell whether the end was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float | None) -> bool:
        """Sleep up to `seconds` (None: without end); return at once, and true, when the end is asked for."""
        return self._event.wait(seconds)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` once when the end is asked for; at once if it already was."""
        with self._lock:
            if not self._event.is_set():
                self._listeners.append(listener)
                return
        listener()


class Bell:
    """Wakes waiting threads when something changed, without losing a ring that came before the wait."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        """Wake everybody who waits, and whoever waits next on an older count."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def rings(self) -> int:
        """Return the count to hand to `wait`; read it before looking at what the bell announces."""
        return self._rings

    def wait(self, heard: int, seconds: float | None) -> None:
        """Sleep until the bell rang more than `heard` times, or `seconds` have passed."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings != heard, seconds)


class Nursery:
    """Owns a set of threads that end together.

    A thread that dies of an error it did not expect is a defect: it is logged with its traceback, remembered in
    `failure`, and stops the others, so that the service manager restarts the whole. Threads that are started as
    `neighbours` stay on `core`, one of the machine's.
    """

    def __init__(self, stop: Stop, *, core: int | None = None) -> None:
        self.stop = stop
        self._core = core
        self.failure: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], None], *, neighbours: bool = False) -> None:
        """Run `work` in a thread of its own, named for logs and stack dumps.

        Threads that work on the same pictures are best neighbours: the interpreter runs one at a time anyway, and on
        several cores they wake each other at every system call, which costs as much again as their work.
        """
        core = self._core if neighbours else None
        thread = threading.Thread(target=self._guard, args=(name, work, core), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def running(self) -> list[str]:
        """Return the names of the threads that have not ended."""
        return [thread.name for thread in self._threads if thread.is_alive()]

    def join(self, grace_s: float) -> list[str]:
        """Wait for all threads, at most `grace_s` together; return the names of those that did not end."""
        deadline = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self.running()

    def _guard(self, name: str, work: Callable[[], None], core: int | None) -> None:
        _show_as(name)
        if core is not None:
            with suppress(OSError):  # a sandbox may forbid it, or take the core away; then it is only slower
                os.sched_setaffinity(0, {core})
                # One that wakes up does not interrupt the one that runs: it could not go on without its lock anyway.
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        try:
            work()
        except Exception as error:  # the one place where an unexpected error ends: it must not vanish
            self.failure = error
            log.critical("thread_failed", thread=name, exc_info=error)
            self.stop.set()


def _show_as(name: str) -> None:
    """Have `top -H` and `ps -L` show this thread by its name, of which the kernel keeps fifteen bytes."""
    with suppress(OSError):
        Path("/proc/thread-self/comm").write_bytes(name.encode()[:15])

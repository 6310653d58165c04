"""Waits, and wakes at once when the wall clock is set.

A timer of the kernel can be had to be cancelled when somebody sets the clock (Linux 3.0), be it a time service that
steps it or `date --set`; the wake from a suspend counts too, a slew does not. Python has no call for it before 3.13.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Self

import structlog

from agent.libc import LIBC, check
from agent.wakeup import Wakeup

if TYPE_CHECKING:
    from types import TracebackType

    from agent.workers import Stop

log = structlog.get_logger(__name__)

TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET = 0x1, 0x2
FAR_S = 2 ** (8 * ctypes.sizeof(ctypes.c_long) - 1) - 1
"""The last moment that the C library knows: the timer is there to be cancelled, and should not run out."""
COUNT_BYTES = 8  # what a timer's descriptor gives to read


class ClockWatch:
    """A wait that ends with the stop, with `wake`, and when the clock is set; a context manager, for one thread.

    Where the kernel or a sandbox refuses what it needs, `tells` is false: then only the stop ends a wait early.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._open: tuple[int, Wakeup] | None = None  # the timer, and what ends a wait besides
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        try:
            with ExitStack() as undo:
                timer = _timer()
                undo.callback(os.close, timer)
                bell = undo.enter_context(closing(Wakeup(self._stop)))
                self._open, self._ends = (timer, bell), undo.pop_all()
        except OSError as error:
            log.debug("clock_not_watched", reason=str(error), consequence="it is looked at every few seconds")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = None
        self._ends.close()

    @property
    def tells(self) -> bool:
        """Tell whether a wait ends when the clock is set."""
        return self._open is not None

    def wake(self) -> None:
        """End a wait, or the next one, from any thread."""
        if (opened := self._open) is not None:
            opened[1].ring()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; tell whether the clock was set since the last wait."""
        if self._open is None:
            self._stop.wait(seconds)
            return False
        timer, bell = self._open
        poll = select.poll()
        for descriptor in (timer, bell.descriptor):
            poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1000)
        bell.hear()
        return _is_cancelled(timer)


def _timer() -> int:
    timer: int = LIBC.timerfd_create(time.CLOCK_REALTIME, os.O_CLOEXEC | os.O_NONBLOCK)
    check(timer)
    times = (ctypes.c_long * 4)(0, 0, FAR_S, 0)  # `struct itimerspec`: no interval, and the moment
    try:
        check(LIBC.timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, times, None))
    except OSError as error:
        if error.errno != errno.ECANCELED:  # set in this very moment; the timer is armed all the same
            os.close(timer)
            raise
    return timer


def _is_cancelled(timer: int) -> bool:
    """Tell, once for each time, whether a timer was cancelled; it stays armed."""
    try:
        os.read(timer, COUNT_BYTES)
    except BlockingIOError:
        pass
    except OSError as error:
        if error.errno != errno.ECANCELED:
            raise
        return True
    return False

"""What ends a poll early: with the stop, or when somebody rings."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.workers import Stop


class Wakeup:
    """A file descriptor that turns readable when the stop is set, or by `ring`, for those who wait in a poll.

    Raises `OSError` where there is none to be had.
    """

    def __init__(self, stop: Stop) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()  # so that nobody wakes a descriptor that is somebody else's by then
        self._open = True
        stop.subscribe(self.ring)

    def ring(self) -> None:
        """Make it readable, from any thread; once it is closed nobody hears."""
        with self._lock:
            if self._open:
                os.eventfd_write(self.descriptor, 1)

    def hear(self) -> None:
        """Have it wait for the next ring; for who polls it."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)

    def close(self) -> None:
        """Give the descriptor back; a stop that comes later finds nobody."""
        with self._lock:
            self._open = False
            os.close(self.descriptor)

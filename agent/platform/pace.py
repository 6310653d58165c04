"""A cap on the bytes that all uploaders send together: a token bucket of one second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.workers import Stop


class Pace:
    """Lets bytes through at a rate in bytes a second; 0 lets everything through."""

    def __init__(self, rate: int, *, clock: Clock, stop: Stop) -> None:
        self._rate = rate
        self._clock = clock
        self._stop = stop
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int) -> None:
        """Return when `count` bytes may go out, or when the agent stops."""
        if not self._rate:
            return
        with self._lock:
            now = self._clock.boot()
            # Time that nobody used up to a second ago may be used now; older time is gone.
            self._free_at = max(self._free_at, now - 1.0) + count / self._rate
            wait = self._free_at - now
        if wait > 0:
            self._stop.wait(wait)

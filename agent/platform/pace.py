"""A cap on the bytes that all uploaders send together: a token bucket of one second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.workers import Stop

SLICE_S = 5.0  # well below what the watchdog takes for a stall: one stride at 1 kB/s waits for minutes


class Pace:
    """Lets bytes through at a rate in bytes a second, asked for anew each time; 0 lets everything through."""

    def __init__(self, rate: Callable[[], int], *, clock: Clock, stop: Stop) -> None:
        self._rate = rate
        self._clock = clock
        self._stop = stop
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, count: int, *, beat: Callable[[], None] = lambda: None) -> None:
        """Return when `count` bytes may go out, or when the agent stops; `beat` is called now and then meanwhile."""
        rate = self._rate()
        if not rate:
            return
        with self._lock:
            now = self._clock.boot()
            # Time that nobody used up to a second ago may be used now; older time is gone.
            self._free_at = max(self._free_at, now - 1.0) + count / rate
            wait = self._free_at - now
        while wait > 0 and not self._stop.wait(min(wait, SLICE_S)):
            beat()
            wait -= SLICE_S

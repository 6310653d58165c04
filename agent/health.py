"""Signs of life: which stage moved last, for the service watchdog and for `status`.

Health is work done, not a process alive. A stage beats when something moved (bytes of an upload, a frame, a scanned
file) and rests when it has nothing to do; one that neither beats nor rests for too long has stalled.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agent.hush import Hush

if TYPE_CHECKING:
    from agent.clock import Clock


class Pulse:
    """Collects the beats of all stages."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: dict[str, float | None] = {}
        self._paused: dict[str, str] = {}
        self._hushes: dict[str, Hush] = {}

    def beat(self, stage: str) -> None:
        """Say that a stage is at work and something moved just now."""
        with self._lock:
            self._beats[stage] = self._clock.boot()

    def rest(self, stage: str) -> None:
        """Say that a stage rightly waits; it may do so for ever."""
        with self._lock:
            self._beats[stage] = None

    def pause(self, source: str, reason: str) -> bool:
        """Say that a source's intake waits for the spool, and why; tell whether that is worth a line in the log."""
        with self._lock:
            self._paused[source] = reason
            return self._hushes.setdefault(source, Hush()).lets(reason, self._clock.boot())

    def resume(self, source: str) -> None:
        """Say that the spool takes a source's pictures again."""
        with self._lock:
            self._paused.pop(source, None)

    def paused(self) -> dict[str, str]:
        """Return why each paused source waits."""
        with self._lock:
            return dict(sorted(self._paused.items()))

    def stalled(self, limit_s: float) -> list[str]:
        """Return the stages at work in which nothing has moved for `limit_s`."""
        now = self._clock.boot()
        with self._lock:
            return sorted(stage for stage, at in self._beats.items() if at is not None and now - at > limit_s)

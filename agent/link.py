"""The link to the platform as all uploaders share it: who may send now, and what came of it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from agent.retry import LinkState, after

if TYPE_CHECKING:
    import random

    from agent.clock import Clock
    from agent.platform.answers import Meaning
    from agent.workers import Bell

log = structlog.get_logger(__name__)


class Link:
    """Holds the shared pause. While the link is in trouble one uploader at a time may probe it."""

    def __init__(self, *, clock: Clock, rng: random.Random, bell: Bell, start_jitter_s: float) -> None:
        self._clock = clock
        self._rng = rng
        self._bell = bell
        self._lock = threading.Lock()
        self._probing = False
        self._paused_since: str | None = None
        self._state = LinkState(open_at=clock.boot() + rng.uniform(0.0, start_jitter_s))

    @property
    def state(self) -> LinkState:
        """Return what is known of the link; a value, safe to keep."""
        return self._state

    @property
    def paused_since(self) -> str | None:
        """Return since when uploads rest by hand; None where they do not."""
        return self._paused_since

    def pause(self, since: str | None) -> None:
        """Let uploads rest by hand, whatever the link's own state; None ends that."""
        with self._lock:
            before, self._paused_since = self._paused_since, since
        if before != since:
            log.info("uploads_resumed" if since is None else "uploads_paused", since=since or before)
            self._bell.ring()

    def hurry(self) -> None:
        """End the wait that is under way: the next probe goes at once."""
        with self._lock:
            self._state = replace(self._state, open_at=self._clock.boot())
        self._bell.ring()

    def enter(self) -> float | None:
        """Return None when the caller may send now, else the seconds to wait (infinite: until the bell rings).

        Whoever may send must `report` or `leave`.
        """
        with self._lock:
            if self._paused_since is not None:
                return float("inf")
            rest = self._state.open_at - self._clock.boot()
            if rest > 0:
                return rest
            if self._state.paused:
                if self._probing:
                    return float("inf")
                self._probing = True
            return None

    def leave(self) -> None:
        """Give the permission back unused."""
        with self._lock:
            self._probing = False

    def report(
        self, meaning: Meaning, reason: str, *, item_id: int = 0, retry_after_s: float | None = None
    ) -> LinkState:
        """Enter a result, return the state after it, and wake those who waited where the link is open again."""
        with self._lock:
            before = self._state
            self._state = after(
                before,
                meaning,
                reason,
                item_id=item_id,
                now=self._clock.boot(),
                rng=self._rng,
                retry_after_s=retry_after_s,
            )
            self._probing = False
            state = self._state
        self._tell(before, state)
        return state

    def _tell(self, before: LinkState, state: LinkState) -> None:
        if state.paused:
            wait_s = round(state.open_at - self._clock.boot(), 1)
            # Said when the cause changes, and then at every doubling: weeks offline must not fill the journal.
            doubled = state.failures != before.failures and state.failures.bit_count() == 1
            if doubled or state.cause is not before.cause:
                log.warning(
                    "link_paused",
                    cause=state.cause.value if state.cause else "",
                    reason=state.reason,
                    failures=state.failures,
                    retry_in_s=wait_s,
                )
        elif before.paused:
            log.info("link_restored", cause=before.cause.value if before.cause else "", failures=before.failures)
            self._bell.ring()

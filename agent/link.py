"""The link to the platform as all uploaders share it: who may send now, and what came of it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from agent.concurrency import opening
from agent.platform.answers import Meaning
from agent.platform.identity import UNAPPROVED
from agent.retry import OVERLOAD, SETTLED, LinkState, after
from agent.spacing import CLOSE

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.concurrency import Window
    from agent.tariff import Closed, Meter
    from agent.workers import Bell

log = structlog.get_logger(__name__)


class Link:
    """Holds the shared pause, and hands out the permits to send.

    While the link is in trouble one uploader at a time may probe it; afterwards the window says how many may send.
    `start_jitter_s` spreads a fleet's first calls, after a start and after an outage. `caller` tells the uploaders
    apart: by their threads, unless a simulation runs many in one.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        bell: Bell,
        start_jitter_s: float,
        workers: int,
        meter: Meter | None = None,
        caller: Callable[[], int] = threading.get_ident,
    ) -> None:
        self._clock = clock
        self._caller = caller
        self._rng = rng
        self._bell = bell
        self._lock = threading.Lock()
        self._start_jitter_s = start_jitter_s
        self._meter = meter
        self._closed: Closed | None = None
        self._window = opening(workers)
        self._under_way = 0
        self._began: float | None = None  # when the last permit was given
        self._turned_away = False
        self._prober: int | None = None  # the caller that probes
        self._paused_since: str | None = None
        self._approval = ""
        self._state = LinkState(open_at=clock.boot() + rng.uniform(0.0, start_jitter_s))

    @property
    def state(self) -> LinkState:
        """Return what is known of the link; a value, safe to keep."""
        return self._state

    @property
    def window(self) -> Window:
        """Return how many uploads may go at once."""
        return self._window

    @property
    def closed(self) -> Closed | None:
        """Return why uploads rest by budget or timetable; None where they may go."""
        rest = self._meter.rest() if self._meter else None
        return rest[0] if rest else None

    @property
    def paused_since(self) -> str | None:
        """Return since when uploads rest by hand; None where they do not."""
        return self._paused_since

    @property
    def approval(self) -> str:
        """Return what the platform says of this device: `pending`, `approved`, `rejected`; empty where it does not."""
        return self._approval

    def approve(self, approval: str) -> None:
        """Note what the platform says of this device now; one that is not approved sends nothing until it is."""
        if approval != self._approval:
            before, self._approval = self._approval, approval
            if approval in UNAPPROVED:
                self._hold(f"the device is {approval} on the platform", UNAPPROVED[approval])
            elif before in UNAPPROVED:
                self.hurry()
            say = log.warning if approval in UNAPPROVED else log.info
            say("approval_changed", approval=approval or None, before=before or None)

    def _hold(self, reason: str, seconds: float) -> None:
        with self._lock:
            if self._state.cause is not Meaning.DENIED:
                now = self._clock.boot()
                self._state = replace(
                    self._state, cause=Meaning.DENIED, reason=reason, failures=1, open_at=now + seconds, since=now
                )

    def pause(self, since: str | None) -> None:
        """Let uploads rest by hand, whatever the link's own state; None ends that."""
        with self._lock:
            before, self._paused_since = self._paused_since, since
        if before != since:
            log.info("uploads_resumed" if since is None else "uploads_paused", since=since or before)
            self._bell.ring()

    def hurry(self) -> None:
        """End the wait that is under way, and what keeps uploads apart: a person says that the server bears them."""
        with self._lock:
            now = self._clock.boot()
            self._state = replace(self._state, open_at=now, since=now, spacing=CLOSE)
        self._bell.ring()

    def enter(self) -> float | None:
        """Return None when the caller may send now, else the seconds to wait (infinite: until the bell rings).

        Whoever may send must `report` or `leave`.
        """
        with self._lock:
            if self._paused_since is not None:
                return float("inf")
            rest = self._rest()
            if rest > 0:
                return rest
            probing = self._state.paused
            # What is kept apart goes one by one: two at each distance would be twice what the server bears.
            most = 1 if self._state.spacing.seconds else self._window.size
            taken = self._prober is not None if probing else self._under_way >= most
            if taken:
                self._turned_away = True
                return float("inf")
            if probing:
                self._prober = self._caller()
            self._under_way += 1
            self._began = self._clock.boot()
            return None

    def leave(self) -> None:
        """Give the permission back unused.

        Nobody is woken for it: where one found nothing to send, the others would not either.
        """
        with self._lock:
            self._give_back()

    def report(
        self,
        meaning: Meaning,
        reason: str,
        *,
        item_id: int = 0,
        retry_after_s: float | None = None,
        sent: bool = False,
    ) -> LinkState:
        """Enter a result, return the state after it, and wake those who waited where the link is open again.

        `sent` tells that bytes went out before the link failed: a server that is too slow looks like that.
        """
        with self._lock:
            before = self._state
            state = after(
                before,
                meaning,
                reason,
                item_id=item_id,
                now=self._clock.boot(),
                rng=self._rng,
                retry_after_s=retry_after_s,
                # With several at once it is their number that was too much, and the window sees to that.
                alone=self._under_way == 1,
                began=self._began,
            )
            if state is not before:  # where all is well, one more success changes nothing
                self._state = state = self._timed(before, state)
            if state.paused and not before.paused:
                self._window = self._window.fallen(overloaded=sent or meaning in OVERLOAD)
            elif meaning in SETTLED and not state.paused:
                self._window = self._window.grown()
            self._give_back()
            wake, self._turned_away = self._turned_away, False
        if state is not before:
            self._tell(before, state)
        if wake:
            self._bell.ring()
        return state

    def _timed(self, before: LinkState, state: LinkState) -> LinkState:
        """Keep an outage's end from being the same moment for a whole fleet, or from coming before its time."""
        if state.paused:
            return state
        if not before.paused:
            return state if state.open_at >= before.open_at else replace(state, open_at=before.open_at)
        if self._prober != self._caller():
            # Sent before the pause began, so it says nothing of the link now: an overloaded server takes some still.
            return replace(before, server_errors=state.server_errors, refused=state.refused)
        return replace(
            state, open_at=max(state.open_at, self._clock.boot() + self._rng.uniform(0.0, self._start_jitter_s))
        )

    def _rest(self) -> float:
        """Return the seconds until anybody may send, by the link's own state, the budgets and the timetable."""
        rest = self._meter.rest() if self._meter else None
        closed, seconds = rest or (None, 0.0)
        if closed != self._closed:
            self._closed = closed
            if closed:
                log.info("uploads_closed", reason=closed.reason)
            else:
                log.info("uploads_opened")
        return max(seconds, self._state.open_at - self._clock.boot())

    def _give_back(self) -> None:
        if self._prober == self._caller():
            self._prober = None
        self._under_way = max(0, self._under_way - 1)

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

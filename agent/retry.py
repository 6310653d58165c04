"""When to try again: the link's shared pause, and the item's own back-off. Pure decisions, no waiting.

Two levels, kept apart. The link pauses when no item is to blame: offline, busy, denied, misdirected. An item is
deferred when it may be to blame itself. Jitter is applied after the cap, on every path, so that a fleet that lost
the same server does not come back in step. Exponents are clamped: after weeks offline a float power overflows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.platform.answers import Meaning
from agent.spacing import CLOSE, Spacing

if TYPE_CHECKING:
    import random

MAX_EXPONENT = 24
REFUSALS_IN_A_ROW = 5  # so many refused items with no success between are a fault of the contract, not of the items
ERRORS_IN_A_ROW = 3  # so many 5xx with no success between are the server's fault
ATTEMPTS = 8  # an item that meets a 5xx so often while others succeed is set aside


@dataclass(frozen=True, slots=True)
class Backoff:
    """An exponential back-off with full jitter after its cap: a wait between `floor_s` and the capped double."""

    base_s: float
    cap_s: float
    floor_s: float = 0.5

    def delay(self, failures: int, rng: random.Random) -> float:
        """Return the seconds to wait after so many failures in a row (1 for the first)."""
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(max(failures - 1, 0), MAX_EXPONENT))
        return self.floor_s + rng.uniform(0.0, ceiling)


ITEM = Backoff(base_s=10.0, cap_s=3600.0, floor_s=5.0)
LINK = {
    Meaning.OFFLINE: Backoff(base_s=2.0, cap_s=300.0),
    Meaning.BUSY: Backoff(base_s=5.0, cap_s=300.0, floor_s=1.0),
    Meaning.SERVER_ERROR: Backoff(base_s=5.0, cap_s=300.0, floor_s=1.0),
    Meaning.REFUSED: Backoff(base_s=60.0, cap_s=900.0, floor_s=10.0),
    Meaning.UNPROVEN: Backoff(base_s=10.0, cap_s=300.0, floor_s=2.0),
    Meaning.WRONG_URL: Backoff(base_s=30.0, cap_s=900.0, floor_s=5.0),
    Meaning.DENIED: Backoff(base_s=30.0, cap_s=450.0, floor_s=5.0),
}
RETRY_AFTER_SPREAD = 0.1
OVERLOAD = frozenset({Meaning.BUSY, Meaning.SERVER_ERROR})
OUTAGES = frozenset({Meaning.OFFLINE, Meaning.DENIED, Meaning.UNPROVEN, Meaning.WRONG_URL})
SETTLED = frozenset({Meaning.DELIVERED, Meaning.DUPLICATE})
STREAKS = {Meaning.REFUSED: REFUSALS_IN_A_ROW, Meaning.SERVER_ERROR: ERRORS_IN_A_ROW}


@dataclass(frozen=True, slots=True)
class LinkState:
    """What is known of the link: how often it failed in a row, until when it rests, and why.

    `open_at` is on the boot clock. `refused` are the items refused since the last success: they are let off when
    it turns out that the platform refuses everything. `since` is when an outage began, on the boot clock; `spacing`
    outlives successes.
    """

    failures: int = 0
    open_at: float = 0.0
    cause: Meaning | None = None
    reason: str = ""
    server_errors: int = 0
    refused: tuple[int, ...] = ()
    since: float = 0.0
    spacing: Spacing = CLOSE

    @property
    def paused(self) -> bool:
        """Tell whether the link is in trouble: one probe at a time, once it has rested."""
        return self.cause is not None

    @property
    def at_ease(self) -> bool:
        """Tell whether a success would change nothing, as nearly always."""
        return self.cause is None and not self.doubtful and self.spacing is CLOSE and not self.failures

    @property
    def doubtful(self) -> bool:
        """Tell whether items failed, and it is not known yet whether they or the server are to blame."""
        return bool(self.refused) or self.server_errors > 0


def after(
    state: LinkState,
    meaning: Meaning,
    reason: str,
    *,
    item_id: int,
    now: float,
    rng: random.Random,
    retry_after_s: float | None = None,
    alone: bool = True,
    began: float | None = None,
) -> LinkState:
    """Return the link's state after one more result.

    `alone` says that no other upload went beside it; from when it `began` the distance to the next one is counted, so
    that slow uploads are not slowed down twice.
    """
    spacing, began = state.spacing, now if began is None else began
    if state.cause in OUTAGES and meaning not in OUTAGES:
        # It answers: whatever it says, the outage is over for the whole fleet.
        spacing = spacing.restored(now - state.since)
    if meaning in SETTLED:
        return state if state.at_ease else _eased(spacing, began, rng)
    if meaning is Meaning.TOO_LARGE:
        return replace(_eased(spacing, began, rng), refused=state.refused, server_errors=state.server_errors)
    state = _lengthen_streak(state, meaning, item_id)
    if meaning in STREAKS and streak(state, meaning) < STREAKS[meaning]:
        # The server answers: whatever paused the link is over, but nothing has succeeded yet.
        return replace(state, failures=0, open_at=0.0, cause=None, reason="", spacing=spacing)
    failures = state.failures + 1 if state.cause is meaning else 1
    if meaning in OVERLOAD and alone:
        spacing = spacing.refused(again=state.cause in OVERLOAD)
    delay = max(LINK[meaning].delay(failures, rng), spacing.wait_s(rng))
    if retry_after_s is not None:
        spread = rng.uniform(0.0, RETRY_AFTER_SPREAD * retry_after_s + 1.0)
        delay = max(retry_after_s, LINK[meaning].floor_s) + spread
    if state.cause is meaning and now < state.open_at:
        # Sent before the pause began: the same trouble, met by another uploader, is no further failure.
        return replace(state, open_at=max(state.open_at, now + delay)) if retry_after_s is not None else state
    since = state.since if state.cause in OUTAGES else now
    return replace(
        state, failures=failures, open_at=now + delay, cause=meaning, reason=reason, since=since, spacing=spacing
    )


def _eased(spacing: Spacing, began: float, rng: random.Random) -> LinkState:
    """Return the state after a success: as good as new, but for the distance that an overloaded server asks for."""
    spacing = spacing.taken()
    return LinkState(open_at=began + spacing.wait_s(rng) if spacing.seconds else 0.0, spacing=spacing)


def streak(state: LinkState, meaning: Meaning) -> int:
    """Return how many results of this kind came since the last success."""
    return len(state.refused) if meaning is Meaning.REFUSED else state.server_errors


def _lengthen_streak(state: LinkState, meaning: Meaning, item_id: int) -> LinkState:
    if meaning is Meaning.SERVER_ERROR:
        return replace(state, server_errors=min(state.server_errors + 1, ERRORS_IN_A_ROW))
    if meaning is Meaning.REFUSED and item_id not in state.refused and len(state.refused) < REFUSALS_IN_A_ROW:
        return replace(state, refused=(*state.refused, item_id))
    return state


@dataclass(frozen=True, slots=True)
class Deliver:
    """The platform has the item."""


@dataclass(frozen=True, slots=True)
class Release:
    """The item is not to blame: it waits, untouched, for the link."""


@dataclass(frozen=True, slots=True)
class Defer:
    """The item waits `delay_s` on its own; `spend` tells whether an attempt is spent."""

    delay_s: float
    spend: bool = True


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The item is set aside."""

    reason: str


@dataclass(frozen=True, slots=True)
class Shrink:
    """The item is encoded anew, smaller, once."""


@dataclass(frozen=True, slots=True)
class Absolve:
    """Everything is refused, so nothing is: the items of the streak go back to waiting."""

    items: tuple[int, ...]
    delay_s: float


Decision = Deliver | Release | Defer | Quarantine | Shrink | Absolve


def decide(
    meaning: Meaning, reason: str, link: LinkState, *, attempts: int, may_shrink: bool, rng: random.Random
) -> Decision:
    """Say what becomes of an item; `link` is the state after this result, `attempts` those spent before it."""
    if meaning in SETTLED:
        return Deliver()
    if meaning is Meaning.TOO_LARGE:
        return Shrink() if may_shrink else Quarantine(reason)
    if meaning is Meaning.REFUSED:
        return _refused(reason, link, rng)
    if meaning is Meaning.SERVER_ERROR:
        return _failed(reason, link, attempts, rng)
    return Release()


def _refused(reason: str, link: LinkState, rng: random.Random) -> Decision:
    if len(link.refused) < REFUSALS_IN_A_ROW:
        return Quarantine(reason)
    return Absolve(link.refused, ITEM.delay(1, rng))


def _failed(reason: str, link: LinkState, attempts: int, rng: random.Random) -> Decision:
    # While the server fails for everybody the item goes behind the others, so that the next probe takes another
    # one, but it is not charged.
    if link.server_errors >= ERRORS_IN_A_ROW:
        return Defer(ITEM.delay(1, rng), spend=False)
    return Quarantine(reason) if attempts + 1 >= ATTEMPTS else Defer(ITEM.delay(attempts + 1, rng))

"""How a `--once` run ends: a pure decision from what is left to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import Refused, TryLater
from agent.platform.answers import Meaning

if TYPE_CHECKING:
    from agent.retry import LinkState

FAILURES = 3  # in a row, before a link that is offline, busy or failing is given up
STUCK_FAILURES = 8  # the same while pictures are still being taken in: the spool may be full
SOON_S = 15.0  # a deferred item that is due later than this is left for the next run
PATIENT = frozenset({Meaning.OFFLINE, Meaning.BUSY, Meaning.SERVER_ERROR})


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a run still has before it: pictures being taken in, items waiting, the next deferred item's time.

    `stuck` says that whatever takes in has no room before something is delivered.
    """

    taking: bool
    waiting: int
    soonest_due_s: float | None
    paused_since: str | None = None
    closed: str | None = None
    stuck: bool = False

    @property
    def moving(self) -> bool:
        """Tell whether pictures still come in."""
        return self.taking and not self.stuck


def is_over(remaining: Remaining, link: LinkState) -> bool:
    """Tell whether a `--once` run is complete; raises `Refused` or `TryLater` where it has to be given up.

    Nothing is lost by giving up: what waits is in the spool, and the next run goes on with it.
    """
    if not remaining.taking and remaining.waiting == 0:
        return True
    if remaining.paused_since is not None and not remaining.moving:
        raise TryLater(
            f"uploads are paused by hand since {remaining.paused_since}; {remaining.waiting} pictures wait",
            remedy="Let them go on: acusight-agent queue resume",
        )
    if remaining.closed is not None and not remaining.moving:
        raise TryLater(
            f"uploads rest: {remaining.closed}",
            remedy=f"Try again then; {remaining.waiting} pictures wait in the spool.",
        )
    if link.cause is not None and _hopeless(link, taking=remaining.taking):
        left = f"{remaining.waiting} pictures wait in the spool"
        if link.cause is Meaning.DENIED:
            raise Refused(
                f"the platform refuses this device: {link.reason}", remedy=f"Check its key and approval; {left}."
            )
        raise TryLater(f"the platform cannot be reached: {link.reason}", remedy=f"Try again later; {left}.")
    if not remaining.taking and remaining.soonest_due_s is not None and remaining.soonest_due_s > SOON_S:
        raise TryLater(
            f"{remaining.waiting} pictures wait for a later attempt", remedy="Try again later; they are in the spool."
        )
    return False


def _hopeless(link: LinkState, *, taking: bool) -> bool:
    if taking:
        return link.failures >= STUCK_FAILURES
    return link.failures >= FAILURES if link.cause in PATIENT else True

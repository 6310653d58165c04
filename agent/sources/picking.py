"""Frames on their way from the device to a JPEG, where the choice is asked and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from agent.errors import BadPicture
from agent.selection.sieve import Sieve
from agent.sources.pacing import RETRY_S, live_pace
from agent.sources.wire import frame_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.sources.capture import Capture
    from agent.sources.heartbeat import Heartbeat
    from agent.sources.outbox import Outbox
    from agent.sources.wire import Order

Take: TypeAlias = "Callable[..., bytes]"


def sieve_of(order: Order, heart: Heartbeat) -> Sieve | None:
    """Return what skips frames, its counts being the heartbeat's; None where every frame is wanted."""
    if order.select is None:
        return None
    sieve = Sieve(order.select, order.past, sighted=order.lookout is not None)
    heart.skipped = sieve.skipped
    return sieve


class LivePick:
    """A live source's frames; `step` is told of each one that was grabbed."""

    def __init__(self, capture: Capture, order: Order, heart: Heartbeat, outbox: Outbox) -> None:
        self._take = capture.news
        self._sieve = sieve_of(order, heart)
        self._heart = heart
        self._outbox = outbox
        self._pace = live_pace(order.interval_s)
        self._judge_at = 0.0

    def step(self, boot: float, wall: float) -> None:
        """Send the grabbed frame, if it is due and worth it."""
        if boot < self._judge_at or not self._pace.due(boot):
            return
        try:
            picture = _wanted(self._take, self._sieve, wall)
        except BadPicture as bad:
            self._heart.bad[bad.what] += 1
            self._judge_at = boot + RETRY_S
            return
        self._pace.take(boot)
        if picture:
            self._outbox.offer(frame_record(picture, wall, boot, self._heart.seen, _known(self._sieve)))


class FilePick:
    """A file's frames."""

    def __init__(self, capture: Capture, order: Order, heart: Heartbeat) -> None:
        self._take = capture.news if order.judge else capture.picture
        self._sieve = sieve_of(order, heart)

    def taken(self, wall: float) -> tuple[bytes, dict[str, Any]] | None:
        """Return the grabbed frame's JPEG and what is known of it; None where it is not wanted; raises `BadPicture`."""
        picture = _wanted(self._take, self._sieve, wall)
        return (picture, _known(self._sieve)) if picture else None


def _wanted(take: Take, sieve: Sieve | None, wall: float) -> bytes:
    """Take the grabbed frame as a JPEG if it is worth it, and remember that; raises `BadPicture`."""
    if sieve is None:
        return take()
    if not sieve.lets(wall):
        return b""
    picture = take(sieve.wants) if sieve.looks else take()
    if picture:
        sieve.keep()
    return picture


def _known(sieve: Sieve | None) -> dict[str, Any]:
    return {} if sieve is None or sieve.look is None else {"look": sieve.look.as_json()}

"""A video file's frames, read in its own time and as fast as they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from agent.errors import BadPicture, Reopen
from agent.sources.pacing import Pace
from agent.sources.wire import Record, frame_record

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.sources.capture import Capture
    from agent.sources.heartbeat import Heartbeat
    from agent.sources.outbox import Outbox
    from agent.sources.wire import Order


class FrameTaker(Protocol):
    """What makes a JPEG of a grabbed frame, where it is wanted."""

    def taken(self, wall: float) -> tuple[bytes, dict[str, Any]] | None:
        """Return the JPEG and what is known of the frame; None where it is not wanted; raises `BadPicture`."""
        ...


def play_on(capture: Capture, order: Order, taker: FrameTaker, heart: Heartbeat, outbox: Outbox, clock: Clock) -> None:
    """Send the wanted frames of a file, in order, each as soon as the parent takes it.

    One frame is held back, so that the last one can say that it is the last: whoever has stored it needs no second
    word, and a kill between the two cannot make it be read again. Frames before `start_frame` are grabbed and
    paced as at the first reading, so the same ones are wanted.
    """
    timeline = Timeline(capture, order)
    held: tuple[bytes, float, int, dict[str, Any]] | None = None

    def send_held(*, ended: bool = False) -> None:
        if held:
            picture, wall, seen, known = held
            outbox.send(frame_record(picture, wall, clock.boot(), seen, known, ended=ended))

    while _grabbed(capture, order, clock):
        heart.beat()
        outbox.flush()
        if not timeline.wants_next() or heart.seen <= order.start_frame:
            continue
        try:
            taken = taker.taken(timeline.wall())
        except BadPicture as bad:
            heart.bad[bad.what] += 1
            continue
        except Reopen:
            # This process ends, but the frame in hand is done with: the next one need not begin with it.
            send_held()
            raise
        if taken is None:
            continue
        send_held()
        held = (taken[0], timeline.wall(), heart.seen, taken[1])
    send_held(ended=True)
    outbox.send(Record("ended", heart.facts()))


class Timeline:
    """Follows a file's own time from frame to frame, and picks the frame nearest to each interval.

    The wall time of a frame is an estimate: the file was last written when its last frame was taken. Where its
    duration is unknown, its first frame is given the time of that writing.
    """

    def __init__(self, capture: Capture, order: Order) -> None:
        rate = capture.frames_per_s()
        self._step_s = 1 / rate if rate else 1 / 25
        self._capture = capture
        self._pace = Pace(order.interval_s, min(self._step_s, order.interval_s) / 2)
        self._began = order.mtime - capture.duration_s()
        self._now_s = -self._step_s

    def wants_next(self) -> bool:
        """Step to the frame that was just grabbed and tell whether it is wanted."""
        position = self._capture.position_s()
        # Some containers have no time stamps, or start them again in the middle: then the rate counts.
        self._now_s = position if position > self._now_s else self._now_s + self._step_s
        wanted = self._pace.due(self._now_s)
        if wanted:
            self._pace.take(self._now_s)
        return wanted

    def wall(self) -> float:
        """Return the estimated seconds since the epoch at which this frame was taken."""
        return max(0.0, self._began + self._now_s)


def _grabbed(capture: Capture, order: Order, clock: Clock) -> bool:
    """Grab the next frame of a file; false at its end, which a read that timed out is not."""
    began = clock.boot()
    if capture.grab():
        return True
    if clock.boot() - began >= order.stall_timeout_s:
        raise Reopen(f"the file could not be read for {order.stall_timeout_s:g} s")
    return False

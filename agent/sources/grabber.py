"""The grabber: the child process in which a video source is opened, grabbed and, where it hangs, killed.

Started as `python -m agent.sources.grabber`; `wire` says what it reads and writes. Nothing waits for the parent
while a live source is grabbed: of two frames that the pipe does not take in time the newer is kept. A file waits.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from agent.clock import SystemClock
from agent.errors import BadPicture, Reject, Reopen
from agent.selection.sieve import Sieve
from agent.sources.outbox import Outbox
from agent.sources.pacing import Pace, live_pace
from agent.sources.wire import Order, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.sources.capture import Capture

Take: TypeAlias = "Callable[..., bytes]"

FAILED_GRABS = 5
"""A driver may fail once and recover; so many in a row mean that the device is gone."""

RETRY_S = 0.5
"""After a bad frame the next one is judged this much later: judging costs a decode."""

_PR_SET_PDEATHSIG = 1


class Heartbeat:
    """Counts what a source gives and says so, four times in a stall timeout and at most once a second."""

    def __init__(self, outbox: Outbox, clock: Clock, stall_timeout_s: float) -> None:
        self.seen = 0
        self.bad: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._outbox = outbox
        self._clock = clock
        self._every_s = min(1.0, stall_timeout_s / 4)
        self._next = 0.0

    def beat(self) -> None:
        """Count one frame that the device gave."""
        self.seen += 1
        if (now := self._clock.boot()) >= self._next:
            self._next = now + self._every_s
            self._outbox.offer(Record("alive", self.facts()))

    def facts(self) -> dict[str, Any]:
        """Return the counts, as a record tells them."""
        skipped = {"skipped": dict(self.skipped)} if self.skipped else {}
        return {"seen": self.seen, "bad": dict(self.bad), **skipped}


def watch(capture: Capture, order: Order, outbox: Outbox, clock: Clock) -> None:
    """Grab a live source at its full rate and offer what is due; ends only by raising `Reopen`."""
    heart, pace = Heartbeat(outbox, clock, order.stall_timeout_s), live_pace(order.interval_s)
    sieve, failed, judge_at = _sieve(order, heart), 0, 0.0
    while failed < FAILED_GRABS:
        if not capture.grab():
            failed += 1
            continue
        failed, boot, wall = 0, clock.boot(), clock.wall()
        heart.beat()
        if boot >= judge_at and pace.due(boot):
            try:
                picture = _wanted(capture.news, sieve, wall.timestamp())
            except BadPicture as bad:
                heart.bad[bad.what] += 1
                judge_at = boot + RETRY_S
            else:
                pace.take(boot)
                if picture:
                    outbox.offer(_frame(picture, wall.timestamp(), boot, heart.seen, look=_look(sieve)))
        outbox.flush()
    raise Reopen("the source gives no more frames")


def play(capture: Capture, order: Order, outbox: Outbox, clock: Clock) -> None:
    """Send the wanted frames of a file, in order, each as soon as the parent takes it.

    One frame is held back, so that the last one can say that it is the last: whoever has stored it needs no second
    word, and a kill between the two cannot make it be read again. Frames before `start_frame` are grabbed and
    paced as at the first reading, so the same ones are wanted.
    """
    heart, timeline = Heartbeat(outbox, clock, order.stall_timeout_s), Timeline(capture, order)
    sieve, take = _sieve(order, heart), capture.news if order.judge else capture.picture
    held: tuple[bytes, float, int, dict[str, Any] | None] | None = None
    while _grabbed(capture, order, clock):
        heart.beat()
        outbox.flush()
        if not timeline.wants_next() or heart.seen <= order.start_frame:
            continue
        try:
            picture = _wanted(take, sieve, timeline.wall())
        except BadPicture as bad:
            heart.bad[bad.what] += 1
            continue
        if not picture:
            continue
        if held:
            outbox.send(_frame(held[0], held[1], clock.boot(), held[2], look=held[3]))
        held = (picture, timeline.wall(), heart.seen, _look(sieve))
    if held:
        outbox.send(_frame(held[0], held[1], clock.boot(), held[2], ended=True, look=held[3]))
    outbox.send(Record("ended", heart.facts()))


def _sieve(order: Order, heart: Heartbeat) -> Sieve | None:
    """Return what skips frames, its counts being the heartbeat's; None where every frame is wanted."""
    if order.select is None:
        return None
    sieve = Sieve(order.select, order.past)
    heart.skipped = sieve.skipped
    return sieve


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


def _look(sieve: Sieve | None) -> dict[str, Any] | None:
    return None if sieve is None or sieve.look is None else sieve.look.as_json()


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


def _frame(
    picture: bytes, wall: float, boot: float, seen: int, *, ended: bool = False, look: dict[str, Any] | None = None
) -> Record:
    """Return a frame's record; `seen` counts it, so it is the index of the next one."""
    facts = {"wall": wall, "boot": boot, "next_frame": seen, "ended": ended}
    return Record("frame", facts if look is None else facts | {"look": look}, picture)


def run(order: Order, outbox: Outbox) -> None:
    """Open what the order names and send its frames; raises `Reopen`, or `Reject` for a file that is no video."""
    try:
        capture = _open(order, outbox)
    except Reopen as error:
        if order.kind == "file":
            raise Reject(error.what, remedy=error.remedy) from None
        raise
    outbox.send(Record("opened", {"asked": capture.asked(), "got": capture.got()}))
    (play if order.kind == "file" else watch)(capture, order, outbox, SystemClock())


def _open(order: Order, outbox: Outbox) -> Capture:
    try:
        from agent.sources.capture import Capture, open_video  # noqa: PLC0415 (its absence is an answer)
    except ImportError as error:
        raise Reopen(
            f"OpenCV cannot be loaded ({error})",
            remedy="Install it: pip install 'acusight-agent[camera]', or the distribution's python3-opencv.",
        ) from None
    outbox.send(Record("starting"))
    return Capture(open_video(order), order)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process with its parent, also when it is stuck in a driver."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def _private_output() -> int:
    """Return the record pipe under a number of its own: what a library prints goes to standard error instead.

    Standard error does not block: a parent that is busy must not stop a driver that complains.
    """
    pipe = os.dup(1)
    os.dup2(2, 1)
    os.set_blocking(2, False)
    return pipe


def main() -> None:
    """Read the order, serve it, and say why it ended."""
    order = Order.read(sys.stdin.buffer.readline())
    _die_with(order.parent)
    outbox = Outbox(_private_output())
    try:
        try:
            run(order, outbox)
        except (Reopen, Reject) as error:
            final = isinstance(error, Reject)
            outbox.send(Record("error", {"what": error.what, "remedy": error.remedy, "final": final}))
    except BrokenPipeError:
        pass  # nobody reads any more
    # A driver that hangs in its clean-up would keep the device: nothing here needs one.
    os._exit(0)


if __name__ == "__main__":
    main()

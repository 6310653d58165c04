"""The grabber: the child process in which a video source is opened, grabbed and, where it hangs, killed.

Started as `python -m agent.sources.grabber`; `wire` says what it reads and writes. Nothing waits for the parent
while a live source is grabbed: of two frames that the pipe does not take in time the newer is kept. A file waits.
"""

from __future__ import annotations

import os
import random
import sys
from functools import partial
from typing import TYPE_CHECKING

from agent.clock import SystemClock
from agent.errors import Reject, Reopen
from agent.sources.heartbeat import Heartbeat
from agent.sources.outbox import Outbox
from agent.sources.picking import FilePick, LivePick, sieve_of
from agent.sources.playing import play_on
from agent.sources.viewing import FileView, LiveView, Viewing
from agent.sources.wire import Order, Record
from agent.tether import die_with

if TYPE_CHECKING:
    from agent.annotators.lookout import Lookout
    from agent.annotators.plan import LookoutPlan
    from agent.clock import Clock
    from agent.sources.capture import Capture

FAILED_GRABS = 5
"""A driver may fail once and recover; so many in a row mean that the device is gone."""


def watch(capture: Capture, order: Order, outbox: Outbox, clock: Clock, lookout: Lookout | None = None) -> None:
    """Grab a live source at its full rate and offer what is due; ends only by raising `Reopen`."""
    heart, failed = Heartbeat(outbox, clock, order.stall_timeout_s), 0
    view: LivePick | LiveView
    if lookout is None:
        view = LivePick(capture, order, heart, outbox)
    else:
        viewing = Viewing(capture, lookout, sieve_of(order, heart), outbox, judge=True)
        view = LiveView(viewing, heart, outbox, order.interval_s)
    while failed < FAILED_GRABS:
        if not capture.grab():
            failed += 1
            continue
        failed, boot, wall = 0, clock.boot(), clock.wall()
        heart.beat()
        view.step(boot, wall.timestamp())
        outbox.flush()
    raise Reopen("the source gives no more frames")


def play(capture: Capture, order: Order, outbox: Outbox, clock: Clock, lookout: Lookout | None = None) -> None:
    """Send the wanted frames of a file, to its end."""
    heart = Heartbeat(outbox, clock, order.stall_timeout_s)
    taker: FilePick | FileView
    if lookout is None:
        taker = FilePick(capture, order, heart)
    else:
        viewing = Viewing(capture, lookout, sieve_of(order, heart), outbox, judge=order.judge)
        taker = FileView(viewing, heart, outbox)
    play_on(capture, order, taker, heart, outbox, clock)


def run(order: Order, outbox: Outbox) -> None:
    """Open what the order names and send its frames; raises `Reopen`, or `Reject` for a file that is no video."""
    try:
        capture = _open(order, outbox)
    except Reopen as error:
        if order.kind == "file":
            raise Reject(error.what, remedy=error.remedy) from None
        raise
    outbox.send(Record("opened", {"asked": capture.asked(), "got": capture.got()}))
    clock = SystemClock()
    lookout = None if order.lookout is None else _lookout(order.lookout, clock)
    (play if order.kind == "file" else watch)(capture, order, outbox, clock, lookout)


def _lookout(plan: LookoutPlan, clock: Clock) -> Lookout:
    """Start the thread in which a detector looks at frames; it ends with this process."""
    # Loaded here: a camera without a detector does not pay for them.
    from agent.annotators.lookout import Lookout  # noqa: PLC0415
    from agent.annotators.sight import detector  # noqa: PLC0415
    from agent.workers import Nursery, Stop  # noqa: PLC0415

    lookout = Lookout(plan, partial(detector, plan), clock=clock, rng=random.Random())  # noqa: S311 (no secret)
    Nursery(Stop()).start("lookout", lookout.run)
    return lookout


def _open(order: Order, outbox: Outbox) -> Capture:
    try:
        from agent.sources.backends import open_video  # noqa: PLC0415 (its absence is an answer)
        from agent.sources.capture import Capture  # noqa: PLC0415
    except ImportError as error:
        raise Reopen(
            f"OpenCV cannot be loaded ({error})",
            remedy="Install it: pip install 'acusight-agent[camera]', or the distribution's python3-opencv.",
        ) from None
    outbox.send(Record("starting"))
    return Capture(open_video(order), order)


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
    die_with(order.parent)
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

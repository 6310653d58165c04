"""Opens a camera's source in a child process, as often as it is asked to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from agent.errors import BadPicture, Reject, Reopen, Wait
from agent.pictures.developing import Developer
from agent.sources.children import Child
from agent.sources.feeds import grabber_feed, program_feed
from agent.sources.wire import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from agent.annotators.plan import LookoutPlan
    from agent.clock import Clock
    from agent.pictures.developing import Darkroom
    from agent.sources.clips import Clip
    from agent.sources.feeds import Event
    from agent.sources.grammar import Source
    from agent.sources.plan import CameraPlan
    from agent.wakeup import Wakeup
    from agent.workers import Stop

GRABBER = (sys.executable, "-P", "-m", "agent.sources.grabber")
"""`-P` keeps the present directory off the search path: it may be full of other people's files."""
USUAL_FOURCC = "MJPG"

# A grabber needs to find Python, OpenCV and its plug-ins, and nothing else of the agent's environment.
_PASSED_ON = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR", "TZ", "XDG_RUNTIME_DIR")
_PASSED_ON_FAMILIES = ("GST_", "OPENCV_")


def grabber_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a grabber sees of the agent's environment; one thread is all that its arithmetic needs."""
    passed_on = {
        name: value for name, value in environment.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_FAMILIES)
    }
    return {**passed_on, "OPENBLAS_NUM_THREADS": "1"}


class Opener:
    """Opens one source; the child lives as long as the feed that is returned, so close the feed.

    `past` tells a child that chooses what was kept before, `lookout` which detector it has.
    """

    def __init__(
        self,
        plan: CameraPlan,
        source: Source,
        *,
        darkroom: Darkroom,
        environment: Mapping[str, str],
        stop: Stop,
        clock: Clock,
        past: Callable[[], str] = str,
        lookout: Callable[[], LookoutPlan | None] = lambda: None,
    ) -> None:
        self._plan = plan
        self._past = past
        self._lookout = lookout
        self._developer = Developer(darkroom, plan.encoding, plan.recipe)
        self._source = source
        self._environment = environment
        self._stop = stop
        self._clock = clock

    def live(self, wakeup: Wakeup) -> Generator[Event]:
        """Open the live source; yields until the stop, raises `Reopen`."""
        if self._source.kind == "command":
            return self._program(wakeup)
        return self._grabber(wakeup, self._order(self._source.target))

    def file(self, wakeup: Wakeup, clip: Clip, *, judge: bool = False) -> Generator[Event]:
        """Open a file where it was left; yields to its end, raises `Reopen`, or `Reject` where it is no video."""
        order = self._order(clip.path, start_frame=clip.next_frame, mtime=clip.mtime, judge=judge)
        return self._grabber(wakeup, order)

    def _program(self, wakeup: Wakeup) -> Generator[Event]:
        plan = self._plan
        with Child(self._source.arguments, self._environment, wakeup) as child:
            yield from program_feed(
                child,
                self._stop,
                self._clock,
                interval_s=plan.interval_s,
                stall_timeout_s=plan.stall_timeout_s,
                develop=self._develop if plan.develops else None,
            )

    def _develop(self, jpeg: bytes) -> bytes:
        """Return what is sent of a program's picture: the grabber that does it for other sources is not there.

        Raises `BadPicture` for this one, and `Reopen` where no picture can be developed now.
        """
        try:
            return self._developer.develop_frame(jpeg)
        except BadPicture:
            raise
        except (Reject, Wait) as error:
            raise Reopen(error.what, remedy=error.remedy) from error

    def _grabber(self, wakeup: Wakeup, order: Order) -> Generator[Event]:
        with Child(GRABBER, grabber_environment(self._environment), wakeup, order.line()) as child:
            yield from grabber_feed(
                child,
                self._stop,
                self._clock,
                open_timeout_s=order.open_timeout_s,
                stall_timeout_s=order.stall_timeout_s,
            )

    def _order(self, target: str, *, start_frame: int = 0, mtime: float = 0.0, judge: bool = False) -> Order:
        plan = self._plan
        usb = self._source.kind in {"index", "device"}
        return Order(
            self._source.kind,
            target,
            os.getpid(),
            interval_s=plan.interval_s,
            width=plan.width if usb else None,
            height=plan.height if usb else None,
            fourcc=(plan.fourcc or USUAL_FOURCC) if usb else None,
            quality=plan.quality,
            max_side=plan.max_side,
            passthrough=plan.passthrough,
            crop=plan.crop,
            masks=plan.masks,
            strip_gps=plan.strip_gps,
            open_timeout_s=plan.open_timeout_s,
            stall_timeout_s=plan.stall_timeout_s,
            start_frame=start_frame,
            mtime=mtime,
            judge=judge,
            select=plan.select,
            past=self._past(),
            lookout=self._lookout(),
        )

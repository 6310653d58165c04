"""A camera, the parent's side: one child process at a time, killed when it is silent, opened again with patience.

The body of a thread. A live camera's frame that the spool cannot take is gone; a file waits until it can.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import tenacity

from agent.annotators.outpost import Glimpse
from agent.clock import stamp_now
from agent.errors import Reject, Reopen, Wait
from agent.frame import Frame, Position
from agent.sources.clips import Clip, files
from agent.sources.feeds import Died, Opened, Pulse, Shot
from agent.sources.grammar import parse_source
from agent.sources.opener import Opener
from agent.sources.patience import Patience
from agent.sources.plan import CameraPlan
from agent.sources.report import CameraState, Report
from agent.wakeup import Wakeup

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from agent.annotators.outpost import Outpost
    from agent.clock import Clock
    from agent.pictures.developing import Darkroom
    from agent.selection.chooser import Chooser
    from agent.sources.feeds import Event
    from agent.workers import Stop

__all__ = ["Camera", "CameraPlan", "CameraState"]

WELL_AFTER_S = 30.0
"""A source that gave frames for so long is well: its next loss is a new one, with a short wait."""

OFFER_AGAIN_S = 1.0


class Camera:
    """One configured source of frames; `run` is the body of its thread.

    `deliver` takes a frame and returns when it is durable or dropped; it may raise `Wait`. `darkroom` develops what a
    program writes; frames of all else are developed where they are grabbed. `resume` tells how far an
    earlier run read a file (path, fingerprint). `environment` is what children may see of the agent's own, already
    without its secrets. `observe` gets the state whenever it changes. `chooser` is told what a child
    that chooses skips, `outpost` how a detector in it does.
    """

    def __init__(
        self,
        plan: CameraPlan,
        *,
        deliver: Callable[[Frame], None],
        stop: Stop,
        clock: Clock,
        rng: random.Random,
        darkroom: Darkroom,
        resume: Callable[[str, str], Position | None],
        environment: Mapping[str, str],
        observe: Callable[[CameraState], None] = lambda _: None,
        chooser: Chooser | None = None,
        outpost: Outpost | None = None,
    ) -> None:
        self._name = plan.name
        self._source = parse_source(plan.source)
        self._deliver = deliver
        self._stop = stop
        self._clock = clock
        self._patience = Patience(rng)
        self._resume = resume
        self._chooser = chooser
        self._outpost = outpost
        self._opener = Opener(
            plan,
            self._source,
            darkroom=darkroom,
            environment=environment,
            stop=stop,
            clock=clock,
            past=chooser.past if chooser else str,
            lookout=outpost.order if outpost else lambda: None,
        )
        self._report = Report(CameraState(plan.name, self._source.shown), observe, clock)

    def run(self) -> None:
        """Take frames until the stop is set or a file source has ended."""
        with closing(Wakeup(self._stop)) as wakeup:
            if self._source.live:
                self._retrying(tenacity.stop_never)(self._watch, wakeup)
            else:
                self._play_all(wakeup)

    def _retrying(self, give_up: Callable[[tenacity.RetryCallState], bool]) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Reopen),
            wait=self._patience,
            stop=give_up,
            sleep=self._sleep,
            before_sleep=self._lost,
            reraise=True,
        )

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _lost(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        # At a stop the picture child may have ended first.
        if isinstance(error, Died) and self._outpost and not self._stop.is_set():
            self._outpost.died()
        if isinstance(error, Reopen) and not self._stop.is_set():
            self._report.lost(error, state.upcoming_sleep)

    def _watch(self, wakeup: Wakeup) -> None:
        """Open the live source once and hand on its frames; returns at the stop, raises `Reopen`."""
        if self._stop.is_set():
            return
        with closing(self._opener.live(wakeup)) as feed:
            opened_at = self._clock.boot()
            for event in feed:
                if self._stop.is_set():
                    return
                if self._clock.boot() - opened_at >= WELL_AFTER_S:
                    self._patience.reset()
                    self._report.recovered()
                self._note(event)
                if isinstance(event, Shot):
                    captured_at, stamp = stamp_now(event.captured_at, event.boot, self._clock)
                    with suppress(Wait):
                        self._deliver(replace(self._frame(event), captured_at=captured_at, stamp=stamp))
                        self._report.taken(event)

    def _play_all(self, wakeup: Wakeup) -> None:
        try:
            paths = files(self._source.target)
        except Reject as error:
            self._report.lost(error, None)
            paths = []
        for path in paths:
            if self._stop.is_set():
                return
            self._play(path, wakeup)
        self._report.finished()

    def _play(self, path: str, wakeup: Wakeup) -> None:
        """Read one file to its end, however often it takes; one that cannot be read is reported and left."""
        try:
            clip = Clip.of(path, self._resume)
            if clip is not None:
                self._retrying(partial(_hopeless, clip))(self._read_on, clip, wakeup)
        except (Reject, Reopen) as error:
            self._report.lost(error, None)

    def _read_on(self, clip: Clip, wakeup: Wakeup) -> None:
        """Open a file once, where it was left; returns at its end or the stop."""
        if self._stop.is_set():
            return
        clip.try_again()
        ended = False
        with closing(self._opener.file(wakeup, clip)) as feed:
            for event in feed:
                self._note(event)
                if isinstance(event, Shot):
                    self._insist(event, clip)
                    ended = event.ended
        if not self._stop.is_set():
            if self._chooser and not ended:
                # Its last frames were skipped, so none of them told the spool that the file has been read.
                self._chooser.read(Position(clip.path, clip.fingerprint, clip.next_frame, ended=True))
            self._report.ended(clip.path)

    def _insist(self, shot: Shot, clip: Clip) -> None:
        """Offer a file's frame until it is taken, or until the stop."""
        frame = replace(self._frame(shot), position=clip.position_after(shot))
        while not self._stop.is_set():
            try:
                self._deliver(frame)
            except Wait:
                self._stop.wait(OFFER_AGAIN_S)
            else:
                clip.next_frame = shot.next_frame
                self._report.taken(shot)
                return

    def _frame(self, shot: Shot) -> Frame:
        return Frame(
            self._name,
            shot.picture,
            shot.captured_at,
            labels=shot.labels,
            unannotated=shot.unannotated,
            look=shot.look,
            verdict=shot.verdict,
        )

    def _note(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._report.opened(event)
            if self._chooser:
                self._chooser.opened()
        if isinstance(event, Pulse):
            self._report.pulse(event)
            if self._chooser:
                self._chooser.child_skipped(event.skipped)
            if self._outpost:
                self._outpost.passed(event.passed)
        if isinstance(event, Glimpse) and self._outpost:
            self._outpost.hear(event)


def _hopeless(clip: Clip, _: tenacity.RetryCallState) -> bool:
    return clip.hopeless()

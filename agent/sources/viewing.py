"""Frames that a detector looks at in the grabber, on their way from the device to a JPEG.

The cheap questions come first: the time of a frame, then its look, then the detector, then the rules about what it saw,
and a JPEG is made only of what is left. A file waits for the answer to each frame. A live source goes on while one of
its frames is looked at: those that come meanwhile are neither decoded nor kept, and the next one after the answer, as
fresh as can be, stands for the last of them; the others are counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.annotations.record import labels_record
from agent.annotators.plan import BUSY, NO_ANSWER
from agent.errors import BadPicture, Reopen, Unanswered
from agent.frame import Labels
from agent.sources.pacing import RETRY_S, live_pace
from agent.sources.wire import Record, frame_record

if TYPE_CHECKING:
    from agent.annotators.lookout import Lookout
    from agent.selection.sieve import Sieve
    from agent.sources.capture import Capture, Exposure
    from agent.sources.heartbeat import Heartbeat
    from agent.sources.outbox import Outbox


class Viewing:
    """What the frames of files and of live sources have in common on this way."""

    def __init__(self, capture: Capture, lookout: Lookout, sieve: Sieve | None, outbox: Outbox, *, judge: bool) -> None:
        self.lookout = lookout
        self._capture = capture
        self._sieve = sieve
        self._outbox = outbox
        self._judge = judge

    def exposed(self, wall: float) -> Exposure | None:
        """Take the grabbed frame; None where its time or its look skips it; raises `BadPicture`."""
        sieve = self._sieve
        if sieve is not None and not sieve.lets(wall):
            return None
        exposure = self._capture.exposed(judged=self._judge)
        if sieve is not None and sieve.looks and not sieve.wants(self._capture.look(exposure)):
            return None
        return exposure

    def would_take(self, wall: float) -> bool:
        """Tell whether a frame of this moment would be taken, as far as its time says it."""
        return self._sieve is None or self._sieve.would_let(wall)

    def begin(self, exposure: Exposure) -> None:
        """Hand a frame to the detector, and say so first: should it take this process down, the parent knows why."""
        self._tell(looking=True)
        self.lookout.begin(exposure.pixels)

    def tell(self) -> None:
        """Say how the detector does, now that it is done with a frame."""
        self._tell(looking=False)

    def _tell(self, *, looking: bool) -> None:
        self._outbox.offer(Record("lookout", {**self.lookout.facts(), "looking": looking}))
        self._outbox.flush()

    def check(self) -> None:
        """Raise `Reopen` where the detector hangs: its thread goes with this process alone."""
        if self.lookout.hangs():
            raise Reopen("the detector hangs or failed, so its process is started anew", remedy="Try a smaller model.")

    def picked(self, exposure: Exposure, said: Labels | Unanswered) -> tuple[bytes, dict[str, Any]] | None:
        """Return the JPEG of a frame and what is known of it; None where it is not wanted; raises `BadPicture`."""
        facts, labels = self._known(exposure, said)
        sieve = self._sieve
        # What is dropped for want of an answer is no affair of the choice, as wherever an annotator is asked.
        if sieve is None or (labels is None and self.lookout.plan.on_failure == "drop"):
            return self._capture.developed(exposure), facts
        if sieve.look is not None:
            facts["look"] = sieve.look.as_json()
        if sieve.follows_rules:
            verdict = sieve.chooses(None if labels is None else labels.annotations)
            if not verdict.keep:
                return None
            facts["verdict"] = [verdict.rule, verdict.priority]
        jpeg = self._capture.developed(exposure)
        sieve.keep()
        return jpeg, facts

    def _known(self, exposure: Exposure, said: Labels | Unanswered) -> tuple[dict[str, Any], Labels | None]:
        if isinstance(said, Unanswered):
            return {"unannotated": str(said)}, None
        labels = exposure.transform.uncovered(said)
        return {"labels": labels_record(labels)}, labels


@dataclass(frozen=True, slots=True)
class _Underway:
    """The frame that is looked at."""

    exposure: Exposure
    wall: float
    boot: float
    seen: int


class LiveView:
    """A live source's frames; `step` is told of each one that was grabbed."""

    def __init__(self, viewing: Viewing, heart: Heartbeat, outbox: Outbox, interval_s: float) -> None:
        self._viewing = viewing
        self._lookout = viewing.lookout
        self._heart = heart
        self._outbox = outbox
        self._pace = live_pace(interval_s)
        self._judge_at = 0.0
        self._underway: _Underway | None = None
        self._owed = 0

    def step(self, boot: float, wall: float) -> None:
        """Send the frame that was looked at, if that is done, and take this one, if it is due; raises `Reopen`."""
        self._finish()
        self._viewing.check()
        due = self._pace.due(boot)
        if not due and not self._owed:
            return
        if self._is_blocked():
            if due:
                self._pace.take(boot)
                self._owed += self._viewing.would_take(wall)
        elif boot >= self._judge_at:
            self._take(boot, wall, due=due)

    def _is_blocked(self) -> bool:
        """Tell whether this frame has to pass: another one is looked at, or the rest after a failure is waited for."""
        rest = self._lookout.rest_s()
        waits_it_out = rest > 0 and (self._lookout.waits or rest <= self._lookout.plan.timeout_s)
        return self._lookout.looking or waits_it_out

    def _take(self, boot: float, wall: float, *, due: bool) -> None:
        try:
            exposure = self._viewing.exposed(wall)
        except BadPicture as bad:
            self._refuse(bad, boot)
            return
        owed, self._owed = self._owed, 0
        if due:
            self._pace.take(boot)
        if exposure is None:
            return
        # This one stands for itself, or for the last one that passed.
        if lost := owed if due else owed - 1:
            away = self._lookout.waits and self._lookout.facts()["problem"]
            self._heart.passed[NO_ANSWER if away else BUSY] += lost
        one = _Underway(exposure, wall, boot, self._heart.seen)
        if self._lookout.rest_s() > 0:
            self._send(one, self._lookout.resting())
        else:
            self._underway = one
            self._viewing.begin(exposure)

    def _finish(self) -> None:
        if self._underway is None or (said := self._lookout.answer()) is None:
            return
        one, self._underway = self._underway, None
        self._viewing.tell()
        if isinstance(said, Unanswered) and self._lookout.waits:
            self._owed += 1
        else:
            self._send(one, said)

    def _send(self, one: _Underway, said: Labels | Unanswered) -> None:
        try:
            picked = self._viewing.picked(one.exposure, said)
        except BadPicture as bad:
            self._refuse(bad, one.boot)
            return
        if picked is not None:
            jpeg, facts = picked
            self._outbox.offer(frame_record(jpeg, one.wall, one.boot, one.seen, facts))
            # Another one may follow at once, for which there is nobody to look at it.
            self._outbox.flush()

    def _refuse(self, bad: BadPicture, boot: float) -> None:
        self._heart.bad[bad.what] += 1
        self._judge_at = boot + RETRY_S


class FileView:
    """A file's frames, each of which waits for its answer."""

    def __init__(self, viewing: Viewing, heart: Heartbeat, outbox: Outbox) -> None:
        self._viewing = viewing
        self._lookout = viewing.lookout
        self._heart = heart
        self._outbox = outbox

    def taken(self, wall: float) -> tuple[bytes, dict[str, Any]] | None:
        """Return the grabbed frame's JPEG and what is known of it; None where it is not wanted; raises `BadPicture`."""
        exposure = self._viewing.exposed(wall)
        return None if exposure is None else self._viewing.picked(exposure, self._said(exposure))

    def _said(self, exposure: Exposure) -> Labels | Unanswered:
        while True:
            if not self._is_rested():
                return self._lookout.resting()
            self._viewing.begin(exposure)
            while (said := self._lookout.answer(self._heart.every_s)) is None:
                self._live()
            self._viewing.tell()
            if isinstance(said, Labels) or not self._lookout.waits:
                return said

    def _is_rested(self) -> bool:
        """Wait for the end of a rest, or for a late frame's; false where a rest is too long for the rule.

        A file has the time that a thread needs to be found hanging: a new process goes on where this one is.
        """
        while rest := self._lookout.rest_s():
            if not self._lookout.waits and self._lookout.plan.timeout_s < rest < math.inf:
                return False
            self._viewing.check()
            self._lookout.pause(min(self._heart.every_s, rest))
            self._live()
        return True

    def _live(self) -> None:
        self._heart.tell()
        self._outbox.flush()

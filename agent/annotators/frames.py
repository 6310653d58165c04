"""A camera's frames and the annotator: who is asked when, and what becomes of frames of which nothing is said.

A video file waits for the answer to each of its frames. A live camera goes on: while the annotator is busy the newest
frame waits in its hand, and the one that this one takes the place of is dropped, counted in the ledger.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import structlog

from agent.annotations.read import Subject
from agent.annotators.plan import BUSY, NO_ANSWER
from agent.errors import Reject, Unanswered, Wait
from agent.hush import Hush
from agent.pictures.inspect import inspect

if TYPE_CHECKING:
    from agent.annotators.desk import Desk
    from agent.annotators.plan import Rule
    from agent.clock import Clock
    from agent.frame import Frame, Labels
    from agent.pictures.limits import PictureLimits
    from agent.workers import Stop

log = structlog.get_logger(__name__)

AGAIN_S = 1.0
"""How long a frame waits, at least, before the annotator is asked again by the rule `wait`."""


class Intake(Protocol):
    """The way into the spool."""

    def put(self, frame: Frame) -> None:
        """Return when the frame is durable, or dropped and counted; may raise `Wait`."""
        ...

    def forgo(self, frame: Frame, reason: str) -> None:
        """Enter the frame as captured and dropped; may raise `Wait`."""
        ...

    def pass_over(self, reason: str, *, items: int, size: int) -> None:
        """Enter frames of a live camera as captured and dropped, as soon as that can be written."""
        ...


class FrameRule:
    """What becomes of a frame once it was looked at, or could not be."""

    def __init__(self, name: str, rule: Rule, intake: Intake, clock: Clock) -> None:
        self.rule = rule
        self._name = name
        self._intake = intake
        self._clock = clock
        self._hush = Hush()

    def put(self, frame: Frame) -> None:
        """Hand on a frame with its labels, or with the reason why there are none; may raise `Wait`.

        `wait` comes to an end here: what is handed on without labels by it waited as long as it could.
        """
        if not frame.unannotated:
            self._intake.put(frame)
            return
        if self._hush.lets(frame.unannotated, self._clock.boot()):
            log.warning("frame_unannotated", source=self._name, reason=frame.unannotated, rule=self.rule)
        if self.rule == "send_without":
            self._intake.put(frame)
        else:
            self._intake.forgo(frame, NO_ANSWER)


class FileFrames:
    """The frames of a video file: each waits for its answer, in the camera's own thread."""

    def __init__(self, desk: Desk, rule: FrameRule, limits: PictureLimits, stop: Stop) -> None:
        self._desk = desk
        self._rule = rule
        self._limits = limits
        self._stop = stop
        self._looked_at: tuple[Frame, Frame] | None = None

    def put(self, frame: Frame) -> None:
        """Have a frame looked at and hand it on; one that the spool has no room for is not looked at twice."""
        if self._looked_at is None or self._looked_at[0] is not frame:
            self._looked_at = frame, self._annotated(frame)
        self._rule.put(self._looked_at[1])
        self._looked_at = None

    def _annotated(self, frame: Frame) -> Frame:
        while True:
            try:
                return replace(frame, labels=look(self._desk, frame, self._limits))
            except Unanswered as fault:
                if self._stop.is_set():
                    raise
                if self._rule.rule != "wait":
                    return replace(frame, unannotated=str(fault))
            if self._stop.wait(max(AGAIN_S, self._desk.rest_s())):
                raise Unanswered("the agent is stopping")


class LiveFrames:
    """The frames of a live camera: the newest one waits, `run` is the body of the thread that has it looked at."""

    def __init__(self, desk: Desk, rule: FrameRule, intake: Intake, limits: PictureLimits, stop: Stop) -> None:
        self._desk = desk
        self._rule = rule
        self._intake = intake
        self._limits = limits
        self._stop = stop
        self._condition = threading.Condition()
        self._newest: Frame | None = None
        self._passed: dict[str, tuple[int, int]] = {}

    def put(self, frame: Frame) -> None:
        """Let this frame take the place of one that still waits."""
        with self._condition:
            if self._newest is not None:
                away = self._rule.rule == "wait" and self._desk.state.problem
                self._pass_over(self._newest, NO_ANSWER if away else BUSY)
            self._newest = frame
            self._condition.notify_all()

    def run(self) -> None:
        """Have the newest frame looked at and hand it on, until the stop is set."""
        self._stop.subscribe(self._wake)
        while (frame := self._next()) is not None:
            self._count_passed()
            try:
                self._rule.put(replace(frame, labels=look(self._desk, frame, self._limits)))
            except Unanswered as fault:
                if self._stop.is_set():
                    break
                self._unanswered(frame, fault)
        self._count_passed()

    def _unanswered(self, frame: Frame, fault: Unanswered) -> None:
        if self._rule.rule != "wait":
            self._rule.put(replace(frame, unannotated=str(fault)))
            return
        with self._condition:
            if self._newest is None:
                self._newest = frame
            else:
                self._pass_over(frame, NO_ANSWER)
        self._stop.wait(max(AGAIN_S, self._desk.rest_s()))

    def _pass_over(self, frame: Frame, reason: str) -> None:
        items, size = self._passed.get(reason, (0, 0))
        self._passed[reason] = items + 1, size + len(frame.picture)

    def _count_passed(self) -> None:
        with self._condition:
            passed, self._passed = self._passed, {}
        for reason, (items, size) in passed.items():
            self._intake.pass_over(reason, items=items, size=size)

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _next(self) -> Frame | None:
        with self._condition:
            self._condition.wait_for(lambda: self._newest is not None or self._stop.is_set())
            frame, self._newest = self._newest, None
        return None if self._stop.is_set() else frame


def look(desk: Desk, frame: Frame, limits: PictureLimits) -> Labels:
    """Return what the annotator says of a frame; raises `Unanswered`."""
    try:
        with os.fdopen(os.memfd_create("frame"), "w+b", buffering=0) as file:
            file.write(frame.picture)
            picture = inspect(file.fileno(), limits)
    except (Wait, Reject) as error:
        raise Unanswered(str(error)) from None
    return desk.annotate(frame.picture, Subject("", picture.width, picture.height, picture.orientation))

"""A camera's choice on the parent's side: what is kept goes into the spool, what is skipped stays in a ring a while."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from agent.errors import Reject, SpoolDamaged, Wait
from agent.selection.facts import Facts, Verdict
from agent.selection.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.frame import Frame, Position
    from agent.selection.books import Books
    from agent.selection.choice import Choice
    from agent.selection.facts import Look

log = structlog.get_logger(__name__)


class Chooser:
    """Chooses among one camera's frames.

    With `sieved` the camera's child has decided already, and its verdicts are only entered here. `look_at` looks at a
    picture that no child has looked at. Frames come from one thread, what the child counts from another.
    """

    def __init__(self, choice: Choice, books: Books, *, sieved: bool, look_at: Callable[[bytes], Look]) -> None:
        self._choice = choice
        self._books = books
        self._sieved = sieved
        self._look_at = look_at
        self._ring: Ring[tuple[Frame, Facts]] = Ring(choice.plan.before_s, choice.plan.ring_bytes, self._let_go)
        self._told: dict[str, int] = {}
        self._lock = threading.Lock()
        self._blind = False

    def put(self, frame: Frame, deliver: Callable[[Frame], None]) -> None:
        """Hand on a frame if it is worth it, behind those before it that its rule wants; `deliver` may raise `Wait`.

        Nothing is remembered of a frame before it is delivered, so it can be put again.
        """
        with self._lock:
            facts, verdict = self._decided(frame)
            if verdict.keep:
                self._send(frame, facts, verdict, deliver)
            else:
                self._skip(frame, facts, verdict)
            self._choice.settle(facts, verdict)
            self._books.save()

    def opened(self) -> None:
        """Start the child's counts anew: there is another child."""
        self._told = {}

    def child_skipped(self, totals: Mapping[str, int]) -> None:
        """Count what a child has skipped since it was started."""
        with self._lock:
            for limit, items in totals.items():
                if items > self._told.get(limit, 0):
                    self._books.skipped(limit, items=items - self._told.get(limit, 0))
            self._told = dict(totals)
            self._books.save()

    def read(self, position: Position) -> None:
        """Note how far a video file was read."""
        with self._lock:
            self._books.read(position)

    def past(self) -> str:
        """Return what a child has to know of what was kept."""
        with self._lock:
            return self._choice.past.text()

    def close(self) -> None:
        """Enter everything that is not entered yet."""
        with self._lock, suppress(SpoolDamaged):
            self._ring.clear()
            self._books.save(now=True)

    def _decided(self, frame: Frame) -> tuple[Facts, Verdict]:
        boxes = None if frame.labels is None else frame.labels.annotations
        facts = Facts(frame.captured_at.astimezone(), boxes=boxes, look=frame.look)
        if self._sieved:
            return facts, frame.verdict or Verdict(keep=True, priority=self._choice.plan.priority)
        verdict = self._choice.decide(facts)
        if verdict is None:
            facts = replace(facts, look=self._seen(frame))
            verdict = self._choice.decide(facts)
        # What cannot be looked at is kept: the limits are there to save the link, not to lose pictures.
        return facts, verdict or Verdict(keep=True, priority=self._choice.plan.priority)

    def _seen(self, frame: Frame) -> Look | None:
        try:
            return self._look_at(frame.picture)
        except (Reject, Wait) as error:
            if not self._blind:
                self._blind = True
                log.warning("picture_not_looked_at", source=frame.source, reason=str(error))
            return None

    def _send(self, frame: Frame, facts: Facts, verdict: Verdict, deliver: Callable[[Frame], None]) -> None:
        for held in self._ring.before(facts.at, verdict.before_s):
            neighbour, seen = held
            # How far a file was read is said by the frame itself alone: what lies before it was read past already.
            deliver(replace(neighbour, priority=verdict.priority, position=None))
            self._ring.take(held)
            self._books.kept(verdict.rule, len(neighbour.picture))
            self._choice.settle(replace(seen, boxes=None), replace(verdict, after_s=0.0))
        deliver(replace(frame, priority=verdict.priority))
        self._books.kept(verdict.rule, len(frame.picture))

    def _skip(self, frame: Frame, facts: Facts, verdict: Verdict) -> None:
        if verdict.barred or not self._choice.plan.before_s:
            self._books.skipped(verdict.rule, size=len(frame.picture))
        else:
            self._ring.add((frame, facts), facts.at, len(frame.picture), verdict.rule)
        if frame.position is not None:
            self._books.read(frame.position)

    def _let_go(self, _held: tuple[Frame, Facts], rule: str, size: int) -> None:
        self._books.skipped(rule, size=size)

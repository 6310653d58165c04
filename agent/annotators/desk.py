"""The desk: the one thread in which an annotator is asked, for all sources in turn.

One picture at a time: what a device has is one accelerator, or few cores. Sources hand in a picture and wait for what
is said of it; whoever came first is served first. An annotator that failed rests before it is asked again.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from agent.annotators.answers import read_answer
from agent.annotators.rest import Rest
from agent.errors import Unanswered
from agent.hush import Hush

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from agent.annotations.read import Subject
    from agent.annotators.plan import AnnotatorPlan
    from agent.clock import Clock
    from agent.frame import Labels
    from agent.workers import Stop

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """What looks at pictures: used by the desk's thread alone."""

    def look(self, jpeg: bytes) -> bytes:
        """Return what is said of a JPEG, as JSON; raises `Unanswered`."""
        ...

    def reset(self) -> None:
        """Begin anew with the next picture: what was said last cannot be trusted."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@dataclass(frozen=True, slots=True)
class AnnotatorState:
    """An annotator as the status shows it: what it did since the agent started, and what is wrong now.

    `latency_s` is what the last answer took.
    """

    name: str
    answered: int = 0
    failed: int = 0
    latency_s: float | None = None
    problem: str = ""


@dataclass(slots=True)
class _Job:
    """One picture at the desk, and what became of it."""

    jpeg: bytes
    subject: Subject
    labels: Labels | None = None
    fault: Unanswered | None = None


class Desk:
    """Asks one annotator; `run` is the body of its thread, `annotate` is called from those of the sources."""

    def __init__(
        self,
        engine: Engine,
        plan: AnnotatorPlan,
        *,
        stop: Stop,
        clock: Clock,
        rng: random.Random,
        observe: Callable[[AnnotatorState], None] = lambda _: None,
    ) -> None:
        self.plan = plan
        self._engine = engine
        self._stop = stop
        self._clock = clock
        self._rest = Rest(clock, rng)
        self._observe = observe
        self._condition = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._hush = Hush()
        self.state = AnnotatorState(plan.name)
        observe(self.state)

    def run(self) -> None:
        """Serve until the stop is set."""
        self._stop.subscribe(self._wake)
        try:
            while (job := self._next()) is not None:
                self._serve(job)
        finally:
            self._engine.close()

    def annotate(self, jpeg: bytes, subject: Subject) -> Labels:
        """Return what the annotator says of a JPEG; raises `Unanswered`, also at the stop."""
        job = _Job(jpeg, subject)
        with self._condition:
            self._jobs.append(job)
            self._condition.notify_all()
            self._condition.wait_for(lambda: job.labels is not None or job.fault is not None or self._stop.is_set())
        if job.labels is not None:
            return job.labels
        raise job.fault or Unanswered("the agent is stopping")

    def rest_s(self) -> float:
        """Return how long the annotator still rests after a failure."""
        return self._rest.left_s()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _next(self) -> _Job | None:
        with self._condition:
            self._condition.wait_for(lambda: self._jobs or self._stop.is_set())
            return None if self._stop.is_set() else self._jobs.popleft()

    def _serve(self, job: _Job) -> None:
        try:
            labels = self._looked_at(job)
        except Unanswered as fault:
            self._failed(fault)
            with self._condition:
                job.fault = fault
                self._condition.notify_all()
            return
        with self._condition:
            job.labels = labels
            self._condition.notify_all()

    def _looked_at(self, job: _Job) -> Labels:
        if (rest := self.rest_s()) > self.plan.timeout_s:
            raise Unanswered(f"it rests after a failure: {self.state.problem}")
        if rest:
            self._stop.wait(rest)
        began = self._clock.boot()
        answer = self._engine.look(job.jpeg)
        labels = read_answer(answer, self.plan, job.subject)
        self._rest.end()
        self._hush.forget()
        took = round(self._clock.boot() - began, 3)
        if self.state.problem:
            log.info("annotator_restored", annotator=self.plan.name)
        self._change(answered=self.state.answered + 1, latency_s=took, problem="")
        return labels

    def _failed(self, fault: Unanswered) -> None:
        if self._stop.is_set():
            return
        reason = str(fault)
        retry_in = None
        if fault.away:
            self._engine.reset()
            retry_in = round(self._rest.lengthen(), 1)
        if self.rest_s() and not fault.away:
            self._change(failed=self.state.failed + 1)
            return
        self._change(failed=self.state.failed + 1, problem=reason)
        if self._hush.lets(reason, self._clock.boot()):
            log.warning("annotator_failed", annotator=self.plan.name, reason=reason, retry_in_s=retry_in)

    def _change(self, **facts: object) -> None:
        self.state = replace(self.state, **facts)  # type: ignore[arg-type]
        self._observe(self.state)

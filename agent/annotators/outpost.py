"""The lookout in a camera's child, the parent's side: what each child is told, and what becomes of what it says.

A child that dies while its detector looks at a frame was taken down by it: that is a failure of the annotator, with a
rest before it is asked again, or the camera would be lost for as long as the detector is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from agent.annotators.desk import AnnotatorState
from agent.annotators.plan import LookoutPlan
from agent.annotators.rest import Rest
from agent.hush import Hush

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from agent.annotators.plan import AnnotatorPlan
    from agent.clock import Clock

log = structlog.get_logger(__name__)

CRASHED = "it took the camera's process down with it"
BEYOND_S = 1.0
"""After that it rests for longer than a frame waits: else the next frame would do the same, and none would be sent."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """How a child's detector does: what it did since the child's start, and whether it looks at a frame now."""

    answered: int
    failed: int
    latency_s: float | None
    problem: str
    failures: int
    rests_s: float
    looking: bool


class Outpost:
    """Keeps the state of one camera's detector across its children; used by the camera's thread.

    `pass_over` enters frames of a live camera for which there was no detector, as (reason, number).
    """

    def __init__(
        self,
        camera: str,
        plan: AnnotatorPlan,
        detection: dict[str, Any],
        *,
        pass_over: Callable[[str, int], None],
        clock: Clock,
        rng: random.Random,
        observe: Callable[[AnnotatorState], None],
    ) -> None:
        self.state = AnnotatorState(f"{plan.name} at {camera}")
        self._plan = plan
        self._detection = detection
        self._pass_over = pass_over
        self._clock = clock
        self._rest = Rest(clock, rng)
        self._observe = observe
        self._hush = Hush()
        self._before = (0, 0)
        self._passed: dict[str, int] = {}
        self._looking = False
        observe(self.state)

    def order(self) -> LookoutPlan:
        """Return what a new child is told."""
        self._before = (self.state.answered, self.state.failed)
        self._passed, self._looking = {}, False
        plan = self._plan
        return LookoutPlan(
            self._detection,
            timeout_s=plan.timeout_s,
            start_timeout_s=plan.start_timeout_s,
            on_failure=plan.on_failure,
            model_id=plan.model.id,
            model_version=plan.model.version,
            failures=self._rest.failures,
            rests_s=self._rest.left_s(),
        )

    def hear(self, glimpse: Glimpse) -> None:
        """Note what a child says of its detector."""
        answered, failed = self._before
        self._looking = glimpse.looking
        self._rest.resume(glimpse.failures, glimpse.rests_s)
        # A child that has not looked at anything yet knows of no problem; there may be one all the same.
        problem = glimpse.problem if glimpse.answered or glimpse.failed else self.state.problem
        self._change(answered + glimpse.answered, failed + glimpse.failed, glimpse.latency_s, problem)

    def passed(self, totals: Mapping[str, int]) -> None:
        """Enter frames for which a child had no detector, since it was started."""
        for reason, number in totals.items():
            if number > self._passed.get(reason, 0):
                self._pass_over(reason, number - self._passed.get(reason, 0))
        self._passed = dict(totals)

    def died(self) -> None:
        """Note that a child ended without a word."""
        if self._looking:
            self._looking = False
            self._rest.lengthen(0.0 if self._plan.on_failure == "wait" else self._plan.timeout_s + BEYOND_S)
            self._change(self.state.answered, self.state.failed + 1, self.state.latency_s, CRASHED)

    def _change(self, answered: int, failed: int, latency_s: float | None, problem: str) -> None:
        took = self.state.latency_s if latency_s is None else latency_s
        before, self.state = self.state, AnnotatorState(self.state.name, answered, failed, took, problem)
        if before.problem and not problem and answered > before.answered:
            self._hush.forget()
            log.info("annotator_restored", annotator=self.state.name)
        if problem and failed > before.failed and self._hush.lets(problem, self._clock.boot()):
            rest = round(self._rest.left_s(), 1)
            log.warning("annotator_failed", annotator=self.state.name, reason=problem, retry_in_s=rest or None)
        if self.state != before:
            self._observe(self.state)

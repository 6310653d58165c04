"""The lookout: a detector in a camera's child, in a thread beside the one that grabs.

A frame that takes long, or for ever, does not keep the camera's driver waiting, and does not look like a camera that
gives nothing. Whoever hands in a frame waits for the answer no longer than it likes. A thread that hangs cannot be
ended: what it says later is thrown away, and should it say nothing at all, `hangs` tells so, and the child has to go.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

from agent.annotators.rest import Rest
from agent.errors import Unanswered
from agent.frame import Labels

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from agent.annotators.plan import LookoutPlan
    from agent.clock import Clock

See: TypeAlias = "Callable[[Any], Labels]"

HANGS_AFTER = 3
"""So many times as long as a frame may take, a thread is waited for."""
LEAST_S = 5.0
"""And as long as this at least."""


class Lookout:
    """Looks at one frame after the other; `run` is the body of its thread, all else belongs to the grabbing one.

    `load` makes what looks at pixels, at the first frame and after each failure; both raise `Unanswered`.
    """

    def __init__(self, plan: LookoutPlan, load: Callable[[], See], *, clock: Clock, rng: random.Random) -> None:
        self.plan = plan
        self.looking = False
        self._load = load
        self._clock = clock
        self._rest = Rest(clock, rng)
        self._rest.resume(plan.failures, plan.rests_s)
        self._condition = threading.Condition()
        self._pixels: Any = None
        self._occupied = False
        self._loaded = False
        self._closed = False
        self._said: Labels | Unanswered | None = None
        self._began = self._until = 0.0
        self._facts: dict[str, Any] = {"answered": 0, "failed": 0, "latency_s": None, "problem": ""}

    @property
    def waits(self) -> bool:
        """Tell whether frames wait for an answer, however long that takes."""
        return self.plan.on_failure == "wait"

    def run(self) -> None:
        """Look at what is handed in, until it is closed; a process that ends need not."""
        try:
            self._look_on()
        except BaseException:
            with self._condition:  # whoever waits is told at once, and that it takes a new process
                self._said = Unanswered("it failed unexpectedly: the log has its traceback", away=True)
                self._until = -math.inf
                self._condition.notify_all()
            raise

    def _look_on(self) -> None:
        see: See | None = None
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pixels is not None or self._closed)
                pixels, self._pixels = self._pixels, None
            if pixels is None:
                return
            said: Labels | Unanswered
            try:
                see = see or self._load()
                said = see(pixels)
            except Unanswered as fault:
                said, see = fault, None
            del pixels
            with self._condition:
                self._occupied, self._loaded = False, see is not None
                self._said = said if self.looking else None
                self._condition.notify_all()

    def begin(self, pixels: Any) -> None:  # noqa: ANN401 (BGR pixels)
        """Hand in a frame; only where nothing is looked at and `rest_s` is 0."""
        with self._condition:
            self._began = self._clock.boot()
            self._until = self._began + self.plan.timeout_s + (0.0 if self._loaded else self.plan.start_timeout_s)
            self._pixels, self._occupied, self.looking = pixels, True, True
            self._condition.notify_all()

    def answer(self, seconds: float = 0.0) -> Labels | Unanswered | None:
        """Return what is said of the frame; None where that did not come within `seconds`, and may come yet."""
        with self._condition:
            left_s = max(0.0, self._until - self._clock.boot())
            self._condition.wait_for(lambda: self._said is not None, min(seconds, left_s))
            said = self._said
            if said is None and self._clock.boot() < self._until:
                return None
            self._said, self.looking = None, False
        said = said or Unanswered("it did not answer in time", away=True)
        self._note(said)
        return said

    def rest_s(self) -> float:
        """Return for how long no frame can be handed in; without end while one is late."""
        return math.inf if self._occupied else self._rest.left_s()

    def pause(self, seconds: float) -> None:
        """Let so long pass, or less where the thread is done."""
        with self._condition:
            self._condition.wait(seconds)

    def resting(self) -> Unanswered:
        """Return what is said of a frame that cannot wait for the end of a rest."""
        return Unanswered(f"it rests after a failure: {self._facts['problem'] or 'it failed before'}")

    def hangs(self) -> bool:
        """Tell whether the thread is lost in a frame that was given up long ago."""
        late_s = max(LEAST_S, HANGS_AFTER * self.plan.timeout_s)
        return self._occupied and not self.looking and self._clock.boot() - self._until >= late_s

    def close(self) -> None:
        """Have the thread end when it is done."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def facts(self) -> dict[str, Any]:
        """Return how it does, as a record tells it."""
        rest = {"failures": self._rest.failures, "rests_s": round(self._rest.left_s(), 3)}
        return {**self._facts, **rest}

    def _note(self, said: Labels | Unanswered) -> None:
        if isinstance(said, Labels):
            self._rest.end()
            took = round(self._clock.boot() - self._began, 3)
            self._facts |= {"answered": self._facts["answered"] + 1, "latency_s": took, "problem": ""}
            return
        if said.away:
            self._rest.lengthen()
        self._facts |= {"failed": self._facts["failed"] + 1, "problem": str(said)}

"""Programs as annotators: kept running between pictures, or one process a picture.

stream   standard input:  the length of a JPEG as 4 bytes, the highest first, then the JPEG, again and again
         standard output: one line of JSON for each
once     standard input:  one JPEG, to the end of the input
         standard output: JSON, to the end of the output; the exit status has to be 0
"""

from __future__ import annotations

import struct
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import structlog

from agent.annotators.answers import MAX_ANSWER_BYTES
from agent.annotators.program import Program
from agent.errors import Reopen, Unanswered
from agent.sources.grammar import redact
from agent.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.annotators.plan import AnnotatorPlan
    from agent.clock import Clock
    from agent.workers import Stop

log = structlog.get_logger(__name__)

SAY_EVERY_S = 10.0
_LONGEST_LINE = 300
_LENGTH = struct.Struct(">I")


class Chatter:
    """Passes on what a program writes to standard error: its last line, at most every ten seconds."""

    def __init__(self, annotator: str, clock: Clock) -> None:
        self._annotator = annotator
        self._clock = clock
        self._next = float("-inf")
        self._untold = 0

    def hear(self, lines: list[str]) -> None:
        """Take the next lines."""
        now = self._clock.boot()
        if now < self._next:
            self._untold += len(lines)
            return
        self._next = now + SAY_EVERY_S
        untold, self._untold = self._untold + len(lines) - 1, 0
        line = "".join(sign if sign.isprintable() else " " for sign in redact(lines[-1]))[-_LONGEST_LINE:]
        log.info("annotator_said", annotator=self._annotator, line=line, lines_left_out=untold)


class _Programs:
    """What the two modes share: how a program is started; used by one thread.

    `order` is what it is given to read ahead of the first picture.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        plan: AnnotatorPlan,
        *,
        environment: Mapping[str, str],
        stop: Stop,
        clock: Clock,
        order: bytes = b"",
    ) -> None:
        self._order = order
        self._arguments = arguments
        self._plan = plan
        self._environment = environment
        self._clock = clock
        self._wakeup = Wakeup(stop)
        self._chatter = Chatter(plan.name, clock)

    def _start(self) -> Program:
        try:
            return Program(self._arguments, self._environment, self._wakeup, clock=self._clock, hear=self._chatter.hear)
        except Reopen as error:
            raise Unanswered(error.what, remedy=error.remedy, away=True) from None


class OnceProgram(_Programs):
    """Starts the program for each picture."""

    def look(self, jpeg: bytes) -> bytes:
        """Return what the program says of a picture."""
        with self._start() as program:
            return program.consult(self._order + jpeg, self._clock.boot() + self._plan.timeout_s, MAX_ANSWER_BYTES)

    def reset(self) -> None:
        """Nothing is left of the last picture's process."""

    def close(self) -> None:
        """Let go of what it holds."""
        self._wakeup.close()


class StreamProgram(_Programs):
    """Keeps the program running; one that fails is ended with its whole group, and started again for the next one."""

    _program: Program | None = None

    def look(self, jpeg: bytes) -> bytes:
        """Return what the program says of a picture."""
        allowed_s = self._plan.timeout_s
        if self._program is None:
            self._program, allowed_s = self._start(), allowed_s + self._plan.start_timeout_s
            jpeg_and_all = self._order + _LENGTH.pack(len(jpeg)) + jpeg
        else:
            jpeg_and_all = _LENGTH.pack(len(jpeg)) + jpeg
        with self._ended_on_failure():
            return self._program.exchange(jpeg_and_all, self._clock.boot() + allowed_s, MAX_ANSWER_BYTES)

    @contextmanager
    def _ended_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.reset()
            raise

    def reset(self) -> None:
        """End the program."""
        program, self._program = self._program, None
        if program is not None:
            program.end()

    def close(self) -> None:
        """End the program."""
        with closing(self._wakeup):
            self.reset()

"""A program that looks at pictures: written to and read from at the same time, never waited for past a deadline."""

from __future__ import annotations

import contextlib
import math
import os
import select
from typing import TYPE_CHECKING

from agent.errors import Unanswered
from agent.sources.children import CHUNK, Child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.clock import Clock
    from agent.wakeup import Wakeup

STRIDE = 64 * 1024
LAST_BREATH_S = 1.0
"""How long a program that closed its output may take to end, so that its exit status can be told."""
OUT_OF_STEP = "Only answers may go to its standard output, one line a picture; print the rest to standard error."


class Program(Child):
    """A running program; `hear` is given what it writes to standard error.

    Whatever goes wrong raises `Unanswered` with `away`: after that it is of no more use and has to be ended. Raises
    `Reopen` where it cannot be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        wakeup: Wakeup,
        *,
        clock: Clock,
        hear: Callable[[list[str]], None],
    ) -> None:
        super().__init__(arguments, environment, wakeup, talks=True)
        self._clock = clock
        self._tell = hear
        assert self._process.stdin is not None  # noqa: S101 (it was asked for)
        self._input = self._process.stdin.fileno()
        os.set_blocking(self._input, False)
        self._stop = wakeup.descriptor
        self._complains = True

    def exchange(self, data: bytes, until: float, most: int) -> bytes:
        """Write all of `data` and return the one line that comes back, without its end."""
        self._write(data, until, self._check_step)
        answer = bytearray()
        while not answer.endswith(b"\n"):
            answer += self._read(until) or self._gone()
            if b"\n" in answer[:-1]:
                raise Unanswered("it wrote more than one line", remedy=OUT_OF_STEP, away=True)
            self._check_size(answer, most)
        return bytes(answer[:-1])

    def consult(self, data: bytes, until: float, most: int) -> bytes:
        """Write all of `data`, end the input, and return all that comes back until the program ends well."""
        answer = bytearray()

        def keep(piece: bytes) -> None:
            answer.extend(piece)
            self._check_size(answer, most)

        self._write(data, until, keep)
        if self._process.stdin is not None:
            self._process.stdin.close()
        while piece := self._read(until):
            keep(piece)
        self._wait(max(0.0, until - self._clock.boot()))
        fate = os.waitid(os.P_PIDFD, self._ended, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if fate is None or (fate.si_code, fate.si_status) != (os.CLD_EXITED, 0):
            self._gone()
        return bytes(answer)

    def _write(self, data: bytes, until: float, heard: Callable[[bytes], None]) -> None:
        view = memoryview(data)
        self._poll.register(self._input, select.POLLOUT)
        try:
            while view:
                ready = self._await(until)
                if self._output in ready:
                    heard(os.read(self._output, CHUNK))
                if self._input in ready:
                    view = view[os.write(self._input, view[:STRIDE]) :]
        except BrokenPipeError:
            # It need not read all of a picture; what it has to say, or how it ended, follows.
            return
        finally:
            self._poll.unregister(self._input)

    def _read(self, until: float) -> bytes:
        while self._output not in self._await(until):
            pass
        return os.read(self._output, CHUNK)

    def _await(self, until: float) -> set[int]:
        """Return what may be read or written; raises `Unanswered` at the deadline and at the stop."""
        left = until - self._clock.boot()
        ready = self._ready(left)
        if self._stop in ready:
            raise Unanswered("the agent is stopping", away=True)
        if not ready and until - self._clock.boot() <= 0:
            raise Unanswered("it did not answer in time", remedy=self.last_words(), away=True)
        return ready

    def _ready(self, seconds: float) -> set[int]:
        ready = {descriptor for descriptor, _ in self._poll.poll(math.ceil(max(0.0, seconds) * 1000))}
        if self._complaints in ready:
            self._hear()
        return ready

    def _hear(self) -> None:
        heard = os.read(self._complaints, CHUNK)
        if not heard and self._complains:
            self._complains = False
            self._poll.unregister(self._complaints)
        lines = [line for line in heard.decode(errors="replace").splitlines() if line.strip()]
        self._words.extend(lines)
        if lines:
            self._tell(lines)

    def _check_step(self, piece: bytes) -> None:
        """Raise for what came before a picture was asked about: the next answer would be taken for another's."""
        if not piece:
            self._gone()
        raise Unanswered("it wrote a line that it was not asked for", remedy=OUT_OF_STEP, away=True)

    def _check_size(self, answer: bytearray, most: int) -> None:
        if len(answer) > most:
            raise Unanswered(f"its answer is larger than {most} bytes", away=True)

    def _gone(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self._complaints, False)
            self._hear()
        self._wait(LAST_BREATH_S)
        raise Unanswered(f"it {self.obituary()}", away=True)

"""Child processes whose output is read with deadlines, and which end when they are told to, with all they started."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import subprocess
from collections import deque
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Self

import structlog

from agent.errors import Reopen
from agent.sources.grammar import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.wakeup import Wakeup

log = structlog.get_logger(__name__)

CHUNK = 256 * 1024
PIPE_BYTES = 1024 * 1024
"""Several pictures fit, so that a short wait for the disk costs none; the kernel's limit for plain users."""

GRACE_S = 0.7
"""From the request to end to the kill; twice this is below the 2 s that a stop may take."""

OBITUARY_S = 0.2

_LONGEST_WORDS = 300


class Child:
    """A running program in a process group of its own.

    `message` is written to its standard input, which is then closed; without one there is nothing to read there. With
    `talks` it stays open instead, for a subclass that has more to say.
    Raises `Reopen` where it cannot be started. Leaving the `with` block ends it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        wakeup: Wakeup,
        message: bytes = b"",
        *,
        talks: bool = False,
    ) -> None:
        self._process = _started(arguments, environment, subprocess.PIPE if message or talks else subprocess.DEVNULL)
        self._ended = os.pidfd_open(self._process.pid)
        self.pid = self._process.pid
        self._words: deque[str] = deque(maxlen=1)
        self._output, self._complaints = _descriptor(self._process.stdout), _descriptor(self._process.stderr)
        self._poll = select.poll()
        for descriptor in (self._output, self._complaints, wakeup.descriptor):
            self._poll.register(descriptor, select.POLLIN)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        if not talks:
            self._say(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _say(self, message: bytes) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError), self._process.stdin as pipe:
                pipe.write(message)

    def read(self, seconds: float) -> bytes | None:
        """Return what the child wrote, `b""` once it closed its output, None where nothing came.

        Returns before `seconds` have passed, with None, when the stop is set or the child complained.
        """
        ready = {descriptor for descriptor, _ in self._poll.poll(math.ceil(max(0.0, seconds) * 1000))}
        if self._complaints in ready:
            self._hear()
        return os.read(self._output, CHUNK) if self._output in ready else None

    def _hear(self) -> None:
        heard = os.read(self._complaints, CHUNK)
        if not heard:
            self._poll.unregister(self._complaints)
        self._words.extend(line for line in heard.decode(errors="replace").splitlines() if line.strip())

    def obituary(self) -> str:
        """Say how a child that closed its output ended, with its last words; waits for it a moment."""
        self._wait(OBITUARY_S)
        result = os.waitid(os.P_PIDFD, self._ended, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            fate = "closed its output"
        elif result.si_code == os.CLD_EXITED:
            fate = f"ended with status {result.si_status}"
        else:
            fate = f"was ended by signal {result.si_status}"
        return f"{fate}: {self.last_words()}" if self.last_words() else fate

    def last_words(self) -> str:
        """Return the last line of standard error, without credentials; empty where there was none."""
        return redact("".join(self._words)[-_LONGEST_WORDS:].strip())

    def end(self) -> None:
        """End the child and everything in its group: asked first, killed after `GRACE_S`."""
        self._signal(SIGTERM)
        self._wait(GRACE_S)
        # Also where the child has gone: what it started may not have. It is reaped afterwards, so that no other
        # process can have got its number.
        self._signal(SIGKILL)
        if not self._wait(GRACE_S):
            log.warning("child_stuck", pid=self.pid, reason="it does not die, as in a hanging driver")
        self._process.poll()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._ended)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _wait(self, seconds: float) -> bool:
        ended = select.poll()
        ended.register(self._ended, select.POLLIN)
        return bool(ended.poll(math.ceil(seconds * 1000)))


def _started(arguments: Sequence[str], environment: Mapping[str, str], stdin: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            arguments,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be used"
        raise Reopen(f"{arguments[0]} cannot be started: {reason}") from None


def _descriptor(pipe: object) -> int:
    """Return the number behind a pipe that was asked for."""
    number: int = pipe.fileno()  # type: ignore[attr-defined]
    return number

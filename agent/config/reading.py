"""The configuration, read by a child of its own, so that what checks it takes no memory of who works with it.

The child is told the path and the environment on its standard input, and answers on its standard output: other users
see neither, as they would see arguments. What it says last on standard error is told where it fails.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from io import FileIO
from typing import TYPE_CHECKING, Any, Self

from agent.config.configuration import Configuration
from agent.config.parcel import packed, unpacked
from agent.config.redaction import printable, redacted
from agent.errors import ConfigError, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from agent.config.environment import Environment

CHILD = (sys.executable, "-P", "-m", "agent.config.reading_child")
DEADLINE_S = 45.0
"""A small board that starts everything at once takes some seconds; the service manager waits for 90."""
LARGEST = 16_000_000  # bytes of an answer; a real one has some thousands
_PIECE = 65_536
_REAP_S = 2.0
_REMEDY = "See what it says of it: acusight-agent config check"
_SLOW = "Something that it names may lie on a disk that does not answer; see: acusight-agent config check"


def readable(descriptor: int, timeout_s: float) -> bool:
    """Tell whether a descriptor can be read within some seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def read(path: Path | None, environment: Environment, wait: Callable[[int, float], bool] = readable) -> Configuration:
    """Return what `load` would, checked by a child."""
    with Reading(path, environment) as reading:
        return reading.result(wait)


class Reading:
    """One configuration being read; a context manager, after which there is no child any more.

    Raises `Wait` where the child cannot be started.
    """

    def __init__(
        self,
        path: Path | None,
        environment: Environment,
        *,
        command: Sequence[str] = CHILD,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._deadline_s = deadline_s
        self._until = time.monotonic() + deadline_s
        question = packed((path, replace(environment, children={})))
        try:
            self._start([*command, str(os.getpid())], question, environment.children)
        except OSError as error:
            raise Wait(f"the configuration could not be read: {error.strerror}", remedy=_REMEDY) from error

    def _start(self, command: Sequence[str], question: bytes, environment: Mapping[str, str]) -> None:
        with ExitStack() as undo:
            self._said = undo.enter_context(_memory("said"))
            self._socket, theirs = socket.socketpair()
            undo.callback(self._socket.close)
            with theirs, _memory("asked") as asked:
                asked.write(question)
                asked.seek(0)
                # A process group of its own: the Ctrl-C that ends the parent is answered by the parent.
                self._process = subprocess.Popen(
                    command,
                    stdin=asked.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._said.fileno(),
                    env=dict(environment),
                    process_group=0,
                )
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        # SIGKILL leaves only a process that the kernel itself holds; its end is not waited for.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_S)
        self._socket.close()
        self._said.close()

    def result(self, wait: Callable[[int, float], bool] = readable) -> Configuration:
        """Return the configuration when it is there; `ConfigError` where it is wrong, in the words of `load`.

        `wait` tells whether a descriptor can be read within so many seconds; what it raises ends the reading. Raises
        `Wait` where the child is too slow, or ends without an answer.
        """
        answer = self._answer(self._heard(wait))
        if isinstance(answer, Configuration):
            return answer
        raise ConfigError(answer["what"], remedy=answer["remedy"])

    def _heard(self, wait: Callable[[int, float], bool]) -> bytes:
        """Return all that the child says until it has said it."""
        heard = bytearray()
        while (left := self._until - time.monotonic()) > 0:
            if not wait(self._socket.fileno(), left):
                continue
            piece = self._socket.recv(_PIECE)
            heard += piece
            if not piece:
                return bytes(heard)
            if len(heard) > LARGEST:
                raise Wait("the configuration could not be read: the process that checks it does not stop talking")
        raise Wait(f"the configuration could not be read within {self._deadline_s:g} s", remedy=_SLOW)

    def _answer(self, heard: bytes) -> Any:  # noqa: ANN401 (the configuration, or the two parts of an error)
        with suppress(ValueError):
            answer = unpacked(heard)
            if isinstance(answer, Configuration) or (isinstance(answer, dict) and answer.keys() == {"what", "remedy"}):
                return answer
        raise Wait(f"the configuration could not be read: the process that checks it {self._end()}", remedy=_REMEDY)

    def _end(self) -> str:
        """Say how the child ended that gave no answer."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_S)
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return "was killed; is there enough memory?"
        said = os.pread(self._said.fileno(), _PIECE, 0).decode("utf-8", "replace").strip().rpartition("\n")[2]
        how = "does not end" if code is None else f"ended with {code}" if code >= 0 else f"ended by signal {-code}"
        return printable(redacted(f"{how}: {said}" if said else how))


def _memory(name: str) -> FileIO:
    return FileIO(os.memfd_create(name), "r+")

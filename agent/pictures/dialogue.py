"""A child process and the conversation with it: messages on a socket, none of which waits past a deadline."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_HEADER_BYTES = 4096
_READ_BYTES = 256 * 1024
_REAP_S = 2.0


class Dialogue:
    """A running child that has one end of a socket as its standard input and output.

    It is sent a line of JSON with a descriptor, and answers with one that has the `size` of the bytes that follow it.
    `deadline` is on the monotonic clock.
    Raises `TimeoutError` past it and `ConnectionError` when the child is gone or talks nonsense; after either, the
    child is of no more use. Where it cannot be started, `OSError`.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        with contextlib.ExitStack() as undo, theirs:
            undo.callback(self._socket.close)
            # A process group of its own: the Ctrl-C that ends the daemon must not look like a decoder's crash.
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                process_group=0,
            )
            undo.pop_all()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether the child still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the child at once; whoever waits for its answer gets `ConnectionError`."""
        self._process.kill()

    def close(self) -> None:
        """End the child and let go of it."""
        self.kill()
        # SIGKILL leaves only a process that the kernel itself holds; its end is not waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_S)
        self._socket.close()

    def send(self, header: Mapping[str, Any], descriptor: int, deadline: float) -> None:
        """Say one thing, about an open file that goes along: its bytes need not pass through here."""
        line = memoryview(json.dumps(dict(header)).encode() + b"\n")
        self._hurry(deadline)
        sent = socket.send_fds(self._socket, [line], [descriptor])
        while sent < len(line):
            self._hurry(deadline)
            sent += self._socket.send(line[sent:])

    def receive(self, max_bytes: int, deadline: float) -> tuple[dict[str, Any], bytes]:
        """Hear one message, its body no longer than `max_bytes`."""
        heard = bytearray()
        while b"\n" not in heard:
            if len(heard) > _MAX_HEADER_BYTES:
                raise ConnectionError("no header in the answer")
            heard += self._read(_MAX_HEADER_BYTES, deadline)
        line, _, body = heard.partition(b"\n")
        header, size = _parse(bytes(line))
        if size > max_bytes:
            raise ConnectionError("a larger answer than can be used")
        while len(body) < size:
            body += self._read(_READ_BYTES, deadline)
        return header, bytes(body)

    def _read(self, count: int, deadline: float) -> bytes:
        self._hurry(deadline)
        piece = self._socket.recv(count)
        if not piece:
            raise ConnectionError("the child is gone")
        return piece

    def _hurry(self, deadline: float) -> None:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError("it takes too long")
        self._socket.settimeout(left)


def _parse(line: bytes) -> tuple[dict[str, Any], int]:
    try:
        header = dict(json.loads(line))
        return header, int(header["size"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConnectionError("a header that cannot be read") from error

"""The agent's own annotator children: pictures in, a line of JSON for each out, as any program's in `command`."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

_LENGTH = struct.Struct(">I")
_PR_SET_PDEATHSIG = 1


class Unseen(Exception):
    """This picture could not be looked at; the next one may."""


def serve(look: Callable[[bytes], Any], answers: BinaryIO) -> None:
    """Answer picture after picture until the input ends."""
    for jpeg in _pictures(sys.stdin.buffer):
        try:
            said = look(jpeg)
        except Unseen as error:
            said = {"error": str(error)}
        try:
            line = json.dumps(said)
        except (TypeError, ValueError, RecursionError) as error:
            line = json.dumps({"error": f"its answer is no JSON ({error})"})
        answers.write(line.encode() + b"\n")
        answers.flush()


def private_output() -> BinaryIO:
    """Return standard output under a number of its own: what a library prints goes to standard error instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # which holds nothing back: the last words are the last
    return answers


def die_with(parent: int) -> None:
    """Have the kernel kill this process with the thread that started it, also when it is stuck."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def _pictures(stream: BinaryIO) -> Iterator[bytes]:
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        jpeg = stream.read(length)
        if len(jpeg) < length:
            return
        yield jpeg

"""The agent's own annotator children: pictures in, a line of JSON for each out, as any program's in `command`."""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

_LENGTH = struct.Struct(">I")


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


def _pictures(stream: BinaryIO) -> Iterator[bytes]:
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        jpeg = stream.read(length)
        if len(jpeg) < length:
            return
        yield jpeg

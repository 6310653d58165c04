"""The child's side of a `Dialogue`: requests with a descriptor beside them come in on a socket, answers go out."""

from __future__ import annotations

import json
import os
import resource
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent.ceiling import lower
from agent.tether import die_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_READ_BYTES = 256 * 1024


def confine(parent: int, memory_bytes: int) -> None:
    """End with the parent, leave no core dump, and never take more memory than that.

    Its parent is the thread that started it, says the kernel: should that end first, the next request starts another.
    """
    die_with(parent)
    with suppress(OSError):  # the thread that started this process keeps to one core, and lets others go first
        os.sched_setaffinity(0, os.sched_getaffinity(parent))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    lower(resource.RLIMIT_AS, memory_bytes)
    lower(resource.RLIMIT_CORE, 0)


def requests(channel: socket.socket, idle_s: float) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield one request after the other, until none came for `idle_s`: the next is sent after the answer to the last.

    The descriptor is the receiver's to close.
    """
    line = bytearray()
    descriptors: list[int] = []
    while select.select([channel], [], [], idle_s)[0]:
        piece, received, _, _ = socket.recv_fds(channel, _READ_BYTES, 1)
        if not piece:
            return
        line += piece
        descriptors += received
        if line.endswith(b"\n"):
            yield json.loads(line), descriptors.pop()
            line.clear()


def say(answers: BinaryIO, header: dict[str, Any], result: bytes) -> None:
    """Answer a request; an empty answer before the first says that the child is ready."""
    answers.write(json.dumps(header | {"size": len(result)}).encode() + b"\n" + result)
    answers.flush()

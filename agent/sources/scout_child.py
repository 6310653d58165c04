"""The scout: reads, checks and hashes the pictures of a folder that come next, for the daemon that started it.

    python -P -m agent.sources.scout_child IDLE_S PARENT_PID

A request is a line of JSON with the folder's descriptor beside it: `names`, relative to the folder, and the `limits` of
a picture. The answer is a list of `[name, state, picture]`, with the file's `FileState` and the
fields of a `Picture`. Of what is no whole picture within the limits it says nothing: the daemon looks for itself.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from typing import Any

from agent import collector
from agent.errors import Reject, Wait
from agent.file_state import file_state
from agent.pictures.inspect import PictureLimits, inspect
from agent.pictures.replying import confine, requests, say
from agent.sources.opening import open_in_folder

MEMORY_BYTES = 500_000_000
NICE = 10  # it saves time where a core is free; where none is, nobody shall wait for it


def main(idle_s: float, parent: int) -> None:
    """Answer requests on standard input until there are no more."""
    collector.put_off()
    confine(parent, MEMORY_BYTES)
    os.nice(NICE)
    with os.fdopen(os.dup(1), "wb") as answers:
        say(answers, {}, b"")
        for request, folder in requests(socket.socket(fileno=0), idle_s):
            found = _reports(folder, request["names"], PictureLimits(**request["limits"]))
            os.close(folder)
            say(answers, {}, json.dumps(found).encode())


def _reports(folder: int, names: list[str], limits: PictureLimits) -> list[Any]:
    found: list[Any] = []
    for name in names:
        with suppress(Reject, Wait), open_in_folder(folder, name) as (descriptor, before):
            picture = inspect(descriptor, limits)
            state = file_state(before)
            if file_state(os.fstat(descriptor)) == state:
                found.append((name, state, picture))
    return found


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))

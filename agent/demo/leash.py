"""`leash.py PARENT PROGRAM ARGUMENT…`: becomes a program that is asked to end when its parent is gone.

In a session of its own, so that Ctrl-C on the terminal reaches the demonstration alone, which then ends its children in
order. The kernel's promise to signal outlives the exec, so the program need not know of it. Run as a file: nothing of
the agent is imported, it costs some 10 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def leash() -> list[str]:
    """Return what to put before a program's command line to bind it to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid())]


def become(parent: int, command: list[str]) -> None:
    """Turn into `command`, a program's full path with its arguments; does not return."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"{command[0]} was not started: its parent has gone")
    os.execv(command[0], command)  # noqa: S606 (no shell is what is wanted)


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])

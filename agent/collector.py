"""The garbage collector, which is put off while a process starts.

A start makes a hundred thousand objects, code and settings, that stay as long as the process. To look through them
again and again for garbage was a fifth of the processor time that `run` took to its READY=1.
"""

from __future__ import annotations

import gc

AT_START = 100_000  # new objects before it looks for garbage: a command that never resumes is bounded all the same
USUAL = gc.get_threshold()


def put_off() -> None:
    """Begin a process."""
    gc.set_threshold(AT_START)


def resume() -> None:
    """Have it work as usual from now on, and pass over all that is there: called once, when all is imported."""
    gc.freeze()
    gc.set_threshold(*USUAL)

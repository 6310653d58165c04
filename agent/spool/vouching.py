"""Which pictures in the spool are known to be sound without reading them once more.

Each is hashed as it is taken in, and as it goes out: what changed in between must not be sent as it. To hash takes a
tenth of a small picture's time, on a core without instructions for it far more. Where a picture goes out within
moments and its file is in the very state in which it came, that says the same.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.file_state import FileState, file_state

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.spool.records import Mark

VOUCHED_S = 10.0  # beyond that the bytes may have left the memory, and the card has to be asked what it kept
KEPT = 4096  # where more than that wait they are older than that, but for the fastest links
TICK_NS = 50_000_000  # two writes within one tick of the kernel's clock give a file the same times


class Vouching:
    """Remembers the states of files that were just taken in; used by all threads of the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[int, tuple[float, FileState]] = {}

    def vouch(self, item_id: int, state: FileState) -> None:
        """Have an item's file count as sound for a while, as long as its state is this one."""
        with self._lock:
            self._states[item_id] = self._clock.boot() + VOUCHED_S, state
            while len(self._states) > KEPT:
                del self._states[next(iter(self._states))]

    def take(self, item_id: int) -> FileState | None:
        """Return, once, the state in which an item's file is known to be sound; None where it has to be read."""
        with self._lock:
            until, state = self._states.pop(item_id, (0.0, None))
            return state if self._clock.boot() < until else None


def state_written(pathname: str) -> FileState | None:
    """Return the state of a file that the spool has just written itself, and nobody else writes into."""
    with suppress(OSError):
        status = os.lstat(pathname)
        return file_state(status) if _tells(status) else None
    return None


def state_adopted(status: os.stat_result, mark: Mark | None) -> FileState | None:
    """Return the state of a file that was hashed at its `mark`, and has got another name since; None where it is open.

    Another name changes the time of the inode alone.
    """
    if mark is None or not _tells(status):
        return None
    same = (status.st_ino, status.st_size, status.st_mtime_ns) == (mark.inode, mark.size, mark.mtime_ns)
    return file_state(status) if same and status.st_ctime_ns - status.st_mtime_ns > TICK_NS else None


def _tells(status: os.stat_result) -> bool:
    """Tell whether a file lies on a disk's own file system, which this kernel alone writes.

    What has no device of its own may be written by other machines, and be told late.
    """
    return os.major(status.st_dev) != 0

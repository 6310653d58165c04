"""How linked pictures become durable: each by its own flush, or all that come together by one of their file system.

A flush costs a barrier of the disk (2 ms here, 10 ms on an SD card) also where the bytes are long on it, because the
link has changed the file's inode. `syncfs` costs one barrier for a whole batch, names included. It is used where cut
power has shown that it keeps its word: FUSE, for one, hands the bytes on and does not have them flushed. It writes what
others have written as well: where that takes long, files are flushed one by one for a while.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.libc import LIBC, check
from agent.spool.durable import disk_errors, flush, folders_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TELLS_ERRORS = (5, 8)  # before this Linux `syncfs` says yes whatever the disk refused
PROVEN = frozenset({0xEF53, 0x58465342})  # ext4 and xfs, by the number in `statfs`
TOO_LONG_S = 0.5
SHUNNED_S = 60.0
STATFS_BYTES = 256  # more than any architecture's `struct statfs`, which begins with the kind, a long


class Flushing:
    """Chooses the way; one a shelf."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, release: str = os.uname().release) -> None:
        self._clock = clock
        self._tells_errors = tells_errors(release)
        self._shunned_until = float("-inf")

    def run(self, pictures: Sequence[str | Path]) -> set[Path]:
        """Make pictures' bytes durable; return the folders in which their names are, too.

        Raises `SpoolFull` or `SpoolUnavailable`; then none of the pictures may be flushed again.
        """
        together = len(pictures) > 1 and self._tells_errors and self._clock() >= self._shunned_until
        folders = folders_of(pictures) if together else set[Path]()
        flushed = {folder for folder in folders if self._flush_all(folder)}
        if not together or flushed != folders:
            for picture in pictures:
                if Path(picture).parent not in flushed:
                    flush(picture)
        return flushed

    def _flush_all(self, folder: Path) -> bool:
        """Flush a folder's file system, and tell whether that is to be relied on there."""
        with disk_errors("flush the file system of", folder):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if kind_of_file_system(descriptor) not in PROVEN:
                    return False
                began = self._clock()
                syncfs(descriptor)
            finally:
                os.close(descriptor)
        if (ended := self._clock()) - began > TOO_LONG_S:
            self._shunned_until = ended + SHUNNED_S
        return True


def tells_errors(release: str) -> bool:
    """Tell whether `syncfs` of this Linux (`6.1.0-rpi7`) answers for what it could not write."""
    numbers = release.split("-", maxsplit=1)[0].split(".")[:2]
    return all(number.isdecimal() for number in numbers) and tuple(map(int, numbers)) >= TELLS_ERRORS


def kind_of_file_system(descriptor: int) -> int:
    """Return the number by which the kernel knows the kind of an open file's file system."""
    said = ctypes.create_string_buffer(STATFS_BYTES)
    check(LIBC.fstatfs(ctypes.c_int(descriptor), said))
    return ctypes.c_long.from_buffer(said).value & 0xFFFFFFFF


def syncfs(descriptor: int) -> None:
    """Write out the file system of an open file, and wait for it; Python has no call of its own for that."""
    check(LIBC.syncfs(ctypes.c_int(descriptor)))

"""Opens a name below a directory so that it cannot lead out of it: no link on the way, no `..`, no absolute name.

Between the scan that found a file and its opening, whoever writes into a watched directory can put a link in place of
a folder. The kernel refuses that in one call where it has `openat2` (Linux 5.6), and where no sandbox forbids it;
elsewhere each folder is opened from the one above.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import TYPE_CHECKING

from agent.libc import LIBC

if TYPE_CHECKING:
    from pathlib import Path

OPENAT2 = 437  # on every architecture
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
MISSING = frozenset({errno.ENOSYS, errno.EPERM, errno.EAGAIN, errno.EINVAL, errno.E2BIG})
"""It is not there, a sandbox that does not know it forbids it, or a rename got in its way: walk instead."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


SYSCALL = LIBC["syscall"]
SYSCALL.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)
SYSCALL.restype = ctypes.c_long


def open_beneath(root: str | Path, name: str, flags: int) -> int:
    """Open `name` below `root` and return its descriptor; `root` itself may be reached through links.

    Raises `OSError`: `ELOOP` or `ENOTDIR` where a link is in the way, `EXDEV` where the name leads out.
    """
    folder = os.open(root, FOLDER)
    try:
        return open_in(folder, name, flags)
    finally:
        os.close(folder)


def open_in(folder: int, name: str, flags: int) -> int:
    """Open `name` below an open directory, as `open_beneath` does."""
    try:
        return openat2(folder, name, flags)
    except _Unusable:
        return walk(folder, name, flags)


class _Unusable(Exception):
    """The kernel cannot do it in one call."""


def openat2(folder: int, name: str, flags: int) -> int:
    """Open a name below an open directory in one call of the kernel."""
    descriptor: int = SYSCALL(OPENAT2, folder, os.fsencode(name), _how(flags), ctypes.sizeof(_OpenHow))
    if descriptor < 0:
        number = ctypes.get_errno()
        if number in MISSING:
            raise _Unusable
        raise OSError(number, os.strerror(number), name)
    return descriptor


@cache
def _how(flags: int) -> _OpenHow:
    return _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)


def walk(folder: int, name: str, flags: int) -> int:
    """Open a name below an open directory, one folder after the other, following no link."""
    *folders, last = name.split("/")
    if os.pardir in (*folders, last) or name.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    here = os.dup(folder)
    try:
        for part in folders:
            below = os.open(part or os.curdir, FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)

"""How a stranger's file is opened: looked at first, without touching it, then read through the same descriptor."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from agent.errors import Wait
from agent.sources.beneath import open_beneath, open_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

LOOK_FLAGS = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE, errno.EXDEV})


class Vanished(Wait):
    """The file is gone, or another one has its name."""


def open_regular(path: Path) -> AbstractContextManager[tuple[int, os.stat_result]]:
    """Open a regular file, never a link, a pipe or a device.

    Raises `Vanished` where it is none, and `Wait` where it cannot be read.
    """
    return _Regular(str(path), lambda: os.open(path, LOOK_FLAGS))


def open_below(root: str | Path, name: str) -> AbstractContextManager[tuple[int, os.stat_result]]:
    """Open a regular file below a directory, as `open_regular` does, with no link on the way from there either."""
    return _Regular(f"{root}/{name}", lambda: open_beneath(root, name, LOOK_FLAGS))


def open_in_folder(folder: int, name: str) -> AbstractContextManager[tuple[int, os.stat_result]]:
    """Open a regular file below an open directory, as `open_below` does."""
    return _Regular(name, lambda: open_in(folder, name, LOOK_FLAGS))


class _Regular:
    """A regular file, open for a while; `look` returns a descriptor that says only which file it is."""

    def __init__(self, path: str, look: Callable[[], int]) -> None:
        self._path = path
        self._look = look

    def __enter__(self) -> tuple[int, os.stat_result]:
        try:
            # The first descriptor opens nothing: whoever waits at a pipe's other end does not notice it.
            handle = self._look()
            try:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise Vanished(f"{self._path} is no regular file")
                self._descriptor = os.open(f"/proc/self/fd/{handle}", READ_FLAGS)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno in NOT_THERE:
                raise Vanished(f"{self._path} is gone") from error
            raise Wait(f"cannot read {self._path}: {error.strerror}", remedy="Let the agent's user read it.") from error
        return self._descriptor, status

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

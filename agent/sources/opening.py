"""How a stranger's file is opened: looked at first, without touching it, then read through the same descriptor."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.errors import Wait
from agent.sources.beneath import open_beneath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOK_FLAGS = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE, errno.EXDEV})


class Vanished(Wait):
    """The file is gone, or another one has its name."""


@contextmanager
def open_regular(path: Path, root: Path | None = None) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file, never a link, a pipe or a device; with `root`, no link on the way from there either.

    Raises `Vanished` where it is none, and `Wait` where it cannot be read.
    """
    # The first descriptor opens nothing: whoever waits at a pipe's other end does not notice it.
    with _opened(path, lambda: _look(path, root)) as handle:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Vanished(f"{path} is no regular file")
        with _opened(path, lambda: os.open(f"/proc/self/fd/{handle}", READ_FLAGS)) as descriptor:
            yield descriptor, os.fstat(descriptor)


def _look(path: Path, root: Path | None) -> int:
    if root is None:
        return os.open(path, LOOK_FLAGS)
    return open_beneath(root, str(path.relative_to(root)), LOOK_FLAGS)


@contextmanager
def _opened(path: Path, opener: Callable[[], int]) -> Iterator[int]:
    try:
        descriptor = opener()
    except OSError as error:
        if error.errno in NOT_THERE:
            raise Vanished(f"{path} is gone") from error
        raise Wait(f"cannot read {path}: {error.strerror}", remedy="Let the agent's user read it.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)

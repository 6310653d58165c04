"""What tells one state of a file from another without reading it: which file it is, its size, and both its times."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import os

FileState: TypeAlias = tuple[int, int, int, int, int]


def file_state(status: os.stat_result) -> FileState:
    """Return what changes when a file's bytes do, whoever writes them and sets its times."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

"""Files that survive a power cut: write, fsync, rename, fsync the directory.

An fsync that failed is never tried again on the same file: the kernel may have thrown the dirty pages away and
answer the second call with success (seen on ext4 and xfs). The caller writes a new file instead.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import SpoolFull, SpoolUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.errors import AgentError

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def disk_errors(doing: str, path: str | Path) -> Iterator[None]:
    """Translate what the file system refuses: no space is `SpoolFull`, anything else `SpoolUnavailable`."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, doing, path) from error


def disk_error(error: OSError, doing: str, path: str | Path) -> AgentError:
    """Make the agent's own error of what the file system answers, as `disk_errors` raises it."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in NO_SPACE:
        return SpoolFull(f"cannot {doing} {path}: {reason}", remedy="Free some space on that disk.")
    return SpoolUnavailable(f"cannot {doing} {path}: {reason}", remedy="Check the disk and its mount.")


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    with disk_errors("flush the directory", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def folders_of(paths: Iterable[str | Path]) -> set[Path]:
    """Return the directories in which files lie: most have the same, and texts are told apart sooner than paths."""
    return {Path(folder) for folder in {str(path).rpartition("/")[0] for path in paths}}


def make_directory(path: Path) -> None:
    """Create a directory with its parents, private to this user, each name durable."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with disk_errors("create the directory", path):
        path.mkdir(mode=0o700, exist_ok=True)
    fsync_directory(path.parent)


def write_file(temporary: Path, target: Path, pieces: Iterable[bytes]) -> None:
    """Write `pieces` under a temporary name, flush them, and move the file to `target`, replacing what is there.

    The target's directory still has to be flushed, by the caller, once for all files that go into it. Whatever
    interrupts the pieces, nothing stays behind.
    """
    with disk_errors("write", target):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                for piece in pieces:
                    _write_all(descriptor, piece)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.rename(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def link_through(descriptor: int, target: str | Path) -> None:
    """Give the very file behind `descriptor` a second name, without flushing it.

    The link goes through the descriptor, not through the path: whatever is put under the old name meanwhile
    cannot slip in between the check and the link. Raises the bare `OSError`, whose number decides what to try next.
    """
    # Without a directory descriptor CPython calls link(2), which would link the entry of /proc itself.
    os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=descriptor, follow_symlinks=True)


def flush(path: str | Path) -> None:
    """Make a file's bytes durable; raises `SpoolFull` or `SpoolUnavailable`, and then is never asked again."""
    with disk_errors("flush", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def remove(path: str | Path) -> None:
    """Remove a file; one that is gone already is fine."""
    try:
        os.unlink(path)  # noqa: PTH108 (most are no Path, and need not become one)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise disk_error(error, "remove", path) from error

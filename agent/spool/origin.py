"""What delivery does to the original file: nothing, unless its owner said so, and never to any other file.

A name is no proof: a camera program may have put a new picture there a moment ago. So the file is first taken aside
by rename, then looked at, and put back where it is not the very file that was delivered (I1).
"""

from __future__ import annotations

import errno
import os
import shutil
from itertools import count
from typing import TYPE_CHECKING

from agent.spool.durable import disk_errors, fsync_directory, make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.frame import Origin

# What `link` answers where a rename still works: protected_hardlinks, or a file system without links.
UNLINKABLE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def finish(origin: Origin) -> bool:
    """Delete or move a delivered original, if it is still the file that was delivered; tell whether it was.

    Raises `SpoolUnavailable` when the directory or the target refuses it; trying again later is safe.
    """
    if origin.after == "keep":
        return False
    with disk_errors("take away the delivered", origin.path):
        aside = _take_aside(origin)
        if aside is None:
            return False
        # While the picture still lies aside, a run that is cut off here comes back to both.
        if origin.sidecar is not None:
            finish(origin.sidecar)
        if origin.after == "move" and origin.move_to is not None:
            _move(aside, origin.move_to, origin.path.name)
        else:
            aside.unlink()
    return True


def _is(path: Path, origin: Origin) -> bool:
    status = path.lstat()
    return (status.st_ino, status.st_size, status.st_mtime_ns) == (origin.inode, origin.size, origin.mtime_ns)


def _take_aside(origin: Origin) -> Path | None:
    """Rename the original to a hidden name beside it; return that name if it is the delivered file."""
    # The time belongs to it: the inode of a file that is gone soon names another one.
    aside = origin.path.with_name(f".acusight-agent-{origin.inode}-{origin.mtime_ns}")
    try:
        # A look before the rename leaves a file that was replaced long ago alone; the one after it decides.
        if _is(origin.path, origin):
            origin.path.rename(aside)
    except FileNotFoundError:
        pass  # gone; a run that was cut off here has taken it aside already
    try:
        if _is(aside, origin):
            return aside
    except FileNotFoundError:
        return None
    _put_back(aside, origin.path)
    return None


def _put_back(aside: Path, path: Path) -> None:
    """Give a file its name back, or one like it, without replacing what took the name meanwhile."""
    for target in _names(path):
        try:
            os.link(aside, target)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in UNLINKABLE:
                raise
            # Better a moment in which the name may be taken than a file that nobody finds again.
            if os.path.lexists(target):
                continue
            aside.rename(target)
        else:
            aside.unlink()
        return


def _move(aside: Path, folder: Path, name: str) -> None:
    """Move a file into `folder` under a free name, also across file systems."""
    make_directory(folder)
    try:
        _put_back(aside, folder / name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(aside, folder, name)


def _copy_over(aside: Path, folder: Path, name: str) -> None:
    """Copy a file into a `folder` of another file system, durable before the old name goes."""
    copy = folder / aside.name
    try:
        shutil.copy2(aside, copy)
        with copy.open("rb") as stream:
            os.fsync(stream.fileno())
        copy.rename(next(target for target in _names(folder / name) if not os.path.lexists(target)))
    except OSError:
        copy.unlink(missing_ok=True)
        raise
    fsync_directory(folder)
    aside.unlink()


def _names(path: Path) -> Iterator[Path]:
    """Yield `path`, then the same with -1, -2 and so on before its ending."""
    yield path
    for number in count(1):
        yield path.with_stem(f"{path.stem}-{number}")

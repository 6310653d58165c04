"""Who owns a spool: one daemon at a time, by a lock that the kernel takes back from the dead."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent.errors import SpoolTaken
from agent.spool.durable import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "lock"
INTAKE_LOCK = "intake.lock"
INTAKE_PATIENCE = 100  # tenths of a second


def own(directory: Path, note: str) -> int:
    """Take the owner's lock, and leave a note in it for those who look; return its descriptor.

    Raises `SpoolTaken` where another owner runs.
    """
    path = directory / LOCK
    with disk_errors("lock", path), _open_lock(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolTaken(
                f"another agent (pid {owner_note(directory).get('pid', 'unknown')}) already uses the spool {directory}",
                remedy="Stop it first, or give this one a spool.dir of its own.",
            ) from None
        # Over the old one, so that a full disk has room for it, too.
        os.pwrite(descriptor, note.encode(), 0)
        os.ftruncate(descriptor, len(note.encode()))
        return descriptor


def lock_intake(directory: Path, *, exclusive: bool) -> int:
    """Wait until no other process is in the middle of a put (the owner), or keep the owner from assuming so."""
    path = directory / INTAKE_LOCK
    mode = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    patience = threading.Event()  # never set: a wait
    with disk_errors("lock", path), _open_lock(path) as descriptor:
        for _ in range(INTAKE_PATIENCE):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, mode)
                return descriptor
            patience.wait(0.1)
        raise SpoolTaken(
            f"another process is still putting pictures into {directory}", remedy="Try again when it is done."
        )


@contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    """Open a lock file, and close it again (so nothing stays locked) only where taking it fails."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    except BaseException:
        os.close(descriptor)
        raise


def owner_note(directory: Path) -> dict[str, object]:
    """Return what the present or last owner wrote about itself; empty where nothing can be read."""
    try:
        note = json.loads((directory / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def is_owned(directory: Path) -> bool:
    """Tell whether an owner runs on this spool now."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

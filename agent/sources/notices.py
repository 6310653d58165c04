"""File events of a watched directory, as a hint: inotify queues overflow silently, so the rescan is the truth."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.observers.api import BaseObserver

log = structlog.get_logger(__name__)

BOUND = 16_384
EVENTS = [FileCreatedEvent, FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent]


class Notices(FileSystemEventHandler):
    """Collects the relative paths of files that appeared or were closed; `ring` is called for each.

    Nothing is watched before the first `ensure`. Where there were more than fit, or a whole directory moved in, a
    scan has to look. What happens in `sister`, a folder of sidecars that lies elsewhere, is told by the way there
    (`../labels/a.txt`). Where the kernel grants no watch (its limit is reached, the file system has none) the scans
    alone find new files.
    """

    def __init__(self, root: Path, sister: Path | None = None, *, recursive: bool, ring: Callable[[], None]) -> None:
        self._root = root
        self._sister = sister
        self._recursive = recursive
        self._ring = ring
        self._paths: deque[str] = deque()
        self._lock = threading.Lock()
        self._overflowed = False
        self._observer: BaseObserver | None = None
        self._watched: tuple[str, int, int] | None = None
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._unwatch()

    def ensure(self) -> None:
        """Watch the directory that is there now: it may have come late, or been removed and made again.

        To be called before each scan, so that nothing falls between the scan and the first event.
        """
        found = _identity(self._root)
        if self._observer is not None:
            # A removed directory may have left its inode number to the next one; but its emitter has ended.
            if found == self._watched and all(emitter.is_alive() for emitter in self._observer.emitters):
                return
            self._unwatch()
        if found is not None:
            self._watch(found)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note where something new may be; called in watchdog's thread."""
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        name = self._relative(os.fsdecode(event.dest_path if moved else event.src_path))
        if name is None or (event.is_directory and not self._recursive):
            return
        with self._lock:
            if event.is_directory or len(self._paths) >= BOUND:
                self._overflowed = True
            else:
                self._paths.append(name)
        self._ring()

    def take(self) -> list[str]:
        """Return what was noticed since the last call."""
        with self._lock:
            paths = list(dict.fromkeys(self._paths))
            self._paths.clear()
        return paths

    def take_overflow(self) -> bool:
        """Tell, once, whether a scan has to look."""
        with self._lock:
            overflowed, self._overflowed = self._overflowed, False
        return overflowed

    def _watch(self, found: tuple[str, int, int]) -> None:
        self._watched = found
        try:
            self._observer = Observer()
            self._observer.schedule(self, found[0], recursive=self._recursive, event_filter=list(EVENTS))
            self._watch_sister()
            self._observer.start()
            self._said = ""
        except OSError as error:
            self._unwatch()
            self._say(error.strerror or str(error))

    def _watch_sister(self) -> None:
        """Hear of the sister folder's files, too; where that is not to be had, their pictures wait a little longer."""
        if self._sister is not None and self._observer is not None and self._sister.is_dir():
            with suppress(OSError):
                self._observer.schedule(self, str(self._sister), recursive=self._recursive, event_filter=list(EVENTS))

    def _unwatch(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            # Also one that never started: a part of it did.
            observer.stop()
            if observer.is_alive():
                observer.join(timeout=2.0)

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            log.warning(
                "events_unavailable",
                path=str(self._root),
                reason=reason,
                remedy="raise fs.inotify.max_user_watches and max_user_instances; until then new files wait for the "
                "rescan",
            )

    def _relative(self, path: str) -> str | None:
        """Return a path relative to the root; None outside of it, and where any part of it is hidden."""
        base = self._watched[0] if self._watched else str(self._root)
        if self._sister is not None and Path(path).is_relative_to(self._sister):
            return os.path.relpath(path, self._root)
        if not Path(path).is_relative_to(base):
            return None
        name = str(Path(path).relative_to(base))
        return None if name.startswith(".") or "/." in name else name


def _identity(root: Path) -> tuple[str, int, int] | None:
    """Return what tells one directory from a later one of its name, and where it really is; None where none is.

    Not through a link: inotify would watch the link itself. Unreadable is as good as away: watchdog takes the
    kernel's EACCES for success.
    """
    real = Path(os.path.realpath(root))
    try:
        status = real.stat()
    except OSError:
        return None
    return (str(real), status.st_dev, status.st_ino) if os.access(real, os.R_OK, effective_ids=True) else None

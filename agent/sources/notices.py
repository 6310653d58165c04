"""File events of a watched directory, as a hint: inotify queues overflow silently, so the rescan is the truth."""

from __future__ import annotations

import os
import threading
from collections import deque
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

log = structlog.get_logger(__name__)

BOUND = 16_384
EVENTS = [FileCreatedEvent, FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent]


class Notices(FileSystemEventHandler):
    """Collects the relative paths of files that appeared or were closed; `ring` is called for each.

    `overflowed` is set when there were more than fit, or a whole directory moved in: then a scan has to look. Where
    the kernel grants no watch (its limit is reached, the file system has none) the scans alone find new files.
    """

    def __init__(self, root: Path, *, recursive: bool, ring: Callable[[], None]) -> None:
        self._root = root
        self._recursive = recursive
        self._ring = ring
        self._paths: deque[str] = deque()
        self._lock = threading.Lock()
        self.overflowed = False
        self._observer = Observer()

    def __enter__(self) -> Self:
        try:
            self._observer.schedule(self, str(self._root), recursive=self._recursive, event_filter=list(EVENTS))
            self._observer.start()
        except OSError as error:
            log.warning(
                "events_unavailable",
                path=str(self._root),
                reason=error.strerror,
                remedy="raise fs.inotify.max_user_watches; until then new files wait for the rescan",
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=2.0)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note where something new may be; called in watchdog's thread."""
        moved = isinstance(event, FileMovedEvent | DirMovedEvent)
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        with self._lock:
            if event.is_directory or len(self._paths) >= BOUND:
                self.overflowed = True
            elif Path(path).is_relative_to(self._root):
                self._paths.append(str(Path(path).relative_to(self._root)))
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
            overflowed, self.overflowed = self.overflowed, False
        return overflowed

"""What lies in a watched directory: plain files whose names fit, found without following any link."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from typing import TYPE_CHECKING

import structlog

from agent.annotations.pairing import is_sidecar
from agent.errors import Wait
from agent.sources.settle import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

IGNORED_SUFFIXES = (".tmp", ".part")
REMEMBERED_CLOSED = 1000
LARGEST = 2**63 - 1


class Listing:
    """Walks a directory piece by piece; names are relative to it."""

    def __init__(self, root: Path, patterns: Sequence[str], *, recursive: bool) -> None:
        self.root = root
        self._root = str(root)  # joined by hand: a Path a look is half of what a scan costs
        self.recursive = recursive
        self._wanted = re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))
        self._closed: set[str] = set()

    def wants(self, name: str) -> bool:
        """Tell whether a name is one to take: it fits a pattern, and no part of it is hidden or unfinished."""
        parts = name.split("/")
        if any(part.startswith(".") for part in parts) or (len(parts) > 1 and not self.recursive):
            return False
        last = parts[-1].lower()
        return not last.endswith(IGNORED_SUFFIXES) and not is_sidecar(last) and self._wanted.match(last) is not None

    def walk(self) -> Iterator[tuple[str, Sighting]]:
        """Yield every wanted regular file once; raises `Wait` where the directory itself cannot be listed."""
        folders = [""]
        while folders:
            below = folders.pop()
            try:
                yield from self._list(below, folders)
                self._closed.discard(below)
            except OSError as error:
                self._miss(below, error)

    def look(self, name: str) -> Sighting | None:
        """Return what a name stands for now; None where it is no regular file any more."""
        return sighting_of(f"{self._root}/{name}")

    def is_gone(self, name: str) -> bool:
        """Tell whether nothing has this name; where that cannot be seen, it is not gone."""
        try:
            os.lstat(f"{self._root}/{name}")
        except OSError as error:
            return isinstance(error, FileNotFoundError)
        return False

    def _list(self, below: str, folders: list[str]) -> Iterator[tuple[str, Sighting]]:
        with os.scandir(self.root / below) as entries:
            for entry in entries:
                name = f"{below}{entry.name}"
                found = self.look(name) if self.wants(name) else None
                if found is not None:
                    yield name, found
                elif self.recursive and not entry.name.startswith(".") and _is_folder(entry):
                    folders.append(f"{name}/")

    def _miss(self, below: str, error: OSError) -> None:
        """Raise for the directory itself; a folder in it that is closed to us is said once, and the others go on."""
        if not below:
            raise Wait(
                f"cannot list {self.root}: {error.strerror}",
                remedy="Create the directory, or let the agent's user read it.",
            ) from error
        if not isinstance(error, FileNotFoundError) and below not in self._closed:
            if len(self._closed) < REMEMBERED_CLOSED:
                self._closed.add(below)
            log.warning("folder_unreadable", path=str(self.root / below), reason=error.strerror)


def sighting_of(path: str) -> Sighting | None:
    """Return what a path stands for now; None where it is no regular file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return sighting(status) if stat.S_ISREG(status.st_mode) else None


def sighting(status: os.stat_result) -> Sighting:
    """Make a sighting of what the kernel says; times that no index can hold are brought to its edge."""
    return Sighting(status.st_ino, status.st_size, max(-LARGEST, min(status.st_mtime_ns, LARGEST)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False

"""What lies in a watched directory: plain files whose names fit, found without following any link."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from typing import TYPE_CHECKING

from agent.annotations.pairing import sidecar_names
from agent.errors import Wait
from agent.sources.settle import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

IGNORED_SUFFIXES = (".tmp", ".part")


class Listing:
    """Walks a directory piece by piece; names are relative to it."""

    def __init__(self, root: Path, patterns: Sequence[str], *, recursive: bool) -> None:
        self.root = root
        self.recursive = recursive
        self._wanted = re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))

    def wants(self, name: str) -> bool:
        """Tell whether a name is one to take: it fits a pattern, and no part of it is hidden or unfinished."""
        parts = name.split("/")
        if any(part.startswith(".") for part in parts) or (len(parts) > 1 and not self.recursive):
            return False
        last = parts[-1].lower()
        return not last.endswith(IGNORED_SUFFIXES) and self._wanted.match(last) is not None

    def walk(self) -> Iterator[tuple[str, Sighting]]:
        """Yield every wanted regular file once; raises `Wait` where the directory itself cannot be listed."""
        yield from self._walk("")

    def look(self, name: str) -> Sighting | None:
        """Return what a name stands for now; None where it is no regular file any more."""
        try:
            status = (self.root / name).lstat()
        except OSError:
            return None
        return sighting(status) if stat.S_ISREG(status.st_mode) else None

    def look_beside(self, name: str) -> Sighting | None:
        """Return what the sidecar of a picture stands for now; None where it has none."""
        folder, _, last = name.rpartition("/")
        for candidate in sidecar_names(last):
            found = self.look(f"{folder}/{candidate}" if folder else candidate)
            if found is not None:
                return found
        return None

    def _walk(self, below: str) -> Iterator[tuple[str, Sighting]]:
        folders: list[str] = []
        try:
            entries = os.scandir(self.root / below)
        except OSError as error:
            if below:
                return  # a folder that went away or is closed to us; the others go on
            raise Wait(
                f"cannot list {self.root}: {error.strerror}",
                remedy="Create the directory, or let the agent's user read it.",
            ) from error
        with entries:
            for entry in entries:
                name = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if self.recursive and not entry.name.startswith("."):
                        folders.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False) and self.wants(name):
                    found = self.look(name)
                    if found is not None:
                        yield name, found
        for folder in folders:
            yield from self._walk(folder)


def sighting(status: os.stat_result) -> Sighting:
    """Make a sighting of what the kernel says."""
    return Sighting(status.st_ino, status.st_size, status.st_mtime_ns)

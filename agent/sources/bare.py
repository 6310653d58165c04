"""Folders in which nothing can be a sidecar: there the pictures of a backlog need not be looked beside one by one.

To look for six names twice is a tenth of what it takes to take a picture in. Whatever is put into a folder changes its
time, so one listing without a sidecar says of all its pictures that they have none, for as long as that is the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.annotations.pairing import is_sidecar
from agent.file_state import FileState, file_state

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from agent.clock import Clock

MANY = 64  # looks before a folder is listed: where pictures come one by one, that would cost more than it saves
MOST = 50_000  # names of a listing
REST_S = 1.0  # a folder that changed in this moment may do so again within one tick of the kernel's clock
FOLDERS = 256


class BareFolders:
    """Knows which folders below `root` hold no sidecar now; `has` is asked once for each look beside a picture."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = str(root)
        self._clock = clock
        self._looks: dict[str, int] = {}
        self._listed: dict[str, tuple[FileState, bool]] = {}

    def has(self, folder: str) -> bool:
        """Tell whether a folder is known to have no sidecar; only where many looks were taken is that found out."""
        looks = self._looks.get(folder, 0) + 1
        if len(self._looks) >= FOLDERS and folder not in self._looks:
            self._looks.clear()
            self._listed.clear()
        self._looks[folder] = looks
        if looks < MANY:
            return False
        try:
            return self._looked_up(folder, f"{self._root}/{folder}", again=looks % MANY == 0)
        except OSError:
            return False

    def _looked_up(self, folder: str, place: str, *, again: bool) -> bool:
        state = file_state(os.stat(place))  # noqa: PTH116 (a Path a look is half of what this saves)
        listed, bare = self._listed.get(folder, (None, False))
        if listed == state:
            return bare
        if again and is_telling(state, self._clock.wall()):
            bare = _has_none(place)
            if file_state(os.stat(place)) == state:  # noqa: PTH116
                self._listed[folder] = state, bare
                return bare
        return False


def is_telling(state: FileState, now: datetime) -> bool:
    """Tell whether a folder in this state would be in another one after any change.

    Only a disk's own file system says so at once, and only where the last change was not a moment ago.
    """
    device, _, _, mtime_ns, ctime_ns = state
    return os.major(device) != 0 and abs(now.timestamp() - max(mtime_ns, ctime_ns) / 1e9) > REST_S


def _has_none(place: str) -> bool:
    """Tell whether a folder has no sidecar: the first one that is met, or one name too many, ends the listing."""
    with os.scandir(place) as entries:
        return not any(number > MOST or is_sidecar(entry.name) for number, entry in enumerate(entries, 1))

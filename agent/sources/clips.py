"""The video files behind a file source: which they are, what tells each from another, how far each was read."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from agent.errors import Reject
from agent.frame import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.sources.feeds import Shot

ATTEMPTS = 3
"""A file at which the grabber dies so often without another frame is given up."""


def files(target: str) -> list[str]:
    """Return the files of a path or glob as absolute paths, sorted; raises `Reject` where there is none."""
    literal = Path(target).absolute()
    try:
        names = [str(literal)] if literal.exists() else glob.glob(str(literal), recursive=True)  # noqa: PTH207 (absolute)
        found = sorted(name for name in names if Path(name).is_file())
    except OSError as error:
        raise Reject(f"{target} cannot be looked at: {error.strerror}") from None
    if not found:
        raise Reject(f"no file matches {target}", remedy="Check the camera's source.")
    return found


@dataclass
class Clip:
    """One video file and how far it was read.

    `fingerprint` is inode, size and modification time: a file that changed is another file, read from its start.
    """

    path: str
    fingerprint: str
    mtime: float
    next_frame: int = 0
    _tries: int = field(default=0, repr=False)
    _tried_at: int = field(default=-1, repr=False)

    @classmethod
    def of(cls, path: str, resume: Callable[[str, str], Position | None]) -> Clip | None:
        """Return the clip as an earlier run left it, None where that run reached its end.

        Raises `Reject` where it is no file that may be read.
        """
        try:
            facts = Path(path).stat()
        except OSError as error:
            raise Reject(f"{path} cannot be read: {error.strerror}") from None
        if not S_ISREG(facts.st_mode):
            raise Reject(f"{path} is no file")
        fingerprint = f"{facts.st_ino}/{facts.st_size}/{facts.st_mtime_ns}"
        position = resume(path, fingerprint)
        if position and position.ended:
            return None
        return cls(path, fingerprint, facts.st_mtime, position.next_frame if position else 0)

    def position_after(self, shot: Shot) -> Position:
        """Return how far the file is read once this frame is taken."""
        return Position(self.path, self.fingerprint, shot.next_frame, shot.ended)

    def try_again(self) -> None:
        """Count an attempt to read on; one that follows progress is the first again."""
        self._tries = self._tries + 1 if self._tried_at == self.next_frame else 1
        self._tried_at = self.next_frame

    def hopeless(self) -> bool:
        """Tell whether enough attempts in a row brought no frame."""
        return self._tries >= ATTEMPTS

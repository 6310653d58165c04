"""Whether the spool that is open is still the one that lies in its place, and still takes anything.

A disk can be taken away, exchanged, or fail for good from under open files. Each is mended by opening the spool anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import SpoolUnavailable
from agent.spool.schema import INDEX

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock
    from agent.spool.commits import Commits

LET_GO_S = 10.0


class SpoolReplaced(SpoolUnavailable):
    """The disk under the spool was exchanged while it was open; opening it anew is all that it takes."""


class SpoolFailing(SpoolUnavailable):
    """The disk has refused every write for long; only once nothing holds it can somebody mount it again."""


class Place:
    """Watches over the place of one open spool; opened as soon as the index is, for it remembers which one that was."""

    def __init__(self, directory: Path, commits: Commits, *, clock: Clock) -> None:
        self._directory = directory
        self._commits = commits
        self._clock = clock
        self._identity = _identity(directory)
        self._failing_since: float | None = None

    def check(self) -> None:
        """Raise `SpoolReplaced` where another spool has taken this one's place, `SpoolUnavailable` where none is there.

        And `SpoolFailing` where this one has refused every write for `LET_GO_S`.
        """
        self._check_writing()
        found = _identity(self._directory)
        if found is None:
            raise SpoolUnavailable(f"the spool {self._directory} is gone", remedy="Mount its disk again.")
        if found != self._identity:
            raise SpoolReplaced(f"{self._directory} is another spool by now", remedy="It is opened anew.")

    def _check_writing(self) -> None:
        if not self._commits.failing:
            self._failing_since = None
            return
        now = self._clock.boot()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since >= LET_GO_S:
            raise SpoolFailing(
                f"the disk of {self._directory} has refused every write for {LET_GO_S:.0f} s",
                remedy="Check it and mount it again; the agent has let go of it and opens the spool once it can.",
            )


def _identity(directory: Path) -> tuple[int, int] | None:
    """Return what tells an index from another in its place; None where there is none to be seen."""
    try:
        status = (directory / INDEX).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

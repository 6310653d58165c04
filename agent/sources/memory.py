"""What the spool remembers of a watched directory's files: which were captured, and for how long that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.sources.listing import Listing
    from agent.sources.settle import Sighting
    from agent.spool.records import Known
    from agent.spool.spool import Spool

REMEMBERED = 200_000
PIECE = 256  # names asked of the spool in one question


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known under a file's name, and the digest of the very file under whatever name it was captured."""

    known: Known | None
    renamed: str | None = None


class Memory:
    """Knows what was captured before, by asking the spool; nothing of it is held here."""

    def __init__(self, source: str, listing: Listing, spool: Spool) -> None:
        self._source = source
        self._listing = listing
        self._spool = spool
        self._witness: str | None = None

    def of(self, names: list[str]) -> dict[str, Known]:
        """Return what is remembered of files by these names."""
        return self._spool.history.known(self._source, names)

    def met(self, files: list[tuple[str, Sighting]]) -> dict[str, Remembered]:
        """Return what is remembered of these files, by their names or, under other ones, by themselves."""
        known = self.of([name for name, _ in files])
        marks = {name: (seen.inode, seen.size, seen.mtime_ns) for name, seen in files}
        renamed = self._spool.history.known_files(self._source, marks.values())
        return {name: Remembered(known.get(name), renamed.get(mark)) for name, mark in marks.items()}

    def unknown(self, piece: list[tuple[str, Sighting]]) -> list[tuple[str, Sighting]]:
        """Return the files of a walk that were not captured as they are now."""
        known = self.of([name for name, _ in piece])
        self._witness = next(iter(known), self._witness)
        return [(name, seen) for name, seen in piece if name not in known or not is_at(known[name], seen)]

    def forget_gone(self, goes_on: Callable[[], bool]) -> None:
        """Where very much is remembered, forget the files that are no more; to be called at the end of a walk.

        A captured file that was met must still be there: the files of a disk that is not mounted are not gone, and
        would all be sent once more.
        """
        if self._witness is None or self._spool.history.known_count(self._source) <= REMEMBERED:
            return
        after = ""
        while goes_on() and (names := self._spool.history.known_names(self._source, after, PIECE)):
            after = names[-1]
            gone = [name for name in names if self._listing.is_gone(name)]
            if self._listing.look(self._witness) is None:
                return
            if gone:
                self._spool.history.forget(self._source, gone)


def is_at(known: Known, seen: Sighting) -> bool:
    """Tell whether a file is as it was when it was captured."""
    return known.is_at(seen.inode, seen.size, seen.mtime_ns)

"""What was captured before: watched files by name and inode, video files by how far they were read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.frame import Position
from agent.spool.records import Known, read_inode, stored_inode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.spool.commits import Commits
    from agent.spool.reader import Reader


class History:
    """Remembers it, so that a file that stays where it is goes in once; a put writes it with its item."""

    def __init__(self, commits: Commits, reader: Reader) -> None:
        self._commits = commits
        self._reader = reader

    def known(self, source: str, paths: Sequence[str]) -> dict[str, Known]:
        """Return what is remembered of those paths that were captured, or skipped, before."""
        encoded = [path.encode("utf-8", "surrogateescape") for path in paths]
        marks = ", ".join("?" * len(encoded))
        rows = self._reader.all(
            f"SELECT path, inode, size, mtime_ns, sha256, skipped FROM known WHERE source = ? AND path IN ({marks})",  # noqa: S608 (only question marks are put in)
            source,
            *encoded,
        )
        return {
            os.fsdecode(row["path"]): Known(
                read_inode(row["inode"]), row["size"], row["mtime_ns"], row["sha256"], row["skipped"]
            )
            for row in rows
        }

    def known_names(self, source: str, after: str, limit: int) -> list[str]:
        """Return the next remembered paths of a source behind `after`, in the order of their bytes."""
        rows = self._reader.all(
            "SELECT path FROM known WHERE source = ? AND path > ? ORDER BY path LIMIT ?",
            source,
            after.encode("utf-8", "surrogateescape"),
            limit,
        )
        return [os.fsdecode(row["path"]) for row in rows]

    def known_count(self, source: str) -> int:
        """Return how many paths of a source are remembered."""
        row = self._reader.one("SELECT count(*) FROM known WHERE source = ?", source)
        return 0 if row is None else int(row[0])

    def known_files(self, source: str, files: Iterable[tuple[int, int, int]]) -> dict[tuple[int, int, int], str]:
        """Return the sha256 of those files, by inode, size and time, that were captured, whatever their names now."""
        asked = set(files)
        inodes = [stored_inode(inode) for inode, _, _ in asked]
        marks = ", ".join("?" * len(inodes))
        rows = self._reader.all(
            f"SELECT inode, size, mtime_ns, sha256 FROM known WHERE inode IN ({marks}) AND source = ?",  # noqa: S608 (only question marks are put in)
            *inodes,
            source,
        )
        found = {(read_inode(row["inode"]), row["size"], row["mtime_ns"]): str(row["sha256"]) for row in rows}
        return {file: found[file] for file in asked & found.keys()}

    def forget(self, source: str, paths: Sequence[str]) -> None:
        """Drop the memory of watched files that are gone."""
        encoded = [(source, path.encode("utf-8", "surrogateescape")) for path in paths]
        self._commits.run(
            lambda connection: connection.executemany("DELETE FROM known WHERE source = ? AND path = ?", encoded)
        )

    def progress(self, source: str, path: str, fingerprint: str) -> Position | None:
        """Return how far a file source was read, if it is still the same file."""
        row = self._reader.one(
            "SELECT next_frame, ended FROM progress WHERE source = ? AND path = ? AND fingerprint = ?",
            source,
            path,
            fingerprint,
        )
        return None if row is None else Position(path, fingerprint, row["next_frame"], bool(row["ended"]))

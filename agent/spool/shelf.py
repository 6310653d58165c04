"""Where the pictures of the spool lie: plain files, a thousand to a folder, named as they will be uploaded.

A watched file is adopted by a second hard link, so its bytes are not written again. Bind mounts of a hardened unit
answer EXDEV even on one disk; then the link goes into a hidden folder of the watched directory. Where the kernel or
the file system refuses that too, the file is copied.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import SpoolUnavailable, Wait
from agent.spool.durable import disk_error, disk_errors, link_through, make_directory, write_file
from agent.spool.filenames import parse_filename, sidecar_path
from agent.spool.flushing import Flushing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.spool.records import Draft, Opened, OpenedSidecar

HIDDEN = ".acusight-agent"
FOLDER_ITEMS = 1000
COPY_PIECE = 262_144

# What `link` answers where linking will never work for this file, and what a person can do about it.
REFUSALS = {
    errno.EPERM: "the kernel allows links only to files the agent may write (fs.protected_hardlinks); "
    "give its user write access to the files, or run it as their owner",
    errno.EACCES: "the agent may not write there; give its user write access to the directory",
    errno.EROFS: "the directory is mounted read-only; mount it writable",
    errno.EXDEV: "the spool is on another mount; put spool.dir on the same one",
    errno.EMLINK: "the file has too many links",
    errno.EOPNOTSUPP: "the file system knows no hard links",
    errno.ENOSYS: "the file system knows no hard links",
}

REWRITTEN = "the file is rewritten in place, so its versions are kept as copies"
UNFLUSHED = "the disk failed to flush a file; asked again it may say yes without the bytes, so files are kept as copies"


class Shelf:
    """Puts pictures under `root/items`, durable but for their directory's entry, which the commit flushes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.items = root / "items"
        self.temporary = root / "tmp"
        self._flushing = Flushing()
        self._doubt: str | None = None

    def prepare(self) -> None:
        """Create the folders."""
        make_directory(self.items)
        make_directory(self.temporary)

    def clear(self) -> None:
        """Remove what an earlier run did not finish writing; nobody else may be writing now."""
        with disk_errors("clear", self.temporary):
            for leftover in self.temporary.iterdir():
                leftover.unlink()

    def next_free(self) -> int:
        """Return the first sequence number above those of all pictures that lie here, whatever the index says."""
        with disk_errors("list", self.items):
            folders = [folder for folder in self.items.iterdir() if folder.name.isdecimal() and folder.is_dir()]
            for folder in sorted(folders, key=lambda folder: int(folder.name), reverse=True):
                parsed = (parse_filename(path.name) for path in folder.iterdir())
                if found := [sequence for _, _, sequence in filter(None, parsed)]:
                    return max(found) + 1
        return 1

    def write(self, sequence: int, filename: str, data: bytes) -> str:
        """Write a picture from memory."""
        target = self._place(self.items, sequence, filename)
        write_file(self.temporary / filename, Path(target), (data,))
        return target

    def adopt(
        self, sequence: int, filename: str, opened: Opened, draft: Draft, before_copy: Callable[[], None]
    ) -> tuple[str, str | None]:
        """Take over a checked file; return its place, and why it had to be copied where it was.

        Raises `Wait` when the copied bytes are no longer those that were seen, and what `before_copy` raises.
        """
        target = self._place(self.items, sequence, filename)
        because = REWRITTEN if opened.copy else self._doubt or _link(opened.descriptor, target)
        if because is not None and opened.hidden is not None and because == REFUSALS[errno.EXDEV]:
            target = f"{opened.hidden}/{_folder(sequence)}/{filename}"
            because = _link_beside(opened.descriptor, target)
        if because is not None:
            before_copy()
            target = self._place(self.items, sequence, filename)
            write_file(self.temporary / filename, Path(target), _same(opened.descriptor, draft, filename))
        return target, because

    def flush(self, pictures: Sequence[str | Path]) -> set[Path]:
        """Make linked pictures' bytes durable, before their rows commit; return the folders flushed along with them.

        Done for a whole batch at once, behind all its links: each link changes its file's inode, and the first flush
        writes the file system's journal for all of them. Raises `SpoolUnavailable` where the disk fails; asked again
        it may say yes without the bytes, so from then on files are copied.
        """
        try:
            return self._flushing.run(pictures)
        except Wait:
            self._doubt = UNFLUSHED
            raise

    def lay_beside(self, picture: str, sidecar: OpenedSidecar | None) -> Path | None:
        """Link a sidecar beside its picture, or write its part of one.

        Only salvage reads it, so a refusal costs nothing now, and a part is not flushed: it is a second copy of what
        the index holds, for the one case that the index is lost.
        """
        if sidecar is None:
            return None
        beside = sidecar_path(Path(picture), sidecar.suffix)
        try:
            if sidecar.descriptor is None:
                beside.write_bytes(sidecar.content)
            else:
                link_through(sidecar.descriptor, beside)
        except OSError:
            return None
        return beside

    def _place(self, base: Path, sequence: int, filename: str) -> str:
        folder = f"{base}/{_folder(sequence)}"  # joined by hand: a Path each costs as much as the link
        if not os.path.isdir(folder):  # noqa: PTH112 (so does this)
            make_directory(Path(folder))
        return f"{folder}/{filename}"


def _folder(sequence: int) -> str:
    return f"{sequence // FOLDER_ITEMS:06d}"


def _link(descriptor: int, target: str) -> str | None:
    """Link the open file to `target`; return what a person can do where links are refused for good."""
    try:
        link_through(descriptor, target)
    except OSError as error:
        if error.errno == errno.ENOENT and os.fstat(descriptor).st_nlink == 0:
            raise Wait(f"the file was replaced while it was adopted as {target.rpartition('/')[2]}") from error
        if error.errno not in REFUSALS:
            raise disk_error(error, "link the picture to", target) from error
        return REFUSALS[error.errno]
    return None


def _link_beside(descriptor: int, target: str) -> str | None:
    try:
        make_directory(Path(target).parent)
    except SpoolUnavailable as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in REFUSALS:
            return REFUSALS[cause.errno]
        raise
    return _link(descriptor, target)


def _same(descriptor: int, draft: Draft, filename: str) -> Iterator[bytes]:
    """Yield the file's bytes, and refuse to end well unless they are those that were checked.

    A file that grows while it is read is left at its first piece too many.
    """
    digest = hashlib.sha256()
    offset = 0
    while offset <= draft.size and (piece := os.pread(descriptor, COPY_PIECE, offset)):
        digest.update(piece)
        offset += len(piece)
        yield piece
    if digest.hexdigest() != draft.sha256:
        raise Wait(f"the file changed while it was copied as {filename}")

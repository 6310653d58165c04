"""An open file as the walkers see it: read once, front to back, digested on the way."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.errors import BadPicture, Wait

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

PIECE_BYTES = 256 * 1024


class NotWhole(Wait):
    """The bytes so far may be the beginning of a picture that is still being written."""


class Tape:
    """The first `size` bytes of an open file, in pieces; the descriptor's own position is left alone.

    Whatever reads past the end raises `NotWhole`.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self._offset = 0
        self._piece = b""
        self._at = 0

    def look(self, offset: int, count: int) -> bytes:
        """Return `count` bytes at `offset`, without moving on."""
        if offset + count > self.size:
            raise NotWhole("the file ends in the middle of the picture")
        return b"".join(pieces(self._descriptor, offset, count))

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        return b"".join(self.parts(count))

    def parts(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` bytes as they lie in the pieces, so that a long stretch is never held whole."""
        while count:
            if self._at == len(self._piece):
                self._turn()
            part = self._piece[self._at : self._at + count]
            self._at += len(part)
            count -= len(part)
            yield part

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while (rest := len(self._piece) - self._at) < count:
            count -= rest
            self._turn()
        self._at += count

    def find(self, pattern: re.Pattern[bytes]) -> bytes:
        """Move past the next match of a two-byte pattern and return it."""
        while (match := pattern.search(self._piece, self._at)) is None:
            # Half of a match may be the last byte of this piece.
            self._turn(self._piece[self._at :][-1:])
        self._at = match.end()
        return match.group()

    def finish(self) -> str:
        """Read on to the end and return the sha256 of the whole, in hex."""
        while self._offset < self.size:
            self._turn()
        return self._digest.hexdigest()

    def _turn(self, kept: bytes = b"") -> None:
        piece = _read(self._descriptor, min(PIECE_BYTES, self.size - self._offset), self._offset)
        self._offset += len(piece)
        self._digest.update(piece)
        self._piece = kept + piece
        self._at = 0


def pieces(descriptor: int, offset: int, count: int) -> Iterator[bytes]:
    """Yield `count` bytes of an open file from `offset` on; `NotWhole` where it ends first."""
    end = offset + count
    while offset < end:
        piece = _read(descriptor, min(PIECE_BYTES, end - offset), offset)
        offset += len(piece)
        yield piece


@contextmanager
def opened(source: bytes | int) -> Iterator[int]:
    """Hand out a descriptor of what is a picture already, or an open descriptor as it is."""
    if isinstance(source, int):
        yield source
        return
    with os.fdopen(os.memfd_create("picture"), "w+b", buffering=0) as file:
        file.write(source)
        yield file.fileno()


@contextmanager
def steady(descriptor: int) -> Iterator[int]:
    """Hand out the size of an open file, and raise `NotWhole` where the file changed under the body.

    That comes before any error of the body: what is wrong with a mixture of two pictures says nothing of either.
    """
    before = _facts(descriptor)
    try:
        yield before[0]
    finally:
        if _facts(descriptor) != before:
            raise NotWhole("the file changed while it was read")


def _facts(descriptor: int) -> tuple[int, int]:
    try:
        facts = os.fstat(descriptor)
    except OSError as error:
        raise Wait(f"the file cannot be looked at: {error.strerror}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise BadPicture("it is no regular file")
    return facts.st_size, facts.st_mtime_ns


def _read(descriptor: int, count: int, offset: int) -> bytes:
    try:
        piece = os.pread(descriptor, count, offset)
    except OSError as error:
        raise Wait(f"the file cannot be read: {error.strerror}") from error
    if not piece:
        raise NotWhole("the file ends in the middle of the picture")
    return piece

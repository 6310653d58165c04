"""An open file as the walkers see it: read once, front to back, digested on the way."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.buffers import PIECE
from agent.errors import BadPicture, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEPT = 1  # bytes of a piece that may be looked at together with the next one


class NotWhole(Wait):
    """The bytes so far may be the beginning of a picture that is still being written."""


class Tape:
    """The first `size` bytes of an open file, in pieces; the descriptor's own position is left alone.

    Whatever reads past the end raises `NotWhole`. `buffer` is the tape's alone for as long as it is used.
    """

    def __init__(self, descriptor: int, size: int, buffer: bytearray) -> None:
        self.size = size
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self._offset = 0
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._at = self._end = KEPT

    @property
    def position(self) -> int:
        """The offset of the byte that `take` would return first."""
        return self._offset - (self._end - self._at)

    def look(self, offset: int, count: int) -> bytes:
        """Return `count` bytes at `offset`, without moving on."""
        if offset + count > self.size:
            raise NotWhole("the file ends in the middle of the picture")
        if count and not self._offset:
            self._turn()
        at = self._end - (self._offset - offset)
        if KEPT <= at <= self._end - count:
            return bytes(self._view[at : at + count])
        return b"".join(pieces(self._descriptor, offset, count))

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._at + count
        if end <= self._end:  # nearly always: what is taken is a header, a piece a quarter of a megabyte
            at, self._at = self._at, end
            return bytes(self._view[at:end])
        return b"".join(map(bytes, self.parts(count)))

    def parts(self, count: int) -> Iterator[memoryview]:
        """Yield the next `count` bytes as they lie in the pieces, each until the next is asked for."""
        while count:
            if self._at == self._end:
                self._turn()
            part = self._view[self._at : min(self._end, self._at + count)]
            self._at += len(part)
            count -= len(part)
            yield part

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while (rest := self._end - self._at) < count:
            count -= rest
            self._turn()
        self._at += count

    def find(self, search: Callable[[bytearray, int, int], int]) -> int:
        """Move past the next two bytes that make a mark, and return the second one.

        `search` says where that lies in a part of a buffer; -1 where there is none.
        """
        while (found := search(self._buffer, self._at, self._end)) < 0:
            # The last byte may begin a mark, if it was not taken.
            self._turn(keep=self._at < self._end)
        self._at = found + 1
        return self._buffer[found]

    def finish(self) -> str:
        """Read on to the end and return the sha256 of the whole, in hex."""
        while self._offset < self.size:
            self._turn()
        return self._digest.hexdigest()

    def _turn(self, *, keep: bool = False) -> None:
        """Read the next piece; `keep` leaves the last byte of this one in front of it."""
        if keep:
            self._buffer[0] = self._buffer[self._end - 1]
        target = self._view[KEPT : KEPT + min(PIECE, self.size - self._offset)]
        count = _read_into(self._descriptor, target, self._offset)
        self._digest.update(target[:count])
        self._offset += count
        self._at, self._end = KEPT - keep, KEPT + count


def pieces(descriptor: int, offset: int, count: int) -> Iterator[bytes]:
    """Yield `count` bytes of an open file from `offset` on; `NotWhole` where it ends first."""
    end = offset + count
    while offset < end:
        piece = _read(descriptor, min(PIECE, end - offset), offset)
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
    with _reading():
        piece = os.pread(descriptor, count, offset)
    _check_some(len(piece))
    return piece


def _read_into(descriptor: int, target: memoryview, offset: int) -> int:
    # Of no length where all is read: then nothing comes, which is what it means.
    with _reading():
        count = os.preadv(descriptor, [target], offset)
    _check_some(count)
    return count


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Wait(f"the file cannot be read: {error.strerror}") from error


def _check_some(count: int) -> None:
    if not count:
        raise NotWhole("the file ends in the middle of the picture")

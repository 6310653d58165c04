"""The upload's multipart body: streamed from the file, with its length known before the first byte.

The same item gives the same bytes each time, boundary included. The picture's hash is held against the item's while
it streams: a file that was rewritten in place is noticed before the body is complete, so that no mixed picture is
ever taken for whole. Of a file that was hashed moments ago, the same is told by its state, before and after.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.buffers import PIECE, Loan
from agent.errors import Reject, Wait
from agent.file_state import file_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.file_state import FileState
    from agent.frame import Item

MAX_BODY = 50_000_000


class PictureChanged(Reject):
    """The item's bytes on disk are no longer those that were adopted."""


class PictureMissing(Reject):
    """The item's file is gone."""


class UploadBody:
    """Yields the body of one attempt; `sent` counts the bytes that were handed to the socket.

    A file in the state `vouched` is known to have the item's bytes, without being hashed.
    """

    def __init__(self, item: Item, descriptor: int, *, vouched: FileState | None = None) -> None:
        self._item = item
        self._descriptor = descriptor
        self._vouched = vouched
        self.sent = 0
        boundary = f"acusight-{item.sha256[:32]}-{item.id}"
        self._head, self._tail = _frame(item, boundary)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + item.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield what goes before the picture, then the picture in pieces, each valid until the next is asked for."""
        return self._pieces()  # type: ignore[return-value]  # views of a buffer are sent like bytes

    def _pieces(self) -> Iterator[bytes | memoryview]:
        for piece in self._checked():
            if self.sent == 0:
                self.sent += len(self._head)
                yield self._head
            self.sent += len(piece)
            yield piece

    def _checked(self) -> Iterator[memoryview]:
        """Yield the picture and what goes behind it; the last piece only where the whole is the item's."""
        with Loan() as buffer:
            whole = memoryview(buffer)
            vouched = file_state(os.fstat(self._descriptor)) == self._vouched
            digest = None if vouched else hashlib.sha256()
            left = self._item.size
            offset = end = 0
            while left and (end := self._read(whole[: min(PIECE, left)], offset)):
                if digest is not None:
                    digest.update(whole[:end])
                offset += end
                left -= end
                if left:
                    yield whole[:end]
            if not self._is_same(None if digest is None else digest.hexdigest()):
                raise PictureChanged("changed after adoption")
            buffer[end : end + len(self._tail)] = self._tail
            yield whole[: end + len(self._tail)]

    def _is_same(self, sha256: str | None) -> bool:
        """Tell whether the item's bytes were read, of which that is the hash; None where the file was vouched for."""
        status = os.fstat(self._descriptor)
        if sha256 is None:
            # Another name for the file changes its state as well, and not its bytes.
            sha256 = self._item.sha256 if file_state(status) == self._vouched else self._hash()
        return sha256 == self._item.sha256 and status.st_size == self._item.size

    def _hash(self) -> str:
        digest, offset = hashlib.sha256(), 0
        with Loan() as buffer:
            while count := self._read(memoryview(buffer)[:PIECE], offset):
                digest.update(memoryview(buffer)[:count])
                offset += count
        return digest.hexdigest()

    def _read(self, target: memoryview, offset: int) -> int:
        try:
            return os.preadv(self._descriptor, [target], offset)
        except OSError as error:
            raise _unreadable(self._item, error) from error


@contextmanager
def opened(item: Item) -> Iterator[int]:
    """Open an item's picture for reading, and see at once whether it is still of the right size."""
    try:
        descriptor = os.open(item.pathname, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        # A watched directory that is not mounted just now hides the pictures that lie in it; it does not lose them.
        if not item.path.parent.parent.is_dir():
            raise _unreadable(item, error) from error
        raise PictureMissing("its file is missing from the spool") from None
    except OSError as error:
        raise _unreadable(item, error) from error
    try:
        if os.fstat(descriptor).st_size != item.size:
            raise PictureChanged("changed after adoption")
        yield descriptor
    finally:
        os.close(descriptor)


def _unreadable(item: Item, error: OSError) -> Wait:
    return Wait(f"cannot read {item.pathname}: {error.strerror}", remedy="Check that its disk is mounted and sound.")


def _frame(item: Item, boundary: str) -> tuple[bytes, bytes]:
    metadata = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{item.metadata}\r\n'
        if item.metadata
        else ""
    )
    head = (
        f'{metadata}--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{item.filename}"\r\n'
        f"Content-Type: {item.media_type}\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode()

"""The upload's multipart body: streamed from the file, with its length known before the first byte.

The same item gives the same bytes each time, boundary included. The picture's hash is held against the item's while
it streams: a file that was rewritten in place is noticed before the body is complete, so that no mixed picture is
ever taken for whole.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.errors import Reject, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.frame import Item

PIECE = 65_536
MAX_BODY = 50_000_000


class PictureChanged(Reject):
    """The item's bytes on disk are no longer those that were adopted."""


class PictureMissing(Reject):
    """The item's file is gone."""


class UploadBody:
    """Yields the body of one attempt; `sent` counts the bytes that were handed to the socket."""

    def __init__(self, item: Item, descriptor: int, *, pace: Callable[[int], None]) -> None:
        self._item = item
        self._descriptor = descriptor
        self._pace = pace
        self.sent = 0
        boundary = f"acusight-{item.sha256[:32]}-{item.id}"
        self._head, self._tail = _frame(item, boundary)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + item.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._count(self._head)
        digest = hashlib.sha256()
        left = self._item.size
        offset = 0
        while left and (piece := os.pread(self._descriptor, min(PIECE, left), offset)):
            digest.update(piece)
            offset += len(piece)
            left -= len(piece)
            if not left and digest.hexdigest() != self._item.sha256:
                break
            yield self._count(piece)
        if digest.hexdigest() != self._item.sha256 or os.fstat(self._descriptor).st_size != self._item.size:
            raise PictureChanged("changed after adoption")
        yield self._count(self._tail)

    def _count(self, piece: bytes) -> bytes:
        self._pace(len(piece))
        self.sent += len(piece)
        return piece


@contextmanager
def opened(item: Item) -> Iterator[int]:
    """Open an item's picture for reading, and see at once whether it is still of the right size."""
    try:
        descriptor = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise PictureMissing("its file is missing from the spool") from None
    except OSError as error:
        raise Wait(f"cannot read {item.path}: {error.strerror}", remedy="Check the spool's disk.") from error
    try:
        if os.fstat(descriptor).st_size != item.size:
            raise PictureChanged("changed after adoption")
        yield descriptor
    finally:
        os.close(descriptor)


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

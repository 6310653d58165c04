"""Buffers that are used again.

A fresh quarter of a megabyte is mapped and faulted in page by page, and unmapped a moment later: that costs as much as
to hash what is read into it. Those few that are in use at once stay.
"""

from __future__ import annotations

from collections import deque

PIECE = 262_144  # a picture of the usual size is one piece: each costs a pass through all that handles it
MARGIN = 1024  # around a piece, for what belongs in front of it or behind it
KEPT = 4

# Threads take and put without a lock: both ends of a deque are safe.
_shelved: deque[bytearray] = deque(maxlen=KEPT)


class Loan:
    """Lends a buffer of `PIECE + MARGIN` bytes, with whatever somebody else left in it."""

    def __enter__(self) -> bytearray:
        try:
            self._buffer = _shelved.pop()
        except IndexError:
            self._buffer = bytearray(PIECE + MARGIN)
        return self._buffer

    def __exit__(self, *_: object) -> None:
        _shelved.append(self._buffer)

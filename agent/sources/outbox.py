"""The grabber's end of the record pipe: writing that never waits for a slow reader unless it is asked to."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.sources.wire import Record

PATIENCE_MS = 5
"""How long a grab loop waits for a reader that is reading: a fraction of a frame's time at 30 per second."""


class Outbox:
    """Holds at most one waiting record of each event, the newest, behind the one that is being written."""

    def __init__(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._writable = select.poll()
        self._writable.register(pipe, select.POLLOUT)
        self._writing = memoryview(b"")
        self._waiting: dict[str, Record] = {}

    def offer(self, record: Record) -> None:
        """Let this record take the place of a waiting one of its event; `flush` writes it."""
        self._waiting[record.event] = record

    def send(self, record: Record) -> None:
        """Write everything that waits and then this record, however long the reader takes."""
        self._drain(None)
        self._writing = memoryview(record.encode())
        self._drain(None)

    def flush(self) -> None:
        """Write what the reader takes without being waited for; raises `BrokenPipeError` when it has gone."""
        self._drain(PATIENCE_MS)

    def _drain(self, patience_ms: int | None) -> None:
        while self._writing or self._waiting:
            if not self._writing:
                oldest = next(iter(self._waiting))
                self._writing = memoryview(self._waiting.pop(oldest).encode())
            try:
                self._writing = self._writing[os.write(self._pipe, self._writing) :]
            except BlockingIOError:
                if not self._writable.poll(patience_ms):
                    return

"""Writes the state file: what the running daemon knows and no row of the spool says, for `status` and its kin.

A small JSON file on a memory file system, replaced atomically when something in it changed. The queue's figures are
not in it: whoever asks reads them from the spool.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from agent.state import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock

log = structlog.get_logger(__name__)


class StateFile:
    """Writes the state where other processes find it: news at once, figures no more often than every `every_s` seconds.

    On a memory file system a second is fine; on flash it would wear the card out.
    """

    def __init__(self, path: Path, *, clock: Clock, every_s: float) -> None:
        self.path = path
        self._clock = clock
        self._every_s = every_s
        self._written = ""
        self._written_at = float("-inf")
        self._news: object = None
        self._refused = False

    def write(self, facts: dict[str, Any], news: object = None) -> bool:
        """Replace the file if the facts changed; tell whether it was written. A refusal is no reason to stop.

        `news` is what has to show at once, as a value to compare: a link that is back, a camera that is open.
        """
        if news == self._news and self._clock.boot() - self._written_at < self._every_s:
            return False
        text = json.dumps({"schema": SCHEMA, **facts}, sort_keys=True)
        if text == self._written:
            return False
        self._written_at, self._news = self._clock.boot(), news
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            if not self._refused:
                self._refused = True
                log.warning("state_not_written", path=str(self.path), reason=error.strerror)
            return False
        self._refused = False
        self._written = text
        return True

    def remove(self) -> None:
        """Take the file away at the end of a run."""
        with suppress(OSError):
            self.path.unlink()

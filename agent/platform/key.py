"""The device key as uploaders use it: held in memory, read again when the platform refuses it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable


class KeyHolder:
    """Holds the key; one that cannot be read any more leaves the last good one in use."""

    def __init__(self, key: str, read: Callable[[], str | None]) -> None:
        self._key = key
        self._read = read
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Show that there is a key, never which."""
        return "KeyHolder(***)"

    def current(self) -> str:
        """Return the key for the next request."""
        return self._key

    def refresh(self) -> None:
        """Read the key again from where it came from."""
        with self._lock:
            try:
                key = self._read()
            except AgentError:
                return
            if key is not None:
                self._key = key

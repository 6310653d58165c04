"""Log lines that say a thing once, however long it lasts. Pure."""

from __future__ import annotations

import re

REPEAT_S = 600.0


class Hush:
    """Lets a thing be said when it is new, and again only after `every_s`."""

    def __init__(self, every_s: float = REPEAT_S) -> None:
        self._every_s = every_s
        self._said: tuple[str, float] | None = None

    def lets(self, text: str, now: float) -> bool:
        """Tell whether to say it; texts that differ in figures and addresses alone are the same."""
        text = re.sub(r"\S*\d\S*", "#", text)
        if self._said and self._said[0] == text and now - self._said[1] < self._every_s:
            return False
        self._said = (text, now)
        return True

    def forget(self) -> None:
        """Let the next thing be said, whatever it is."""
        self._said = None

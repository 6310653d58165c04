"""Files that were looked into and not taken: for good as they are, or for now. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.sources.settle import Sighting

REFUSED = 10_000
DELAYED = 10_000


class Aside:
    """Remembers them within bounds, so that each is said once and a refused one is read once."""

    def __init__(self) -> None:
        # Those met since the last whole walk, and those of before: what a whole walk does not meet is gone.
        self._refused: dict[str, Sighting] = {}
        self._earlier: dict[str, Sighting] = {}
        self._delayed: dict[str, str] = {}
        self._said: dict[str, str] = {}

    def refuse(self, name: str, seen: Sighting) -> bool:
        """Remember that a file as it is now is nothing to send; false where there is no room for it.

        Then it is not to be said either: it would be at every walk.
        """
        if len(self._refused) + len(self._earlier) >= REFUSED:
            return False
        self._refused[name] = seen
        return True

    def is_refused(self, name: str, seen: Sighting) -> bool:
        """Tell whether a file was refused as it is now."""
        if self._earlier.get(name) == seen:
            self._refused[name] = self._earlier.pop(name)
        return self._refused.get(name) == seen

    def end_walk(self) -> None:
        """Forget the refused files that a whole walk has not met."""
        self._earlier, self._refused = self._refused, {}

    def delay(self, name: str, reason: str, *, aloud: bool) -> bool:
        """Remember why a file has to wait; tell whether that is to be said, once it is to be said `aloud` at all."""
        self._delayed[name] = reason
        if not aloud or self._said.get(name) == reason:
            return False
        self._said[name] = reason
        return True

    def has_room(self, name: str) -> bool:
        """Tell whether a file can be remembered as delayed."""
        return name in self._delayed or len(self._delayed) < DELAYED

    def delayed(self) -> dict[str, str]:
        """Return the files that have to wait, and why."""
        return self._delayed

    def forget(self, name: str) -> None:
        """Forget that a file has to wait."""
        self._delayed.pop(name, None)
        self._said.pop(name, None)

"""The pictures that were skipped just now: a rule that fires may still want them. Pure, and bounded twice."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Ring(Generic[T]):
    """Holds what was skipped within `seconds`, in the order in which it came, of at most `most_bytes` in all.

    `let_go` hears of each one that leaves without having been wanted, with the limit or rule that had skipped it.
    """

    def __init__(self, seconds: float, most_bytes: int, let_go: Callable[[T, str, int], None]) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._let_go = let_go
        self._held: deque[tuple[float, int, str, T]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, one: T, at: float, size: int, rule: str) -> None:
        """Hold a skipped picture, and let go of what is too old by now, or too much."""
        self._held.append((at, size, rule, one))
        self._bytes += size
        while self._held and (self._bytes > self._most_bytes or abs(at - self._held[0][0]) > self._seconds):
            self._leave()

    def before(self, at: float, seconds: float) -> list[T]:
        """Return what came within `seconds` before a moment, the oldest first; it stays held."""
        return [one for then, _, _, one in self._held if 0 <= at - then <= seconds]

    def take(self, one: T) -> None:
        """Let go of one that was wanted, silently."""
        for entry in self._held:
            if entry[3] is one:
                self._held.remove(entry)
                self._bytes -= entry[1]
                return

    def clear(self) -> None:
        """Let go of everything."""
        while self._held:
            self._leave()

    def _leave(self) -> None:
        _, size, rule, one = self._held.popleft()
        self._bytes -= size
        self._let_go(one, rule, size)

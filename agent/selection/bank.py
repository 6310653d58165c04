"""The last pictures that were kept, by their prints: what looks like one of them is no news. Pure.

Not only the last one: a camera that is turned round and round, or a gate that opens and closes, shows the same few
pictures again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.selection.prints import Print

if TYPE_CHECKING:
    from collections.abc import Iterable


class Bank:
    """At most `size` prints, the one that was seen last at the end."""

    def __init__(self, size: int, prints: Iterable[Print] = ()) -> None:
        self._size = size
        self._prints = list(prints)[-size:]

    def __len__(self) -> int:
        return len(self._prints)

    def nearest(self, print_: Print) -> float:
        """Return the distance to the print that is most alike, 1 where there is none."""
        return min((known.distance(print_) for known in self._prints), default=1.0)

    def keep(self, print_: Print, least: float) -> None:
        """Remember a picture that was kept; of those that it is nearer to than `least` it takes the place.

        So a rule that keeps many pictures of one thing does not push all others out.
        """
        self._prints = [known for known in self._prints if known.distance(print_) >= least]
        self._prints = [*self._prints, print_][-self._size :]

    def texts(self) -> list[str]:
        """Return the prints as text."""
        return [known.text() for known in self._prints]

    @classmethod
    def of_texts(cls, size: int, texts: Iterable[str]) -> Bank:
        """Read what `texts` returned; raises ValueError."""
        return cls(size, [Print.of_text(text) for text in texts])

"""What a source's choice has to say to the spool: counts, and what it remembers of what it kept.

It is written at most every half minute, in one transaction however much it is: a camera that skips thirty frames a
second must not wear the disk out. A kill forgets that much of the counts of what was skipped, which is promised to
nobody, and may cost a few pictures more than the caps allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import SpoolDamaged, Wait
from agent.spool import ledger
from agent.spool.choices import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.frame import Position
    from agent.spool.choices import Choices

EVERY_S = 30.0


class Books:
    """Gathers what is to be entered for one source; `past` writes down what its choice remembers."""

    def __init__(self, source: str, choices: Choices, past: Callable[[], str], clock: Clock) -> None:
        self._source = source
        self._choices = choices
        self._past = past
        self._clock = clock
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._position: Position | None = None
        self._changed = False
        self._due = clock.boot() + EVERY_S

    def skipped(self, rule: str, *, items: int = 1, size: int = 0) -> None:
        """Count pictures that a limit or rule skipped."""
        self._count(ledger.SKIPPED, rule, items, size)

    def kept(self, rule: str, size: int) -> None:
        """Count a picture that was kept, for a rule's sake where it is named."""
        self._changed, self._position = True, None
        if rule:
            self._count(ledger.CHOSEN, rule, 1, size)

    def read(self, position: Position) -> None:
        """Note how far a video file was read, where its frame was skipped; the end of a file at once."""
        self._position = position
        if position.ended:
            self.save(now=True)

    def save(self, *, now: bool = False) -> None:
        """Enter what there is, if it is time; what cannot be entered now is entered later."""
        if not (self._counts or self._changed or self._position) or not (now or self._clock.boot() >= self._due):
            return
        self._due = self._clock.boot() + EVERY_S
        entry = Entry(dict(self._counts), self._past() if self._changed else None, self._position)
        try:
            self._choices.enter(self._source, entry)
        except SpoolDamaged:
            raise
        except Wait:
            return
        self._counts.clear()
        self._changed, self._position = False, None

    def _count(self, column: str, rule: str, items: int, size: int) -> None:
        before_items, before_size = self._counts.get((column, rule), (0, 0))
        self._counts[column, rule] = before_items + items, before_size + size

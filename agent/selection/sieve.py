"""The choice in a camera's child: what nothing could keep is skipped there, before a JPEG is made of it. Pure.

How much that is depends on the rules. Without any, the child decides alone: it gets what was kept before with its
order, and goes on from there. With rules, the limits that bear on what was kept (interval, caps, change) are the
parent's: only it knows what the rules have kept; the child skips by schedule, sample, darkness and blur. Where a rule
may keep what a limit would skip, or send what came before, the child skips nothing and only measures.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.selection.bank import Bank
from agent.selection.choice import Choice, Past
from agent.selection.facts import Facts, Verdict

if TYPE_CHECKING:
    from agent.selection.facts import Look
    from agent.selection.plan import SelectPlan


class Sieve:
    """Skips frames and counts them by limit; one for a child's life.

    A frame is asked about twice: by its time, before it is decoded, and by its look, before it is encoded.
    """

    def __init__(self, plan: SelectPlan, past: str = "") -> None:
        self.skipped: Counter[str] = Counter()
        self._plan = plan
        # Nothing is ever settled in it where the parent decides: an empty bank and unused caps skip nothing.
        before = Past.of_text(plan, past) if plan.blind else Past(Bank(plan.bank))
        self._choice = Choice(replace(plan, rules=()), before)
        self._facts: Facts | None = None
        self.look: Look | None = None

    @property
    def looks(self) -> bool:
        """Tell whether frames have to be looked at."""
        return self._plan.looks

    def lets(self, wall: float) -> bool:
        """Tell whether a frame of this moment may be worth a look, in seconds since the epoch."""
        self._facts = Facts(datetime.fromtimestamp(wall, UTC).astimezone())
        self.look = None
        return self._plan.spares or not self._skips(self._choice.early(self._facts))

    def wants(self, look: Look) -> bool:
        """Tell whether a frame that looks so may be worth the link."""
        self.look = look
        return self._plan.spares or not self._skips(self._choice.late(look))

    def keep(self) -> None:
        """Remember the frame that was asked about last: it was sent."""
        if self._plan.blind and self._facts is not None:
            self._choice.settle(replace(self._facts, look=self.look), Verdict(keep=True))

    def _skips(self, limit: str | None) -> bool:
        if limit is not None:
            self.skipped[limit] += 1
        return limit is not None

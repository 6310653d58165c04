"""The choice in a camera's child: what nothing could keep is skipped there, before a JPEG is made of it. Pure.

How much that is depends on the rules. Without any, the child decides alone: it gets what was kept before with its
order, and goes on from there. With rules, the limits that bear on what was kept (interval, caps, change) are the
parent's: only it knows what the rules have kept; the child skips by schedule, sample, darkness and blur. Where a rule
may keep what a limit would skip, or send what came before, the child skips nothing and only measures.

A child that is `sighted`, by a detector of its own, decides alone with rules, too, unless one sends what came before.
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
    from agent.selection.rules import Boxes


class Sieve:
    """Skips frames and counts them by limit or rule; one for a child's life.

    A frame is asked about twice: by its time, before it is decoded, and by its look, before it is encoded. A third
    time where the child is sighted, by its boxes.
    """

    def __init__(self, plan: SelectPlan, past: str = "", *, sighted: bool = False) -> None:
        self.skipped: Counter[str] = Counter()
        self.look: Look | None = None
        self._plan = plan
        self._alone = plan.decides_alone(sighted=sighted)
        # Nothing is ever settled in it where the parent decides: an empty bank and unused caps skip nothing.
        before = Past.of_text(plan, past) if self._alone else Past(Bank(plan.bank))
        self.follows_rules = self._alone and bool(plan.rules)
        self._choice = Choice(plan if self.follows_rules else replace(plan, rules=()), before)
        self._facts: Facts | None = None
        self._verdict = Verdict(keep=True)

    @property
    def looks(self) -> bool:
        """Tell whether frames have to be looked at."""
        return self._plan.looks

    def lets(self, wall: float) -> bool:
        """Tell whether a frame of this moment may be worth a look, in seconds since the epoch."""
        self._facts, self.look, self._verdict = _facts(wall), None, Verdict(keep=True)
        return self._plan.spares or not self._skips(self._choice.early(self._facts))

    def would_let(self, wall: float) -> bool:
        """Tell the same of a frame that is not taken, while another one is asked about."""
        return self._plan.spares or self._choice.early(_facts(wall)) is None

    def wants(self, look: Look) -> bool:
        """Tell whether a frame that looks so may be worth the link."""
        self.look = look
        return self._plan.spares or not self._skips(self._choice.late(look))

    def chooses(self, boxes: Boxes | None) -> Verdict:
        """Return what becomes of the frame by the rules, None for boxes that are not known."""
        assert self._facts is not None  # noqa: S101 (its time was asked about first)
        self._facts = replace(self._facts, look=self.look, boxes=boxes)
        self._verdict = self._choice.decide(self._facts) or Verdict(keep=True, priority=self._plan.priority)
        if not self._verdict.keep:
            self.skipped[self._verdict.rule] += 1
            self._choice.settle(self._facts, self._verdict)
        return self._verdict

    def keep(self) -> None:
        """Remember the frame that was asked about last: it was sent."""
        if self._alone and self._facts is not None:
            self._choice.settle(replace(self._facts, look=self.look), self._verdict)

    def _skips(self, limit: str | None) -> bool:
        if limit is not None:
            self.skipped[limit] += 1
        return limit is not None


def _facts(wall: float) -> Facts:
    return Facts(datetime.fromtimestamp(wall, UTC).astimezone())

"""The choice: is this picture worth the link, after all that was kept before it? Pure.

The rules come first, in their order; then the limits, the cheap ones before those for which the picture has to be
looked at. What a rule keeps always passes all of them; to what it keeps as `yes`, and to what none of them is about,
the limits apply. Deciding changes nothing: `settle` does, once the picture is really kept or skipped.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.selection.bank import Bank
from agent.selection.caps import Caps
from agent.selection.facts import BLUR, CHANGE, DARK, SAMPLE, SCHEDULE, Verdict
from agent.selection.plan import ALWAYS, NO
from agent.selection.rules import first_that_holds

if TYPE_CHECKING:
    from agent.selection.facts import Facts, Look
    from agent.selection.plan import Rule, SelectPlan

CLASSES = 512
"""How many classes are remembered with the time at which they were seen last."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A rule that has fired: what follows it until then is kept in its name."""

    since: float
    until: float
    rule: str
    priority: int


@dataclass(slots=True)
class Past:
    """What a source has kept, as far as it bears on what is kept next."""

    bank: Bank
    caps: Caps = field(default_factory=Caps)
    classes: dict[str, float] = field(default_factory=dict)
    echo: Echo | None = None

    def text(self) -> str:
        """Write it down, for the next start; an echo ends with the run."""
        return json.dumps({"bank": self.bank.texts(), "caps": self.caps.as_json(), "classes": self.classes})

    @classmethod
    def of_text(cls, plan: SelectPlan, text: str | None) -> Past:
        """Read what `text` wrote; what another release wrote, or nobody, is a fresh start."""
        try:
            values = json.loads(text or "{}")
            bank, caps = Bank.of_texts(plan.bank, values["bank"]), Caps.of_json(values["caps"])
            return cls(bank, caps, {str(name): float(at) for name, at in values["classes"].items()})
        except (ValueError, LookupError, TypeError, AttributeError):
            return cls(Bank(plan.bank))


class Choice:
    """Chooses among the pictures of one source."""

    def __init__(self, plan: SelectPlan, past: Past) -> None:
        self.plan = plan
        self.past = past
        self._lines = plan.lines()

    def decide(self, facts: Facts) -> Verdict | None:
        """Return what becomes of a picture; None where that depends on a `look` that the facts do not have."""
        rule = first_that_holds(self.plan.rules, facts.boxes, lambda name: self._is_novel(name, facts.at))
        if rule is not None and rule.keep == NO:
            return Verdict(keep=False, rule=rule.name, barred=True)
        if rule is not None and rule.keep == ALWAYS:
            return self._kept(rule)
        echo = self.past.echo
        if echo is not None and echo.since <= facts.at <= echo.until:
            # Also where the rule holds again: else one that stays true would keep everything, whatever the limits.
            return Verdict(keep=True, rule=echo.rule, priority=echo.priority)
        limit = self.early(facts)
        if limit is None and self.plan.looks:
            if facts.look is None:
                return None
            limit = self.late(facts.look)
        return self._kept(rule) if limit is None else Verdict(keep=False, rule=limit)

    def early(self, facts: Facts) -> str | None:
        """Name the limit that a picture breaks by its time alone, or None."""
        plan = self.plan
        if self._lines and not any(line.holds(facts.local) for line in self._lines):
            return SCHEDULE
        if plan.sample < 1 and _share_of(f"{plan.source}\0{facts.at:.3f}\0{facts.key}") >= plan.sample:
            return SAMPLE
        return self.past.caps.refusal(plan, facts.local)

    def late(self, look: Look) -> str | None:
        """Name the limit that a picture breaks by what it shows, or None."""
        plan = self.plan
        if look.light < plan.dark:
            return DARK
        if look.sharp < plan.blur:
            return BLUR
        return CHANGE if self.past.bank.nearest(look.print) < plan.change else None

    def settle(self, facts: Facts, verdict: Verdict) -> None:
        """Remember a picture whose verdict has been carried out."""
        for box in facts.boxes or ():
            self.past.classes.pop(box.class_value, None)
            self.past.classes[box.class_value] = facts.at
        while len(self.past.classes) > CLASSES:
            del self.past.classes[next(iter(self.past.classes))]
        if not verdict.keep:
            return
        self.past.caps.count(self.plan, facts.local)
        if facts.look is not None and self.plan.change:
            self.past.bank.keep(facts.look.print, self.plan.change)
        if verdict.after_s:
            self.past.echo = Echo(facts.at, facts.at + verdict.after_s, verdict.rule, verdict.priority)

    def _is_novel(self, name: str, at: float) -> bool:
        seen = self.past.classes.get(name)
        return seen is None or abs(at - seen) >= self.plan.novel_after_s

    def _kept(self, rule: Rule | None) -> Verdict:
        if rule is None:
            return Verdict(keep=True, priority=self.plan.priority)
        priority = self.plan.priority if rule.priority is None else rule.priority
        return Verdict(True, rule.name, priority, rule.before_s, rule.after_s)


def _share_of(key: str) -> float:
    """Return a number in 0..1 that is the same for the same picture, at every run and in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()) / 2**64

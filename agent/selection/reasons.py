"""Why a picture is kept or skipped, in words: for a person who asks about one. Nothing is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.selection import facts as limits
from agent.selection.facts import Facts, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.selection.choice import Choice
    from agent.selection.facts import Look
    from agent.selection.plan import SelectPlan


def weigh(choice: Choice, facts: Facts, look_at: Callable[[], Look]) -> tuple[bool, str]:
    """Return whether a picture would be kept now, and why; it is looked at where that bears on the answer."""
    verdict = choice.decide(facts)
    if verdict is None:
        facts = replace(facts, look=look_at())
        verdict = choice.decide(facts) or Verdict(keep=True, priority=choice.plan.priority)
    return verdict.keep, _kept(verdict) if verdict.keep else f"skipped by {_skipped(choice, facts, verdict)}"


def _kept(verdict: Verdict) -> str:
    if not verdict.rule:
        return f"kept: no rule is about it and no limit is against it; priority {verdict.priority}"
    around = [f"{seconds:g} s {word}" for seconds, word in ((verdict.before_s, "before"), (verdict.after_s, "after"))]
    wanted = [text for text in around if not text.startswith("0 s")]
    more = f", with what came {' and '.join(wanted)}" if wanted else ""
    return f"kept by the rule {verdict.rule!r}, priority {verdict.priority}{more}"


def _skipped(choice: Choice, facts: Facts, verdict: Verdict) -> str:
    if verdict.barred:
        return f"the rule {verdict.rule!r}, which says no"
    plan = choice.plan
    said = {
        limits.SCHEDULE: lambda: f"schedule: {facts.local:%A %H:%M} is outside of the hours",
        limits.SAMPLE: lambda: f"sample: it is not among the {plan.sample:.0%} of the pictures that are considered",
        limits.INTERVAL: lambda: f"min_interval_s: another one was kept within {plan.min_interval_s:g} s of its time",
        limits.MINUTE: lambda: f"max_per_minute: {plan.max_per_minute} of that minute were kept already",
        limits.HOUR: lambda: f"max_per_hour: {plan.max_per_hour} of that hour were kept already",
        limits.DAY: lambda: f"max_per_day: {plan.max_per_day} of that day were kept already",
    }
    return said[verdict.rule]() if verdict.rule in said else _seen(choice, plan, facts, verdict)


def _seen(choice: Choice, plan: SelectPlan, facts: Facts, verdict: Verdict) -> str:
    look = facts.look
    assert look is not None  # noqa: S101 (these limits hold for nothing else)
    if verdict.rule == limits.DARK:
        return f"dark: its mean brightness is {look.light:g}, and {plan.dark:g} is the least"
    if verdict.rule == limits.BLUR:
        return f"blur: its sharpness is {look.sharp:g}, and {plan.blur:g} is the least"
    share = choice.past.bank.nearest(look.print)
    return f"change: it differs from one that was kept in {share:.1%} of its area, and {plan.change:.1%} is the least"

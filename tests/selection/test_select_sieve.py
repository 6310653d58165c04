from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.frame import Annotation
from agent.selection.bank import Bank
from agent.selection.choice import Choice, Past
from agent.selection.facts import Facts, Look
from agent.selection.plan import ALWAYS, NO, Rule, SelectPlan
from agent.selection.prints import Print
from agent.selection.sieve import Sieve

START = 1_772_452_800.0
PERSON = Annotation("person", (0.5, 0.5, 0.1, 0.1), 0.9)


def look(scene: int, *, light: float = 120.0) -> Look:
    """Return how one of some scenes looks, each at a distance from each."""
    own = sum(1 << at for at in range(scene * 40, scene * 40 + 40))
    return Look(light, 40.0, Print((own,) * 4 + (0,) * 4))


plans = st.builds(
    SelectPlan,
    source=st.just("dock"),
    min_interval_s=st.sampled_from([0.0, 3.0]),
    max_per_minute=st.integers(0, 4),
    sample=st.sampled_from([1.0, 0.6]),
    schedule=st.sampled_from([(), (((0,), 0, 12 * 60 + 1),)]),
    change=st.sampled_from([0.0, 0.02]),
    dark=st.sampled_from([0.0, 50.0]),
    rules=st.sampled_from(
        [
            (),
            (Rule("rest", keep=NO),),
            (Rule("people", classes=("person",)), Rule("rest", keep=NO)),
            (Rule("people", keep=ALWAYS, classes=("person",)),),
            (Rule("people", classes=("person",), before_s=2),),
            (Rule("new", keep=ALWAYS, novel=True),),
        ]
    ),
)
shown = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 5), st.booleans(), st.booleans()), max_size=30)


def sifted(sieve: Sieve, at: float, seen: Look) -> bool:
    """Ask a sieve about a frame as the grabber does; tell whether it goes on."""
    passed = sieve.lets(at) and (not sieve.looks or sieve.wants(seen))
    if passed:
        sieve.keep()
    return passed


def facts(at: float, seen: Look, *, person: bool) -> Facts:
    """Return what the parent knows of a frame."""
    return Facts(datetime.fromtimestamp(at, UTC).astimezone(), boxes=(PERSON,) if person else (), look=seen)


@given(plans, shown)
def test_the_child_skips_nothing_that_the_parent_would_keep(
    plan: SelectPlan, frames: list[tuple[int, int, bool, bool]]
) -> None:
    """Whatever the rules are and the annotations may turn out to be, a frame that is skipped early had no chance."""
    sieve, choice = Sieve(plan), Choice(plan, Past(Bank(plan.bank)))
    for seconds, scene, dark, person in sorted(frames):
        seen = look(scene, light=10.0 if dark else 120.0)
        passed = sifted(sieve, START + seconds, seen)
        verdict = choice.decide(facts(START + seconds, seen, person=person))
        assert verdict is not None
        assert passed or not verdict.keep
        if plan.decides_alone(sighted=False):
            assert passed == verdict.keep
        choice.settle(facts(START + seconds, seen, person=person), verdict)


@given(plans, shown, st.integers(0, 30))
def test_a_new_child_goes_on_where_the_last_one_ended(
    plan: SelectPlan, frames: list[tuple[int, int, bool, bool]], killed_at: int
) -> None:
    """A camera that is opened anew is not new: its child is told what was kept."""
    plan = replace(plan, rules=())
    one, choice = Sieve(plan), Choice(plan, Past(Bank(plan.bank)))
    for number, (seconds, scene, _, person) in enumerate(sorted(frames)):
        if number == killed_at:
            one = Sieve(plan, choice.past.text())
        seen = facts(START + seconds, look(scene), person=person)
        verdict = choice.decide(seen)
        assert verdict is not None
        assert sifted(one, START + seconds, look(scene)) == verdict.keep
        choice.settle(seen, verdict)


def test_every_skip_is_counted_by_its_limit() -> None:
    """What the child skips is told by the limits' names."""
    sieve = Sieve(SelectPlan("dock", change=0.02, dark=50, min_interval_s=5))
    frames = [(0, look(0)), (1, look(1)), (6, look(0)), (7, look(1, light=9)), (8, look(2))]
    assert [sifted(sieve, START + at, seen) for at, seen in frames] == [True, False, False, False, True]
    assert sieve.skipped == {"min_interval": 1, "change": 1, "dark": 1}


@pytest.mark.parametrize("rule", [Rule("p", keep=ALWAYS), Rule("p", after_s=1), Rule("p", before_s=1)])
def test_where_a_rule_may_want_anything_the_child_only_measures(rule: Rule) -> None:
    """Nothing is skipped in the child, and each frame goes on with its look."""
    sieve = Sieve(SelectPlan("dock", change=0.5, dark=255, sample=0.0, rules=(rule,)))
    assert sifted(sieve, START, look(3))
    assert sieve.look == look(3)
    assert not sieve.skipped

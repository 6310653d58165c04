from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.frame import Annotation
from agent.selection.bank import Bank
from agent.selection.choice import CLASSES, Choice, Past
from agent.selection.facts import LIMITS, Facts, Look, Verdict
from agent.selection.plan import ALWAYS, NO, YES, Rule, SelectPlan
from agent.selection.prints import Print

START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
PLAN = SelectPlan("dock")
PERSON, CAR = (Annotation(name, (0.5, 0.5, 0.1, 0.1), 0.9) for name in ("person", "car"))
PEOPLE = Rule("people", keep=ALWAYS, classes=("person",), priority=9)


def stripes(scene: int) -> Look:
    """Return how one of many scenes looks, each at a distance from each."""
    own = sum(1 << at for at in range(scene * 40, scene * 40 + 40))
    return Look(120.0, 40.0, Print((own,) * 4 + (0,) * 4))


def look(*, light: float = 120.0, sharp: float = 40.0) -> Look:
    """Return how a picture looks that was never seen before."""
    return Look(light, sharp, stripes(18).print)


def choice(**settings: object) -> Choice:
    """Return a choice that has kept nothing yet."""
    plan = replace(PLAN, **settings)  # type: ignore[arg-type]
    return Choice(plan, Past(Bank(plan.bank)))


def at(seconds: float, *boxes: Annotation, seen: Look | None = None, key: str = "") -> Facts:
    """Return a picture of so many seconds after the start."""
    return Facts(START + timedelta(seconds=seconds), key, boxes or None, seen or stripes(0))


def taken(one: Choice, facts: Facts) -> Verdict:
    """Decide and carry it out."""
    verdict = one.decide(facts)
    assert verdict is not None
    one.settle(facts, verdict)
    return verdict


def test_without_settings_everything_is_kept() -> None:
    """An empty plan stands in nobody's way, and asks for no look."""
    one = choice()
    assert not one.plan.chooses
    for second in range(10):
        assert taken(one, replace(at(second), look=None)) == Verdict(keep=True, priority=5)


@pytest.mark.parametrize(
    ("settings", "first", "second", "limit"),
    [
        ({"min_interval_s": 10}, at(0), at(9.9), "min_interval"),
        ({"max_per_minute": 1}, at(0), at(59), "max_per_minute"),
        ({"max_per_hour": 1}, at(0), at(3599), "max_per_hour"),
        ({"max_per_day": 1}, at(0), at(43_199), "max_per_day"),
        ({"change": 0.02}, at(0), at(1), "change"),
        ({"dark": 20}, at(0), at(1, seen=look(light=19.9)), "dark"),
        ({"blur": 5}, at(0), at(1, seen=look(sharp=4.9)), "blur"),
        ({"schedule": (((0,), 0, 780),)}, at(0), at(3600), "schedule"),
    ],
)
def test_a_limit_skips_under_its_name(settings: dict[str, object], first: Facts, second: Facts, limit: str) -> None:
    """Each limit keeps what is within it, and names itself for what is not."""
    one = choice(**settings)
    assert taken(one, first).keep
    assert taken(one, second) == Verdict(keep=False, rule=limit)
    assert limit in LIMITS


@pytest.mark.parametrize(
    ("settings", "second"),
    [
        ({"min_interval_s": 10}, at(10)),
        ({"min_interval_s": 10}, at(-10)),
        ({"max_per_minute": 1}, at(60)),
        ({"max_per_hour": 1}, at(3600)),
        ({"max_per_day": 1}, at(43_200)),
        ({"change": 0.02}, at(1, seen=stripes(1))),
        ({"dark": 20}, at(1, seen=look(light=20))),
        ({"blur": 5}, at(1, seen=look(sharp=5))),
    ],
)
def test_a_limit_lets_through_what_reaches_it(settings: dict[str, object], second: Facts) -> None:
    """At the limit itself a picture is kept."""
    one = choice(**settings)
    taken(one, at(0))
    assert taken(one, second).keep


def test_time_decides_before_anybody_looks() -> None:
    """A picture whose time rules it out is not looked at; one that could be kept is asked for its look."""
    one = choice(change=0.02, min_interval_s=10)
    assert one.decide(replace(at(0), look=None)) is None
    taken(one, at(0))
    assert one.decide(replace(at(5), look=None)) == Verdict(keep=False, rule="min_interval")


def test_a_rule_that_keeps_always_passes_every_limit() -> None:
    """A class that must never be missed passes limits, caps and schedule, without a look at the picture."""
    one = choice(min_interval_s=1000, max_per_day=1, change=0.5, blur=1000, dark=255, sample=0.0, rules=(PEOPLE,))
    for second in range(5):
        facts = replace(at(second, PERSON), look=None)
        assert taken(one, facts) == Verdict(keep=True, rule="people", priority=9)


def test_a_rule_that_keeps_leaves_the_limits_in_force() -> None:
    """`yes` ends the list of rules and gives its priority; near-identical pictures are skipped all the same."""
    rules = (Rule("people", keep=YES, classes=("person",), priority=7), Rule("rest", keep=NO))
    one = choice(change=0.02, rules=rules)
    assert taken(one, at(0, PERSON)) == Verdict(keep=True, rule="people", priority=7)
    assert taken(one, at(1, PERSON)) == Verdict(keep=False, rule="change")
    assert taken(one, at(2, CAR)) == Verdict(keep=False, rule="rest", barred=True)
    assert taken(one, at(3)) == Verdict(keep=False, rule="rest", barred=True)


def test_what_is_skipped_does_not_count() -> None:
    """A skipped picture uses up no cap and does not enter the bank."""
    one = choice(max_per_day=1, change=0.02, rules=(Rule("cars", keep=NO, classes=("car",)),))
    assert not taken(one, at(0, CAR)).keep
    assert taken(one, at(1, PERSON)).keep


def test_a_class_not_seen_lately_is_novel_once() -> None:
    """A class is novel at its first picture, and again when it was away for so long, also from what was skipped."""
    one = choice(max_per_day=1, novel_after_s=100, rules=(Rule("novel_class", keep=ALWAYS, novel=True, priority=9),))
    assert taken(one, at(0, PERSON)).rule == "novel_class"
    assert taken(one, at(60, PERSON)).rule == "max_per_day"
    assert taken(one, at(150, PERSON)).rule == "max_per_day"
    assert taken(one, at(150, PERSON, CAR)).rule == "novel_class"
    assert taken(one, at(260, PERSON)).rule == "novel_class"


def test_what_follows_a_rule_that_fired_is_kept_in_its_name() -> None:
    """`after_s` keeps what comes so long after, whatever the limits say, and then they hold again."""
    one = choice(change=0.02, rules=(Rule("people", keep=YES, classes=("person",), after_s=5, priority=8),))
    assert taken(one, at(0, PERSON)) == Verdict(True, "people", 8, 0.0, 5)
    assert taken(one, at(3)) == Verdict(keep=True, rule="people", priority=8)
    assert taken(one, at(5, PERSON)) == Verdict(keep=True, rule="people", priority=8)
    assert taken(one, at(6, PERSON)) == Verdict(keep=False, rule="change")


def test_what_a_rule_says_no_to_is_kept_for_no_neighbour() -> None:
    """`no` is a promise: what it holds for goes neither after a rule that fired nor before one."""
    rules = (Rule("private", keep=NO, classes=("car",)), Rule("people", classes=("person",), after_s=5))
    one = choice(rules=rules)
    taken(one, at(0, PERSON))
    assert taken(one, at(1, CAR)) == Verdict(keep=False, rule="private", barred=True)


def test_deciding_changes_nothing() -> None:
    """A verdict that is not carried out, because the spool is full, is given again."""
    one = choice(max_per_day=1, change=0.02, rules=(Rule("n", novel=True, after_s=3),))
    assert len({one.decide(at(0, PERSON)) for _ in range(5)}) == 1


@given(st.integers(0, 200), st.floats(0, 1))
def test_a_sample_is_the_same_every_time(seed: int, share: float) -> None:
    """Which pictures a sample takes depends on the picture alone: a restart takes no others."""
    one, other = choice(sample=share), choice(sample=share)
    assert one.decide(at(seed)) == other.decide(at(seed))


def test_a_sample_takes_its_share() -> None:
    """Of many pictures about the share is taken, also where they all have one time, as after an unpacking."""
    one = choice(sample=0.3)
    by_time = sum(taken(one, at(second)).keep for second in range(2000))
    by_name = sum(taken(one, at(0, key=f"{number}.jpg")).keep for number in range(2000))
    assert 500 < by_time < 700
    assert 500 < by_name < 700


moments = st.lists(st.integers(-200_000, 200_000), max_size=60)


@given(moments, st.integers(1, 3), st.integers(1, 5), st.integers(1, 8))
def test_no_cap_is_ever_passed(seconds: list[int], minute: int, hour: int, day: int) -> None:
    """However times come, no minute, hour or day has more pictures than its cap, while it is remembered."""
    one = choice(max_per_minute=minute, max_per_hour=hour, max_per_day=day)
    kept = [facts.local for facts in map(at, sorted(seconds)) if taken(one, facts).keep]
    for form, most in (("%F %H:%M", minute), ("%F %H", hour), ("%F", day)):
        assert max(Counter(moment.strftime(form) for moment in kept).values(), default=0) <= most


@given(moments, st.integers(1, 5000))
def test_kept_pictures_are_an_interval_apart(seconds: list[int], interval: int) -> None:
    """In the order of their times, kept pictures are never nearer to each other than the interval."""
    one = choice(min_interval_s=interval)
    kept = [second for second in sorted(seconds) if taken(one, at(second)).keep]
    assert all(later - earlier >= interval for earlier, later in pairwise(kept))


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    """A source goes on when its clock jumps into the past, as at a boot without a battery."""
    one = choice(min_interval_s=60)
    assert taken(one, at(1e8)).keep
    assert taken(one, at(0)).keep


settings_of_all_kinds = st.fixed_dictionaries(
    {},
    optional={
        "min_interval_s": st.sampled_from([0.0, 5.0]),
        "max_per_minute": st.integers(0, 3),
        "max_per_day": st.integers(0, 10),
        "sample": st.sampled_from([0.5, 1.0]),
        "change": st.sampled_from([0.0, 0.02]),
        "blur": st.sampled_from([0.0, 5.0]),
        "rules": st.sampled_from([(), (PEOPLE,), (Rule("p", classes=("person",), after_s=4), Rule("rest", keep=NO))]),
    },
)
Shown = list[tuple[int, tuple[Annotation, ...], int]]
pictures = st.lists(
    st.tuples(st.integers(0, 120), st.sampled_from([(), (PERSON,), (CAR,)]), st.integers(0, 6)), max_size=25
)


@given(settings_of_all_kinds, pictures)
def test_a_restart_changes_no_verdict(
    settings: dict[str, object], seen: list[tuple[int, tuple[Annotation], int]]
) -> None:
    """What is written down after each picture is enough to decide on as though nothing had happened."""
    one = choice(**settings)
    for second, boxes, scene in seen:
        again = Choice(one.plan, Past.of_text(one.plan, one.past.text()))
        again.past.echo = one.past.echo
        facts = at(second, *boxes, seen=stripes(scene))
        assert again.decide(facts) == one.decide(facts)
        taken(one, facts)


@given(settings_of_all_kinds, pictures)
def test_every_skip_has_a_name(settings: dict[str, object], seen: Shown) -> None:
    """What is skipped is skipped by a limit that is set or by a rule that says no, and what is kept has a priority."""
    one = choice(**settings)
    noes = {rule.name for rule in one.plan.rules if rule.keep == NO}
    for second, boxes, scene in seen:
        verdict = taken(one, at(second, *boxes, seen=stripes(scene)))
        assert verdict.keep or verdict.rule in noes or verdict.rule in LIMITS
        assert not verdict.keep or 0 <= verdict.priority <= 9


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "null", '{"bank": 3}', '{"bank": ["x"], "caps": {}}', "\x00"])
def test_a_past_that_cannot_be_read_is_a_fresh_start(text: str | None) -> None:
    """What another release wrote, or a damaged row, costs a few pictures more, never the source."""
    past = Past.of_text(PLAN, text)
    assert past.caps.last is None
    assert not len(past.bank)


def test_the_past_is_small_and_bounded() -> None:
    """However many classes and pictures there were, what is written down stays below 50 kB."""
    one = choice(change=0.001, max_per_minute=1000, max_per_hour=1000)
    for number in range(2000):
        boxes = (Annotation(f"class-{number}", (0.5, 0.5, 0.1, 0.1)),)
        taken(one, at(number * 60, *boxes, seen=stripes(number % 19)))
    assert len(one.past.classes) == CLASSES
    assert len(one.past.text()) < 50_000


def test_a_plan_survives_json() -> None:
    """A camera's child reads the very plan that its parent wrote."""
    plan = replace(
        PLAN,
        schedule=(((0, 1), 60, 120),),
        change=0.02,
        rules=(PEOPLE, Rule("unsure", confidence=(0.3, 0.6), before_s=2)),
    )
    assert SelectPlan.of_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_a_plan_says_what_may_be_decided_where() -> None:
    """Pixels decide alone only without rules, and throw nothing away where a rule may still want it."""
    assert replace(PLAN, change=0.1).decides_alone(sighted=False)
    assert not replace(PLAN, rules=(PEOPLE,)).decides_alone(sighted=False)
    assert replace(PLAN, rules=(PEOPLE,)).spares
    assert replace(PLAN, rules=(Rule("ring", before_s=1),)).spares
    assert not replace(PLAN, rules=(Rule("cars", keep=NO, classes=("car",)),)).spares

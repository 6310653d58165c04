from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.frame import Annotation
from agent.selection.plan import NO, YES, Rule
from agent.selection.rules import first_that_holds, holds

BOX = (0.5, 0.5, 0.1, 0.1)


def box(name: str, confidence: float | None = None) -> Annotation:
    """Return a box of a class."""
    return Annotation(name, BOX, confidence)


def never(_name: str) -> bool:
    """Say that a class was seen just now."""
    return False


def always(_name: str) -> bool:
    """Say that a class has not been seen lately."""
    return True


SURE, UNSURE, UNKNOWN = box("car", 0.9), box("car", 0.4), box("car")
PERSON = box("person", 0.8)


@pytest.mark.parametrize(
    ("rule", "boxes", "expected"),
    [
        (Rule("all"), None, True),
        (Rule("all"), (), True),
        (Rule("cars", classes=("car",)), None, False),
        (Rule("cars", classes=("car",)), (), False),
        (Rule("cars", classes=("car",)), (PERSON,), False),
        (Rule("cars", classes=("car",)), (PERSON, SURE), True),
        (Rule("two", classes=("car",), min_boxes=2), (PERSON, SURE), False),
        (Rule("two", classes=("car",), min_boxes=2), (SURE, UNSURE), True),
        (Rule("unsure", confidence=(0.3, 0.6)), (SURE, PERSON), False),
        (Rule("unsure", confidence=(0.3, 0.6)), (SURE, UNSURE), True),
        (Rule("unsure", confidence=(0.3, 0.6)), (UNKNOWN,), False),
        (Rule("edge", confidence=(0.4, 0.4)), (UNSURE,), True),
        (Rule("empty", max_boxes=0), (), True),
        (Rule("empty", max_boxes=0), (SURE,), False),
        (Rule("empty", max_boxes=0), None, False),
        (Rule("no cars", classes=("car",), max_boxes=0), (PERSON,), True),
        (Rule("some", min_boxes=1, max_boxes=2), (SURE, UNSURE, PERSON), False),
        (Rule("any", min_boxes=0), (), True),
        (Rule("any", min_boxes=0), None, False),
    ],
)
def test_a_rule_holds(rule: Rule, boxes: tuple[Annotation, ...] | None, *, expected: bool) -> None:
    """A rule counts the boxes that it means; of a picture of which nothing is known it knows nothing."""
    assert holds(rule, boxes, never) is expected


def test_a_novel_class_is_one_that_the_rule_means() -> None:
    """A class that is new does not make a rule hold that is about another one."""
    rule = Rule("new cars", classes=("car",), novel=True)
    assert holds(rule, (SURE,), always)
    assert not holds(rule, (SURE,), never)
    assert not holds(rule, (SURE, PERSON), lambda name: name == "person")


names = st.sampled_from(["car", "person", "bird"])
boxes_of_all_kinds = st.lists(
    st.builds(box, names, st.one_of(st.none(), st.floats(0, 1, allow_nan=False))), max_size=5
).map(tuple)
rules_of_all_kinds = st.builds(
    Rule,
    name=st.text("abc", min_size=1),
    keep=st.sampled_from([YES, NO]),
    classes=st.lists(names, max_size=2, unique=True).map(tuple),
    confidence=st.one_of(st.none(), st.tuples(st.floats(0, 0.5), st.floats(0.5, 1))),
    min_boxes=st.one_of(st.none(), st.integers(0, 3)),
    max_boxes=st.one_of(st.none(), st.integers(0, 3)),
    novel=st.booleans(),
)


@given(st.lists(rules_of_all_kinds, max_size=6), boxes_of_all_kinds)
def test_the_first_rule_that_holds_counts(rules: list[Rule], boxes: tuple[Annotation, ...]) -> None:
    """No rule before the one that counts holds, and where none counts, none holds."""
    found = first_that_holds(rules, boxes, always)
    before = rules if found is None else rules[: rules.index(found)]
    assert not any(holds(rule, boxes, always) for rule in before)
    assert found is None or holds(found, boxes, always)


@given(rules_of_all_kinds, boxes_of_all_kinds, names)
def test_a_box_more_never_ends_a_rule_without_an_upper_number(
    rule: Rule, boxes: tuple[Annotation, ...], name: str
) -> None:
    """What was seen is not unseen by something beside it."""
    if rule.max_boxes is None and holds(rule, boxes, always):
        assert holds(rule, (*boxes, box(name, 0.5)), always)


@given(boxes_of_all_kinds)
def test_a_rule_that_asks_nothing_holds_always(boxes: tuple[Annotation, ...]) -> None:
    """A rule without conditions, at the end of a list, catches the rest."""
    assert holds(Rule("rest"), boxes, never)
    assert holds(Rule("rest"), None, never)

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.demo.comparison import (
    BOXES,
    FORGED,
    LOST,
    STRANGE,
    STUCK,
    TWICE,
    UNPROVEN,
    Arrived,
    Fault,
    Proof,
    Sent,
    compare,
)
from agent.frame import Annotation
from agent.spool.ledger import Account

PLATE = Annotation("plate", (0.5, 0.5, 0.2, 0.1))
WEDGE = Annotation("wedge", (0.25, 0.75, 0.1, 0.3))
SENT = [Sent("a.jpg", "aa", (PLATE, WEDGE)), Sent("b.jpg", "bb", ()), Sent("scene-1.jpg", "cc", None)]
PROOFS = [Proof("captures", "captures-1.jpg", "aa"), Proof("captures", "captures-2.jpg", "bb")]
PROOFS += [Proof("scene", "scene-1.jpg", "cc")]
ACCOUNTS = {"captures": Account(captured=2, delivered=2), "scene": Account(captured=1, delivered=1)}


def box(annotation: Annotation, **other: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON's own values)
    """Return a box as the platform lists it."""
    return {"class_value": annotation.class_value, "type": "bbox", "geometry": list(annotation.geometry), **other}


ARRIVED = [
    Arrived("captures-1.jpg", "aa", "aa", [box(PLATE), box(WEDGE)]),
    Arrived("captures-2.jpg", "bb", "bb", []),
    Arrived("scene-1.jpg", "cc", "cc", None),
]


def first(**other: Any) -> list[Arrived]:  # noqa: ANN401 (the fields' own values)
    """Return what arrived, with the first picture changed."""
    return [replace(ARRIVED[0], **other), *ARRIVED[1:]]


def test_what_arrived_as_it_was_sent_has_no_fault() -> None:
    """Same bytes, once, with the same boxes: nothing to complain of, whatever the order."""
    assert compare(SENT, PROOFS, ARRIVED[::-1], ACCOUNTS) == []


def test_boxes_may_be_rounded() -> None:
    """A hundred-thousandth of the picture is within the tolerance."""
    near = box(PLATE, geometry=[0.500009, 0.499991, 0.2, 0.1])
    assert compare(SENT, PROOFS, first(annotations=[near, box(WEDGE)]), ACCOUNTS) == []


@pytest.mark.parametrize(
    ("arrived", "faults"),
    [
        pytest.param(ARRIVED[1:], {("a.jpg", LOST), ("captures-1.jpg", UNPROVEN)}, id="lost"),
        pytest.param(ARRIVED[:2], {("scene-1.jpg", LOST), ("scene-1.jpg", UNPROVEN)}, id="camera frame lost"),
        pytest.param([], {(one.name, LOST) for one in SENT} | {(p.filename, UNPROVEN) for p in PROOFS}, id="all lost"),
        pytest.param(
            first(stored_sha256="xx"),
            {
                ("a.jpg", LOST),
                ("captures-1.jpg", UNPROVEN),
                ("captures-1.jpg", FORGED),
                ("captures-1.jpg", STRANGE),
            },
            id="tampered with",
        ),
        pytest.param(first(sha256="xx"), {("captures-1.jpg", FORGED)}, id="hash is a lie"),
        pytest.param([*ARRIVED, ARRIVED[0]], {("a.jpg", TWICE)}, id="twice"),
        pytest.param([*ARRIVED, Arrived("x.jpg", "xx", "xx", None)], {("x.jpg", STRANGE)}, id="never sent"),
        pytest.param(first(filename="other.jpg"), {("captures-1.jpg", UNPROVEN)}, id="another name"),
        pytest.param(first(annotations=None), {("a.jpg", BOXES)}, id="boxes unknown"),
        pytest.param(first(annotations=[]), {("a.jpg", BOXES)}, id="boxes gone"),
        pytest.param(first(annotations=[box(PLATE)]), {("a.jpg", BOXES)}, id="a box gone"),
        pytest.param(first(annotations=[box(WEDGE), box(PLATE)]), {("a.jpg", BOXES)}, id="boxes swapped"),
        pytest.param(first(annotations=[box(PLATE), box(WEDGE, type="x")]), {("a.jpg", BOXES)}, id="another type"),
        pytest.param(first(annotations=[box(PLATE), box(WEDGE, class_value="plate")]), {("a.jpg", BOXES)}, id="class"),
        pytest.param(
            first(annotations=[box(PLATE, geometry=[0.50002, 0.5, 0.2, 0.1]), box(WEDGE)]),
            {("a.jpg", BOXES)},
            id="a box moved",
        ),
        pytest.param(
            first(annotations=[box(PLATE, geometry=[0.5, 0.5, 0.2]), box(WEDGE)]), {("a.jpg", BOXES)}, id="three sides"
        ),
        pytest.param(
            [*ARRIVED[:2], replace(ARRIVED[2], annotations=[])], {("scene-1.jpg", BOXES)}, id="boxes nobody knew"
        ),
        pytest.param(
            [ARRIVED[0], replace(ARRIVED[1], annotations=None), ARRIVED[2]], {("b.jpg", BOXES)}, id="none and unknown"
        ),
    ],
)
def test_every_deviation_is_found_and_named(arrived: list[Arrived], faults: set[tuple[str, str]]) -> None:
    """Whatever is not as it was sent is a fault that names the picture; the others have none."""
    assert set(compare(SENT, PROOFS, arrived, ACCOUNTS)) == {Fault(*fault) for fault in faults}


@pytest.mark.parametrize(
    "account",
    [
        Account(captured=2, delivered=1),
        Account(captured=2, delivered=1, quarantined=1),
        Account(captured=2, delivered=1, dropped={"changed": 1}),
    ],
)
def test_what_stays_with_the_agent_is_a_fault(account: Account) -> None:
    """A picture that waits, was set aside or was dropped has not got through, even where all others arrived."""
    assert compare(SENT, PROOFS, ARRIVED, {**ACCOUNTS, "captures": account}) == [Fault("captures", STUCK)]


def test_a_fault_reads_as_a_sentence() -> None:
    """A fault's text is the picture's name and what is wrong with it."""
    assert str(Fault("a.jpg", LOST)) == "a.jpg did not arrive"

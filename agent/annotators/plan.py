"""What an annotator is to do, as the configuration says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agent.annotations.plan import AnnotationPlan
from agent.frame import Model

Rule: TypeAlias = Literal["send_without", "wait", "drop"]

NO_ANSWER = "no answer from the annotator"
"""The reason in the ledger for what was dropped by the rule, and for a live camera's frames that waited too long."""
BUSY = "the annotator was busy"
"""The reason for a live camera's frames that came while another one was looked at."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Where the boxes stand in an answer of no known format.

    `entries` is the path of keys to the list, `box` the names of four numbers or of one list of four. `form` says
    what they are: `corners` (left, top, right, bottom), `top_left` (left, top, width, height) or `center`; `unit` in
    what: `pixels` of the picture as it was sent, `fraction` (0..1) or `percent`.
    """

    entries: tuple[str, ...] = ("predictions",)
    label: str = "label"
    confidence: str = "confidence"
    box: tuple[str, ...] = ("box",)
    form: Literal["corners", "top_left", "center"] = "corners"
    unit: Literal["pixels", "fraction", "percent"] = "pixels"


@dataclass(frozen=True, slots=True)
class AnnotatorPlan:
    """How pictures are looked at, whatever looks at them.

    `timeout_s` is the most that one picture may take, `start_timeout_s` what the first one after a start gets on top.
    `model` is told where an answer names none. `reading` says how an answer is read; with a `shape` it is
    of that shape, and of no known format.
    """

    name: str
    timeout_s: float = 10.0
    start_timeout_s: float = 30.0
    on_failure: Rule = "send_without"
    reading: AnnotationPlan = field(default_factory=AnnotationPlan)
    model: Model = field(default_factory=Model)
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class LookoutPlan:
    """The detector in a camera's child: how `detection` is run, how long it may take, and what follows a failure.

    `failures` in a row and the rest that is left of them are an earlier child's.
    """

    detection: dict[str, Any]
    timeout_s: float = 10.0
    start_timeout_s: float = 30.0
    on_failure: Rule = "send_without"
    model_id: str | None = None
    model_version: str | None = None
    failures: int = 0
    rests_s: float = 0.0

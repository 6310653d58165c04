"""The settings of what is worth the link, and of what goes first."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from agent.config.derived import rule_name
from agent.config.fields import NAME, Bytes, Priority, Seconds, Section, Timeout, Word
from agent.config.week import WeekSettings
from agent.frame import PRIORITY
from agent.selection.facts import LIMITS
from agent.selection.plan import NOVEL

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
# A ring may reach back so far: at one picture a second, that is 300 of them.
Reach = Annotated[float, Field(ge=0, le=300)]


def priority_field() -> Any:  # noqa: ANN401 (as pydantic's own `Field`)
    """Return the field `priority` of a source."""
    return Field(
        default=PRIORITY,
        description="How important the source's pictures are, 0 to 9: a higher one is sent first, and gives way last "
        "when the spool is full.",
    )


class HoursSettings(WeekSettings):
    """Hours of the week in which pictures are kept."""


class RuleSettings(Section):
    """What becomes of pictures with such annotations; of the rules that hold for a picture, the first counts."""

    name: Word | None = Field(
        default=None, description="The rule's name in the counts; by default its number, as in rule-1."
    )
    keep: Literal["always", "yes", "no"] = Field(
        default="yes",
        description='What becomes of the picture: "always" keeps it whatever the limits say, "yes" keeps it within the '
        'limits, "no" skips it.',
    )
    classes: tuple[Word, ...] = Field(default=(), description="Boxes of these classes count; without any, all do.")
    confidence_between: tuple[Share, Share] | None = Field(
        default=None, description="Boxes with a confidence from the first to the second count, such as [0.3, 0.6]."
    )
    min_boxes: Count | None = Field(
        default=None, description="The rule holds for at least so many boxes that count; by default 1."
    )
    max_boxes: Count | None = Field(
        default=None, description="The rule holds for at most so many; 0 is for pictures in which nothing was found."
    )
    novel_class: bool = Field(
        default=False, description="The rule holds where the class of one of them was not seen for novel_after_s."
    )
    priority: Priority | None = Field(
        default=None, description="The picture's priority, 0 to 9; by default that of its source."
    )
    before_s: Reach = Field(default=0.0, description="Keep what came so long before it, too, in seconds.")
    after_s: Reach = Field(default=0.0, description="Keep what comes so long after it, too, in seconds.")

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and (not NAME.fullmatch(name) or name in LIMITS):
            raise ValueError(
                f"must be 1 to 64 letters, digits, dots, dashes or underscores, and none of {', '.join(LIMITS)}"
            )
        return name

    @field_validator("confidence_between")
    @classmethod
    def _check_confidence(cls, between: tuple[float, float] | None) -> tuple[float, float] | None:
        if between is not None and between[0] > between[1]:
            raise ValueError("must begin with the lower confidence")
        return between

    @field_validator("max_boxes")
    @classmethod
    def _check_boxes(cls, most: int | None, info: ValidationInfo) -> int | None:
        if most is not None and (info.data.get("min_boxes") or 0) > most:
            raise ValueError("is less than min_boxes: the rule would never hold")
        return most

    @field_validator("before_s", "after_s")
    @classmethod
    def _check_reach(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds and info.data.get("keep") == "no":
            raise ValueError('is for rules that keep a picture; with keep = "no" leave it out')
        return seconds


class SelectSettings(Section):
    """Which pictures are worth the link; a source's own `select` takes the place of what it names."""

    min_interval_s: Seconds = Field(
        default=0.0, description="Least time between two kept pictures of a source, in seconds; 0 for none."
    )
    max_per_minute: Count = Field(default=0, description="Most pictures of a source in a minute; 0 for no cap.")
    max_per_hour: Count = Field(default=0, description="Most pictures of a source in an hour; 0 for no cap.")
    max_per_day: Count = Field(default=0, description="Most pictures of a source in a day; 0 for no cap.")
    sample: Share = Field(default=1.0, description="Share of the pictures that is considered at all, 0 to 1.")
    schedule: tuple[HoursSettings, ...] = Field(
        default=(), description="Hours in which pictures are kept; without a line, always."
    )
    change: Share = Field(
        default=0.0,
        description="Share of the picture's area that must look different from each of the last kept ones, 0 to 1; 0 "
        "keeps near-identical pictures, too.",
    )
    bank: int = Field(default=8, ge=1, le=64, description="How many kept pictures of a source are compared with.")
    blur: float = Field(
        default=0.0, ge=0, le=1000, description="Least sharpness; a sharp picture has 20 or more, 0 for no limit."
    )
    dark: float = Field(default=0.0, ge=0, le=255, description="Least mean brightness, 0 to 255; 0 for no limit.")
    novel_class_first: bool = Field(
        default=False,
        description="Keep always, and send first, a picture with a class that was not seen for novel_after_s.",
    )
    novel_after_s: Timeout = Field(default=86_400.0, description="After how long a class is novel again, in seconds.")
    ring_bytes: Bytes = Field(
        default=16_000_000,
        description="Most memory for a camera's skipped pictures that a rule's before_s may still want, in bytes.",
    )
    rule: tuple[RuleSettings, ...] = Field(
        default=(), max_length=100, description="Rules on annotations; the first that holds for a picture counts."
    )

    @field_validator("rule")
    @classmethod
    def _check_rules(cls, rules: tuple[RuleSettings, ...]) -> tuple[RuleSettings, ...]:
        names = [rule_name(rule, number) for number, rule in enumerate(rules, 1)]
        for name in names:
            if names.count(name) > 1 or name == NOVEL:
                raise ValueError(f"two rules are named {name!r}; give each its own name")
        return rules


def select_field() -> Any:  # noqa: ANN401 (as pydantic's own `Field`)
    """Return the field `select` of a source."""
    return Field(
        default=SelectSettings(),
        description="Which of its pictures are worth the link: what is named here takes the place of [select].",
    )

"""What is worth the link, as the configuration says it; plain enough to go to a child process as JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from agent.frame import PRIORITY
from agent.timetable import Line

ALWAYS, YES, NO = "always", "yes", "no"
NOVEL = "novel_class"
HIGHEST = 9

PIXEL_LIMITS = ("dark", "blur", "change")
"""The limits that need a look at the picture itself; all others need its time alone."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list of rules: what it asks of a picture's annotations, and what becomes of the picture then.

    `keep` is `always` (passes every limit), `yes` (passes the rules that follow; the limits hold) or `no`. Boxes count
    where their class is one of `classes` and their confidence within `confidence`, both where given; a rule holds
    for `min_boxes` to `max_boxes` of them, and with `novel` where a class has not been seen lately. Without any
    of these it holds for every picture. `before_s` and `after_s` keep what came so long before and after it, too.
    """

    name: str
    keep: str = YES
    classes: tuple[str, ...] = ()
    confidence: tuple[float, float] | None = None
    min_boxes: int | None = None
    max_boxes: int | None = None
    novel: bool = False
    priority: int | None = None
    before_s: float = 0.0
    after_s: float = 0.0

    @property
    def asks(self) -> bool:
        """Tell whether it asks anything: else it holds also for a picture of which nothing is known."""
        return bool(self.classes) or self.novel or (self.confidence, self.min_boxes, self.max_boxes) != (None,) * 3

    @property
    def has_ring(self) -> bool:
        """Tell whether it keeps neighbours."""
        return self.before_s > 0 or self.after_s > 0


@dataclass(frozen=True, slots=True)
class SelectPlan:
    """How one source's pictures are chosen; a limit of 0 is none.

    `change` is the share of the picture's area (0..1) in which it must differ from each of the last `bank` kept ones.
    `blur` is the least sharpness and `dark` the least mean brightness (0..255), as `looks` measures them. Without a
    line in `schedule` every hour counts. `sample` is the share of the moments that are considered at all.
    """

    source: str
    priority: int = PRIORITY
    min_interval_s: float = 0.0
    max_per_minute: int = 0
    max_per_hour: int = 0
    max_per_day: int = 0
    sample: float = 1.0
    schedule: tuple[tuple[tuple[int, ...], int, int], ...] = ()
    change: float = 0.0
    bank: int = 8
    blur: float = 0.0
    dark: float = 0.0
    novel_after_s: float = 86_400.0
    ring_bytes: int = 16_000_000
    rules: tuple[Rule, ...] = ()

    @property
    def chooses(self) -> bool:
        """Tell whether any picture could be skipped, or given a priority of its own."""
        return self.limits or bool(self.rules)

    @property
    def limits(self) -> bool:
        """Tell whether there is any limit at all."""
        return self.looks or self.sample < 1 or bool(self.schedule) or self.rates

    @property
    def rates(self) -> bool:
        """Tell whether what was kept before bears on what is kept now, by its time."""
        return any((self.min_interval_s, self.max_per_minute, self.max_per_hour, self.max_per_day))

    @property
    def looks(self) -> bool:
        """Tell whether a picture has to be looked at."""
        return bool(self.needs)

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the limits for which it has to be."""
        return tuple(limit for limit in PIXEL_LIMITS if getattr(self, limit))

    def decides_alone(self, *, sighted: bool) -> bool:
        """Tell whether a camera's child can decide alone, `sighted` where it knows the boxes.

        What came before a rule fired is the parent's to keep: it has the pictures.
        """
        return not self.rules or (sighted and not self.before_s)

    @property
    def spares(self) -> bool:
        """Tell whether a rule may keep what the limits would skip: then no limit may throw a picture away alone."""
        return any(rule.keep == ALWAYS or rule.has_ring for rule in self.rules)

    @property
    def before_s(self) -> float:
        """Return how far back any rule reaches."""
        return max((rule.before_s for rule in self.rules), default=0.0)

    def lines(self) -> tuple[Line, ...]:
        """Return the hours that count, as lines of a timetable."""
        return tuple(Line(frozenset(days), start, end) for days, start, end in self.schedule)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> SelectPlan:
        """Read what `as_json` wrote, after it went through JSON."""
        rules = tuple(Rule(**{key: _frozen(value) for key, value in rule.items()}) for rule in values["rules"])
        plain = {field.name: _frozen(values[field.name]) for field in fields(cls) if field.name != "rules"}
        return cls(**plain, rules=rules)


def _frozen(value: object) -> Any:  # noqa: ANN401 (whatever a field holds)
    return tuple(_frozen(one) for one in value) if isinstance(value, list | tuple) else value

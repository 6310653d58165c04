"""A rehearsal of the choice over a folder: what would be kept of it, and why. Nothing is taken, sent or remembered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.errors import Reject, Wait
from agent.selection.facts import Facts, Verdict
from agent.sources.opening import open_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from agent.pictures.inspect import Picture
    from agent.selection.choice import Choice
    from agent.selection.facts import Look
    from agent.sources.drafting import Drafter, WatchPlan

UNFIT = "not a picture to send"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One file and its verdict; `why` names the rule or limit, empty where none had anything against it."""

    name: str
    captured_at: datetime | None
    kept: bool
    why: str = ""
    priority: int = 0
    note: str = ""
    thumbnail: bytes = b""


class Rehearsal:
    """Judges files in the order of their time, as the daemon takes them."""

    def __init__(
        self,
        plan: WatchPlan,
        drafter: Drafter,
        choice: Choice,
        *,
        look_at: Callable[[int, Picture], Look],
        thumbnail: Callable[[int], bytes],
    ) -> None:
        self._plan = plan
        self._drafter = drafter
        self._choice = choice
        self._look_at = look_at
        self._thumbnail = thumbnail

    def run(self, names: Iterable[str]) -> list[Rehearsed]:
        """Return what becomes of each file; what a later rule takes back with its `before_s` is among the kept."""
        told: list[Rehearsed] = []
        for name in names:
            one, verdict = self._judged(name)
            told.append(one)
            if verdict is not None and verdict.before_s and one.captured_at is not None:
                told[:-1] = _taken_back(told[:-1], one.captured_at, verdict)
        return told

    def _judged(self, name: str) -> tuple[Rehearsed, Verdict | None]:
        try:
            with (
                open_below(self._plan.root, name) as (descriptor, status),
                self._drafter.sidecars.open(name) as sidecar,
            ):
                picture = self._drafter.look(descriptor)
                coming = self._drafter.foresee(name, status, picture, sidecar)
                boxes = None if coming.labels is None else coming.labels.annotations
                facts = Facts(coming.captured_at.astimezone(), name, boxes)
                verdict = self._choice.decide(facts)
                if verdict is None or (verdict.keep and self._choice.plan.change):
                    facts = replace(facts, look=self._look_at(descriptor, picture))
                    verdict = self._choice.decide(facts) or Verdict(keep=True, priority=self._choice.plan.priority)
                self._choice.settle(facts, verdict)
                one = Rehearsed(name, coming.captured_at, verdict.keep, verdict.rule, verdict.priority)
                if verdict.barred:
                    one = replace(one, note="barred")
                return replace(one, thumbnail=self._thumbnail(descriptor)), verdict
        except (Reject, Wait) as error:
            return Rehearsed(name, None, kept=False, why=UNFIT, note=str(error)), None


def _taken_back(told: list[Rehearsed], at: datetime, verdict: Verdict) -> Iterator[Rehearsed]:
    """Yield the same files, those that were skipped within the rule's reach as kept in its name."""
    for one in told:
        near = one.captured_at is not None and 0 <= (at - one.captured_at).total_seconds() <= verdict.before_s
        if near and not one.kept and not one.note:
            yield replace(one, kept=True, why=verdict.rule, priority=verdict.priority, note=f"after {one.why}")
        else:
            yield one


def counts(told: Iterable[Rehearsed]) -> dict[str, dict[str, int]]:
    """Return how many were kept and skipped, by rule or limit; the empty name is for none."""
    tallies = {"kept": Counter[str](), "skipped": Counter[str]()}
    for one in told:
        tallies["kept" if one.kept else "skipped"][one.why] += 1
    return {name: dict(tally.most_common()) for name, tally in tallies.items()}

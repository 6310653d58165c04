"""A watched directory's choice: what is skipped is marked as known, and stays where it is; a rule may want it yet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from agent.errors import Reject, SpoolDamaged, Wait
from agent.pictures.tape import NotWhole
from agent.selection.books import EVERY_S
from agent.selection.facts import Facts, Verdict
from agent.selection.ring import Ring
from agent.spool import ledger
from agent.spool.choices import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from agent.clock import Clock
    from agent.frame import Labels
    from agent.pictures.inspect import Picture
    from agent.selection.choice import Choice
    from agent.selection.facts import Look
    from agent.spool.choices import Choices
    from agent.spool.records import Mark

log = structlog.get_logger(__name__)

REACH = 1000
"""So many skipped names are held for a rule that may still want them."""


class Unwanted(Reject):
    """The picture is not worth the link; it is counted."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that could be taken: its marks, its time, the picture that it holds, and what is known of that."""

    mark: Mark
    captured_at: datetime
    picture: Picture
    labels: Labels | None = None

    @property
    def name(self) -> str:
        """Return its name below the directory."""
        return self.mark.path


@dataclass(frozen=True, slots=True)
class _Judged:
    """A file's verdict; `skipped_by` is what had skipped it before a rule wanted it after all."""

    mark: Mark
    verdict: Verdict
    skipped_by: str = ""


class FolderChooser:
    """Chooses among one directory's files.

    A verdict stands until it is entered: a file that finds no room is not compared with itself when it is offered
    again. `look_at` looks at an open file.
    """

    def __init__(self, choice: Choice, choices: Choices, look_at: Callable[[int, Picture], Look], clock: Clock) -> None:
        self._choice = choice
        self._clock = clock
        self._due = clock.boot() + EVERY_S
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._choices = choices
        self._look_at = look_at
        self._ring: Ring[tuple[Candidate, Facts, str]] = Ring(choice.plan.before_s, REACH, lambda *_: None)
        self._kept: dict[str, _Judged] = {}
        self._skipped: dict[str, _Judged] = {}
        self._recalled: dict[str, _Judged] = {}
        self._news: list[_Judged] = []
        self._blind = False

    def priority(self, candidate: Candidate, descriptor: int) -> int:
        """Return the priority of a file that is worth it; raises `Unwanted` for one that is not."""
        verdict = self.judge(candidate, descriptor)
        if not verdict.keep:
            raise Unwanted(f"it is not worth the link, by {verdict.rule}")
        return verdict.priority

    def judge(self, candidate: Candidate, descriptor: int) -> Verdict:
        """Return what becomes of a file; the picture is looked at only where its time and its labels leave it open."""
        known = self._kept.get(candidate.name) or self._recalled.get(candidate.name)
        if known is not None and known.mark == candidate.mark:
            self._kept[candidate.name] = known
            return known.verdict
        boxes = None if candidate.labels is None else candidate.labels.annotations
        facts = Facts(candidate.captured_at.astimezone(), candidate.name, boxes)
        verdict = self._choice.decide(facts)
        if verdict is None or (verdict.keep and self._choice.plan.change):
            facts = replace(facts, look=self._seen(descriptor, candidate.picture))
            verdict = self._choice.decide(facts) or Verdict(keep=True, priority=self._choice.plan.priority)
        self._choice.settle(facts, verdict)
        self._note(candidate, facts, verdict)
        return verdict

    def recalls(self, name: str) -> bool:
        """Tell whether a file that was skipped is wanted after all."""
        return name in self._recalled

    def take_recalled(self) -> list[str]:
        """Return the skipped files that a rule has come to want since this was asked last."""
        news, self._news = self._news, []
        self._recalled |= {one.mark.path: one for one in news}
        while len(self._recalled) > REACH:
            del self._recalled[next(iter(self._recalled))]
        return [one.mark.path for one in news]

    def forget(self, name: str) -> None:
        """Let go of a file that is gone, or another one."""
        self._kept.pop(name, None)
        self._recalled.pop(name, None)

    def enter(self, taken: Iterable[tuple[str, int]], *, now: bool = False) -> None:
        """Enter what was skipped, and the files that were taken with their sizes; they are items already.

        Where nothing was skipped, that has half a minute's time. What cannot be entered now is entered later.
        """
        for name, size in taken:
            if (judged := self._kept.get(name)) is not None:
                self._count_taken(judged, size)
                self.forget(name)
        if not (self._skipped or now or self._clock.boot() >= self._due):
            return
        counts = dict(self._counts)
        for one in self._skipped.values():
            _add(counts, (ledger.SKIPPED, one.verdict.rule), 1, one.mark.size)
        marks = tuple(one.mark._replace(skipped=one.verdict.rule) for one in self._skipped.values())
        # What is compared with, and counted for the caps, must not outlive a picture that was never taken.
        past = None if self._kept else self._choice.past.text()
        try:
            self._choices.enter(self._choice.plan.source, Entry(counts, past, marks=marks))
        except SpoolDamaged:
            raise
        except Wait:
            return
        self._due = self._clock.boot() + EVERY_S
        self._skipped.clear()
        self._counts.clear()

    def close(self) -> None:
        """Enter everything that is not entered yet."""
        with suppress(SpoolDamaged):
            self.enter((), now=True)

    def _count_taken(self, judged: _Judged, size: int) -> None:
        if judged.verdict.rule:
            _add(self._counts, (ledger.CHOSEN, judged.verdict.rule), 1, size)
        if judged.skipped_by:
            self._due = self._clock.boot()  # what was counted as skipped is not any more
            _add(self._counts, (ledger.SKIPPED, judged.skipped_by), -1, -judged.mark.size)

    def _note(self, candidate: Candidate, facts: Facts, verdict: Verdict) -> None:
        judged = _Judged(candidate.mark, verdict)
        if not verdict.keep:
            self._skipped[candidate.name] = judged
            if self._choice.plan.before_s and not verdict.barred:
                self._ring.add((candidate, facts, verdict.rule), facts.at, 1, verdict.rule)
            return
        self._kept[candidate.name] = judged
        for held in self._ring.before(facts.at, verdict.before_s):
            neighbour, seen, limit = held
            self._ring.take(held)
            wanted = replace(verdict, before_s=0.0, after_s=0.0)
            self._news.append(_Judged(neighbour.mark, wanted, limit))
            self._choice.settle(replace(seen, boxes=None), wanted)

    def _seen(self, descriptor: int, picture: Picture) -> Look | None:
        """Look at a picture; one that cannot be looked at is kept: the limits are there to save the link."""
        try:
            return self._look_at(descriptor, picture)
        except NotWhole:
            raise
        except (Reject, Wait) as error:
            if not self._blind:
                self._blind = True
                log.warning("picture_not_looked_at", source=self._choice.plan.source, reason=str(error))
            return None


def _add(counts: dict[tuple[str, str], tuple[int, int]], column: tuple[str, str], items: int, size: int) -> None:
    before_items, before_size = counts.get(column, (0, 0))
    counts[column] = before_items + items, before_size + size

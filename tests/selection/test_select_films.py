from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from scenes import FILMS, Film

from agent.selection.bank import Bank
from agent.selection.choice import Choice, Past
from agent.selection.facts import Facts
from agent.selection.looks import look_at, small
from agent.selection.plan import SelectPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = SelectPlan("film", change=0.02, bank=8)


def kept(film: Film, plan: SelectPlan = PLAN) -> list[int]:
    """Return the frames of a film that are worth the link."""
    choice = Choice(plan, Past(Bank(plan.bank)))
    return list(_kept(film, choice))


def _kept(film: Film, choice: Choice) -> Iterator[int]:
    for number, pixels in enumerate(film.frames()):
        at = datetime(2026, 3, 14, tzinfo=UTC) + timedelta(seconds=number / 10)
        facts = Facts(at, look=look_at(small(pixels)))
        verdict = choice.decide(facts)
        assert verdict is not None
        choice.settle(facts, verdict)
        if verdict.keep:
            yield number


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_what_is_news_is_kept_and_little_else(film: Film) -> None:
    """Of every stretch that shows something new a frame is kept, and of what only flickers, shakes or repeats none."""
    found = kept(film)
    missed = [event for event in film.events if not set(event) & set(found)]
    assert missed == []
    assert len(found) <= film.most

"""The verdict as one line, the same in `status`, in `systemctl status` and on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.wording import pictures_text

if TYPE_CHECKING:
    from agent.verdict import Judgement

SAYS_HOW_MANY = frozenset({"not_running", "paused_by_hand"})


def headline(
    judgement: Judgement, *, waiting: int, delivered: int = 0, lost: int = 0, resting: str | None = None
) -> str:
    """Say how the agent is, what is wrong first of all, and how many pictures wait and have arrived.

    `resting` is why a timetable or a budget has uploads rest now, which is nothing wrong.
    """
    word = judgement.health.value.upper()
    waits = f"{pictures_text(waiting)} {'waits' if waiting == 1 else 'wait'}"
    arrived = f", {delivered} delivered"
    rest = f"; uploads rest: {resting}" if resting else ""
    if not judgement.problems:
        return f"{word}: {waits}{arrived}{rest}"
    first, *others = judgement.problems
    kept = ", none is lost" if first.key.startswith(("link_", "device_")) and waiting and not lost else ""
    more = f" (and {len(others)} more)" if others else ""
    said = f"{first.what}{arrived}" if first.key in SAYS_HOW_MANY else f"{first.what}; {waits}{kept}{arrived}"
    return f"{word}: {said}{rest}{more}"

"""What went wrong, grouped, each group with what to do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.verdict import LINK_REMEDIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.page.sight import Sight

SETTLED = frozenset({"delivered", "duplicate"})
UPLOADS = {
    "refused": "See the reason in the quarantine: the platform takes no such picture or metadata",
    "too_large": "Nothing: such a picture is made smaller and sent again; encode.max_side avoids it",
}
DROPPED = {
    "dropped by hand": "Nothing: somebody gave them up with queue drop",
    "quarantine full": "Look into the quarantine sooner, or raise spool.quarantine_max_items",
}
FULL = "Raise spool.max_bytes, or find out why uploads are slow; when_full says what gives way for a source"
QUARANTINE = "Mend what the reason names, then retry; export or drop what is no picture"


@dataclass(frozen=True, slots=True)
class Group:
    """Things that went wrong in the same way, how often, and what to do."""

    what: str
    count: int
    last: str
    remedy: str


def groups(sight: Sight) -> list[Group]:
    """Return all groups, those with the most first."""
    return sorted((*_uploads(sight), *_quarantined(sight), *_dropped(sight)), key=lambda group: -group.count)


def _uploads(sight: Sight) -> Iterator[Group]:
    uploads = (sight.status.state or {}).get("uploads")
    results = uploads.get("results", {}) if isinstance(uploads, dict) else {}
    last = sight.status.last_error or {}
    for meaning, count in results.items():
        # What was refused is in the quarantine, with its own reason.
        if meaning not in SETTLED and not (meaning == "refused" and sight.reasons):
            mine = last if last.get("meaning") == meaning else {}
            reason = f": {mine['reason'].rstrip('.')}" if mine else ""
            remedy = UPLOADS.get(meaning) or LINK_REMEDIES.get(meaning, ("", "See the log"))[1]
            yield Group(f"uploads that failed ({meaning.replace('_', ' ')}){reason}", count, mine.get("at", ""), remedy)


def _quarantined(sight: Sight) -> Iterator[Group]:
    for row in sight.reasons:
        yield Group(f"set aside: {row['reason'] or 'no reason given'}", row["items"], row["last_at"], QUARANTINE)


def _dropped(sight: Sight) -> Iterator[Group]:
    total: dict[str, int] = {}
    for account in sight.status.accounts.values():
        for reason, count in account.dropped.items():
            total[reason] = total.get(reason, 0) + count
    for reason, count in total.items():
        yield Group(f"dropped: {reason}", count, "", DROPPED.get(reason, FULL))

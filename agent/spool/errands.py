"""What became of the platform's actions, kept in the spool's index, so that each is taken up once across restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.clock import utc_text

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from agent.spool.commits import Commits
    from agent.spool.reader import Reader

KEPT = 100
PREFIX = "action "
ALL = "SELECT key, value FROM meta WHERE key GLOB 'action *'"
WRITE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
FORGET = """
DELETE FROM meta WHERE key GLOB 'action *' AND key NOT IN
(SELECT key FROM meta WHERE key GLOB 'action *' ORDER BY json_extract(value, '$.seen') DESC LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class Errand:
    """One action: what it is for people, what became of it, why, and since when."""

    id: str
    what: str
    outcome: str
    reason: str = ""
    at: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"id": self.id, "what": self.what, "outcome": self.outcome, "reason": self.reason, "at": self.at}


def read_errands(reader: Reader) -> list[Errand]:
    """Return what is remembered, the latest first; a row that makes no sense is left out."""
    found = []
    for row in reader.all(ALL):
        try:
            value = json.loads(row["value"])
            texts = [str(value.get(name, "")) for name in ("what", "outcome", "reason", "at")]
            found.append((int(value["seen"]), Errand(row["key"].removeprefix(PREFIX), *texts)))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return [errand for _, errand in sorted(found, key=lambda pair: pair[0], reverse=True)]


class Errands:
    """Writes for the owner of a spool; bounded, the one that was settled longest ago is forgotten first."""

    def __init__(self, commits: Commits, reader: Reader) -> None:
        self._commits = commits
        self._reader = reader

    def all(self) -> dict[str, Errand]:
        """Return what is remembered, by the actions' ids."""
        return {errand.id: errand for errand in read_errands(self._reader)}

    def settle(self, action_id: str, what: str, outcome: str, reason: str, now: datetime) -> None:
        """Remember what became of an action; durable when it returns."""

        def write(connection: sqlite3.Connection) -> None:
            # Numbered by a count of their own: wall time may jump, and what was settled last must stay.
            highest = "SELECT coalesce(max(json_extract(value, '$.seen')), 0) FROM meta WHERE key GLOB 'action *'"
            seen = connection.execute(highest).fetchone()[0] + 1
            value = {"what": what, "outcome": outcome, "reason": reason, "at": utc_text(now), "seen": seen}
            connection.execute(WRITE, (f"{PREFIX}{action_id}", json.dumps(value)))
            connection.execute(FORGET, (KEPT,))

        self._commits.run(write)

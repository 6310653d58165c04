"""What can be said of an agent from outside: its spool, its state file, and whether it runs.

All three are files, so this also works while the daemon is down, and never disturbs one that is up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.clock import SystemClock
from agent.errors import SpoolUnavailable
from agent.spool import ledger
from agent.spool.errands import read_errands
from agent.spool.orders import read_standing
from agent.spool.ownership import is_owned, owner_note
from agent.spool.reader import Reader
from agent.spool.schema import INDEX
from agent.spool.traffic import read_sent
from agent.state import read_state
from agent.tariff import facts

if TYPE_CHECKING:
    from agent.config.load import Configuration
    from agent.spool.errands import Errand
    from agent.spool.ledger import Account

SCHEMA = 1
NEWEST_RECEIPT = "SELECT filename, delivered_at, result FROM receipt ORDER BY delivered_at DESC LIMIT 1"
OLDEST_WAITING = "SELECT filename, captured_at FROM item WHERE state = 'waiting' ORDER BY id LIMIT 1"


@dataclass(frozen=True, slots=True)
class Status:
    """One look at an agent; `state` is what the daemon wrote of itself, None where it does not run."""

    running: bool
    spool_dir: Path
    accounts: dict[str, Account]
    state: dict[str, Any] | None
    last_delivery: dict[str, Any] | None
    oldest_waiting: dict[str, Any] | None
    paused_since: str | None = None
    tariff: dict[str, Any] = field(default_factory=dict)
    actions: list[Errand] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Return how many pictures wait."""
        return sum(account.waiting for account in self.accounts.values())

    @property
    def quarantined(self) -> int:
        """Return how many pictures are set aside."""
        return sum(account.quarantined for account in self.accounts.values())

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values; `schema` grows when a field changes its meaning."""
        return {
            "schema": SCHEMA,
            "running": self.running,
            "spool_dir": str(self.spool_dir),
            "sources": {
                name: {**asdict(account), "waiting": account.waiting} for name, account in self.accounts.items()
            },
            "last_delivery": self.last_delivery,
            "oldest_waiting": self.oldest_waiting,
            "paused_since": self.paused_since,
            "tariff": self.tariff,
            "actions": [action.as_json() for action in self.actions],
            "daemon": self.state,
        }


def look(configuration: Configuration) -> Status:
    """Look at the agent of a configuration; a spool that was never used is an empty one."""
    directory = configuration.spool_dir
    running = is_owned(directory)
    note = owner_note(directory).get("state_file")
    state = read_state(Path(note)) if running and isinstance(note, str) else None
    tariff, local = configuration.settings.upload.tariff(), SystemClock().wall().astimezone()
    if not _is_there(directory / INDEX):
        return Status(running, directory, {}, state, None, None, tariff=facts(tariff, {}, local))
    reader = Reader(directory)
    try:
        newest, oldest = reader.one(NEWEST_RECEIPT), reader.one(OLDEST_WAITING)
        accounts = ledger.accounts(reader.all(ledger.TALLY))
        paused_since = read_standing(reader).paused_since
        sent = read_sent(reader)
        actions = read_errands(reader)
    finally:
        reader.close()
    return Status(
        running,
        directory,
        accounts,
        state,
        dict(newest) if newest else None,
        dict(oldest) if oldest else None,
        paused_since,
        facts(tariff, sent, local),
        actions,
    )


def _is_there(index: Path) -> bool:
    try:
        return index.exists()
    except OSError as error:
        raise SpoolUnavailable(
            f"cannot look into {index.parent}: {error.strerror}", remedy="Ask as the agent's user, or as root."
        ) from error

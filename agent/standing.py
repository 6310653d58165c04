"""How an agent stands, seen from outside at one moment: a value with what follows from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.device import Device
from agent.headline import headline
from agent.outlook import Outlook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.chronicle import Sample
    from agent.inputs import Input
    from agent.spool.errands import Errand
    from agent.spool.ledger import Account
    from agent.verdict import Judgement

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One look at an agent; `state` is what the daemon wrote of itself, None where it does not run.

    `boot_s` and `wall` are the moment of the look.
    """

    running: bool
    spool_dir: Path
    boot_s: float = 0.0
    wall: datetime
    accounts: dict[str, Account] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    last_delivery: dict[str, Any] | None = None
    oldest_waiting: dict[str, Any] | None = None
    paused_since: str | None = None
    tariff: dict[str, Any] = field(default_factory=dict)
    judgement: Judgement
    outlook: Outlook = field(default_factory=Outlook)
    inputs: tuple[Input, ...] = ()
    device: Device = field(default_factory=Device)
    samples: tuple[Sample, ...] = ()
    actions: tuple[Errand, ...] = ()

    @property
    def waiting(self) -> int:
        """Return how many pictures wait."""
        return sum(account.waiting for account in self.accounts.values())

    @property
    def held_bytes(self) -> int:
        """Return how many bytes the spool holds, those of quarantined pictures included."""
        return sum(account.held_bytes for account in self.accounts.values())

    @property
    def delivered(self) -> int:
        """Return how many pictures have arrived."""
        return sum(account.delivered for account in self.accounts.values())

    @property
    def quarantined(self) -> int:
        """Return how many pictures are set aside."""
        return sum(account.quarantined for account in self.accounts.values())

    @property
    def link(self) -> Mapping[str, Any]:
        """Return what the daemon says of its link."""
        link = (self.state or {}).get("link")
        return link if isinstance(link, dict) else {}

    @property
    def next_try_s(self) -> float | None:
        """Return in how many seconds a paused link is tried again; None where it is not paused."""
        at = self.link.get("open_at_boot_s")
        return max(0.0, at - self.boot_s) if isinstance(at, int | float) else None

    @property
    def oldest_age_s(self) -> float | None:
        """Return how long the oldest picture has waited, by the wall clock; None where none waits."""
        return since(self.oldest_waiting["captured_at"], self.wall) if self.oldest_waiting else None

    @property
    def last_error(self) -> dict[str, Any] | None:
        """Return the last upload that failed, as the running daemon remembers it."""
        error = (self.state or {}).get("uploads", {}).get("last_error")
        return error if isinstance(error, dict) else None

    @property
    def line(self) -> str:
        """Return the verdict in one line."""
        rest = self.tariff.get("resting")
        return headline(
            self.judgement,
            waiting=self.waiting,
            delivered=self.delivered,
            lost=sum(sum(account.dropped.values()) for account in self.accounts.values()),
            resting=rest["reason"] if rest and self.running else None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values; `schema` grows when a field changes its meaning."""
        return {
            "schema": SCHEMA,
            "verdict": {"line": self.line, **self.judgement.as_json()},
            "running": self.running,
            "spool_dir": str(self.spool_dir),
            "sources": {
                name: {**asdict(account), "waiting": account.waiting} for name, account in self.accounts.items()
            },
            "inputs": {one.name: one.as_json(self.boot_s) for one in self.inputs},
            "queue": {
                "items": self.waiting,
                "bytes": self.held_bytes,
                "oldest_age_s": _rounded(self.oldest_age_s),
                **self.outlook.as_json(),
            },
            "uploads": {"last_error": self.last_error, "next_try_in_s": _rounded(self.next_try_s)},
            "device": asdict(self.device),
            "last_delivery": self.last_delivery,
            "oldest_waiting": self.oldest_waiting,
            "paused_since": self.paused_since,
            "tariff": self.tariff,
            "actions": [action.as_json() for action in self.actions],
            "daemon": self.state,
        }


def since(text: str, wall: datetime) -> float:
    """Return the seconds since a moment that the spool wrote down; none for one that is still to come."""
    return max(0.0, (wall - datetime.fromisoformat(text)).total_seconds())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)

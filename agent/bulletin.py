"""What the daemon tells of itself at each look: the verdict for `systemctl status`, and now and then a sample.

A look where nothing changed costs no look into the index: the totals are read again when a commit was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.chronicle import Chronicle, Trouble, chronicle_path
from agent.device import DeviceMeter
from agent.headline import headline
from agent.outlook import sample_of, share_of
from agent.verdict import facts_of, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.clock import Clock
    from agent.config.configuration import Configuration
    from agent.device import Device
    from agent.pipeline import Pipeline
    from agent.spool.ledger import Account

DEVICE_EVERY_S = 30.0
OWN_IO = Path("/proc/self/io")


class Bulletin:
    """Looks at one pipeline; made anew with it."""

    def __init__(self, pipeline: Pipeline, configuration: Configuration, *, clock: Clock) -> None:
        self._pipeline = pipeline
        self._limits = configuration.settings.spool
        self._clock = clock
        self._chronicle = Chronicle(chronicle_path(configuration.state_file), clock=clock)
        self._meter = DeviceMeter(configuration.spool_dir)
        self._device: Device | None = None
        self._looked_at = float("-inf")
        self._version: int | None = None
        self._accounts: dict[str, Account] = {}

    def line(self, facts: Mapping[str, Any]) -> str:
        """Return the verdict on `facts`, which are those of the state file, and on the queue and the machine."""
        accounts = self._totals().values()
        closed = self._pipeline.link.closed
        self._note(facts, resting=closed is not None)
        waiting = sum(account.waiting for account in accounts)
        share = share_of(accounts, self._limits.max_bytes, self._limits.max_items)
        judgement = judge(
            facts_of(
                facts,
                waiting=waiting,
                quarantined=sum(account.quarantined for account in accounts),
                spool_share=share,
                device=self._machine(),
            )
        )
        return headline(
            judgement,
            waiting=waiting,
            delivered=sum(account.delivered for account in accounts),
            lost=sum(sum(account.dropped.values()) for account in accounts),
            resting=closed.reason if closed else None,
        )

    def _totals(self) -> dict[str, Account]:
        version = self._pipeline.spool.version()
        if version != self._version:
            self._accounts = self._pipeline.spool.accounts()
            self._version = version
        return self._accounts

    def _machine(self) -> Device | None:
        now = self._clock.boot()
        if now - self._looked_at >= DEVICE_EVERY_S:
            self._looked_at = now
            self._device = self._meter.look()
        return self._device

    def _note(self, facts: Mapping[str, Any], *, resting: bool) -> None:
        link = facts["link"]
        seen = {
            Trouble.LINK_PAUSED: link["cause"] is not None,
            Trouble.PAUSED_BY_HAND: link["paused_since"] is not None,
            Trouble.RESTING: resting,
            Trouble.INTAKE_PAUSED: bool(facts["intake_paused"]),
        }
        for trouble, is_there in seen.items():
            if is_there:
                self._chronicle.note(trouble)
        if self._chronicle.due:
            self._chronicle.write(sample_of(self._totals(), self._clock.boot(), written_bytes=written_bytes()))


def written_bytes(io: Path = OWN_IO) -> int:
    """Return how many bytes a process has had written to disks, memory file systems left out; 0 where none can tell."""
    try:
        lines = io.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("write_bytes:")]
    return int(found[0]) if found and found[0].isdecimal() else 0

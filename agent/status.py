"""What can be said of an agent from outside: its spool, its state file, and whether it runs.

All are files, so this also works while the daemon is down, and never disturbs one that is up.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.chronicle import chronicle_path, read_chronicle
from agent.clock import SystemClock
from agent.device import DeviceMeter
from agent.errors import SpoolUnavailable
from agent.inputs import inputs
from agent.outlook import outlook, rates, sample_of, share_of
from agent.spool import ledger
from agent.spool.errands import read_errands
from agent.spool.orders import read_standing
from agent.spool.ownership import is_owned, owner_note
from agent.spool.reader import Reader
from agent.spool.schema import INDEX
from agent.spool.traffic import read_sent
from agent.standing import Status
from agent.state import read_state
from agent.tariff import facts
from agent.verdict import facts_of, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.chronicle import Sample
    from agent.clock import Clock
    from agent.outline import Outline
    from agent.outlook import Outlook
    from agent.spool.ledger import Account

# By number first: the receipts of half a year are many, and have no index by their time.
NEWEST_RECEIPT = """
SELECT filename, delivered_at, result FROM (SELECT * FROM receipt ORDER BY item_id DESC LIMIT 5000)
ORDER BY delivered_at DESC LIMIT 1
"""
LAST_PICTURES = """
SELECT source, max(captured_at) AS captured_at FROM
(SELECT * FROM (SELECT source, captured_at FROM item ORDER BY id DESC LIMIT 5000) UNION ALL
SELECT * FROM (SELECT source, captured_at FROM receipt ORDER BY item_id DESC LIMIT 5000)) GROUP BY source
"""
OLDEST_WAITING = "SELECT filename, captured_at FROM item WHERE state = 'waiting' ORDER BY id LIMIT 1"


def look(outline: Outline, *, clock: Clock | None = None, meter: DeviceMeter | None = None) -> Status:
    """Look at the agent that an outline is of; a spool that was never used is an empty one."""
    clock, directory = clock or SystemClock(), outline.spool_dir
    running = is_owned(directory)
    note = owner_note(directory).get("state_file")
    state = read_state(Path(note)) if running and isinstance(note, str) else None
    samples = read_chronicle(chronicle_path(outline.state_file), clock.boot())
    device = (meter or DeviceMeter(existing(directory))).look()
    seen: dict[str, Any] = {"running": running, "state": state, "device": device, "samples": tuple(samples)}
    if not _is_there(directory / INDEX):
        return _judged(outline, clock, seen, sent={}, last={})
    reader = Reader(directory)
    try:
        newest, oldest = _newest(state) or reader.one(NEWEST_RECEIPT), reader.one(OLDEST_WAITING)
        seen |= {
            "accounts": ledger.accounts(reader.all(ledger.TALLY)),
            "paused_since": read_standing(reader).paused_since,
            "last_delivery": dict(newest) if newest else None,
            "oldest_waiting": dict(oldest) if oldest else None,
            "actions": tuple(read_errands(reader)),
        }
        last = {row["source"]: row["captured_at"] for row in reader.all(LAST_PICTURES)}
        return _judged(outline, clock, seen, sent=read_sent(reader), last=last)
    finally:
        reader.close()


def _judged(
    outline: Outline,
    clock: Clock,
    seen: dict[str, Any],
    *,
    sent: Mapping[str, int],
    last: Mapping[str, str],
) -> Status:
    """Put together what was seen and what follows from it."""
    accounts, now = seen.get("accounts", {}), clock.boot()
    state, running, paused_since = seen["state"], seen["running"], seen.get("paused_since")
    waiting = sum(account.waiting for account in accounts.values())
    judged = judge(
        facts_of(
            state,
            running=running,
            waiting=waiting,
            quarantined=sum(account.quarantined for account in accounts.values()),
            spool_share=share_of(accounts.values(), outline.max_bytes, outline.max_items),
            paused_since=paused_since,
            device=seen["device"],
        )
    )
    return Status(
        **seen,
        spool_dir=outline.spool_dir,
        boot_s=now,
        wall=clock.wall(),
        judgement=judged,
        tariff=facts(outline.tariff, sent, clock.wall().astimezone()),
        outlook=_outlook(outline, accounts, seen["samples"], now, waiting, running=running),
        inputs=inputs(outline, state, accounts, last),
    )


def _outlook(
    outline: Outline,
    accounts: Mapping[str, Account],
    samples: Sequence[Sample],
    now: float,
    waiting: int,
    *,
    running: bool,
) -> Outlook:
    present = sample_of(accounts, now)
    room = outline.max_bytes - present.held_bytes
    try:
        disk = os.statvfs(existing(outline.spool_dir))
        room = min(room, disk.f_bavail * disk.f_frsize - outline.min_free_bytes)
    except OSError:
        pass
    return outlook(rates(samples if running else (), present), waiting=waiting, room_bytes=room)


def _newest(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the latest delivery of a running daemon, which knows it without a look through the receipts."""
    deliveries = (state or {}).get("deliveries")
    if not (isinstance(deliveries, list) and deliveries and isinstance(deliveries[0], dict)):
        return None
    return {name: deliveries[0].get(name) for name in ("filename", "delivered_at", "result")}


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there: a spool that was never used has a disk too."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _is_there(index: Path) -> bool:
    try:
        return index.exists()
    except OSError as error:
        raise SpoolUnavailable(
            f"cannot look into {index.parent}: {error.strerror}", remedy="Ask as the agent's user, or as root."
        ) from error

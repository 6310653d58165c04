"""Time, as a part that is handed in.

Waits are measured on the boot clock, which no one sets and which runs through a suspend; wall time only labels
things. A device without a battery-backed clock starts years in the past, and jumps: so whoever labels also notes on
which boot clock it was, and whether the wall time could be trusted.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from agent.synchronisation import is_synchronised

RELEASED = datetime(2026, 3, 1, tzinfo=UTC)
"""When this release was made: no device that runs it can live before. Moved with each release."""

LIFETIME = timedelta(days=25 * 365)
"""A clock that is further ahead of the release than that is wrong too; some start at the end of their range."""

TOLERANCE_S = 1.0
"""A label that is off by less is left alone: time services slew that much in their normal work."""


class Clock(Protocol):
    """What the agent asks of time."""

    def wall(self) -> datetime:
        """Return the present as aware UTC; it may be wrong and may jump."""
        ...

    def boot(self) -> float:
        """Return seconds since the machine booted; never goes back while it is up."""
        ...

    def trusted(self) -> bool:
        """Tell whether the wall time can be taken for the true time now."""
        ...


class Stamp(NamedTuple):
    """What is known of a capture time besides itself: from it, one that was written by a wrong clock is put right.

    `boot_s` is the moment on the boot clock of `boot_id`, None where it cannot be known. `trusted` tells whether the
    wall clock was to be trusted then.
    """

    boot_id: str
    boot_s: float | None
    trusted: bool


ASK_EVERY_S = 1.0
"""How long an answer about the time service holds: to ask the kernel and the disk for each picture costs 50 us."""

STEP_S = 0.1
"""A wall clock that has moved by more against the boot clock was set since, and is asked about anew."""


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._asked_at = self._asked_of = float("-inf")
        self._synchronised: bool | None = None

    def wall(self) -> datetime:
        """Return the machine's wall time as aware UTC."""
        return datetime.now(UTC)

    def boot(self) -> float:
        """Return the seconds since boot, those of a suspend included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def trusted(self) -> bool:
        """Tell whether a time service keeps the wall time, and it is not absurd."""
        wall, now = self.wall(), self.boot()
        booted = wall.timestamp() - now
        if now - self._asked_at >= ASK_EVERY_S or abs(booted - self._asked_of) > STEP_S:
            self._synchronised = is_synchronised()
            self._asked_at, self._asked_of = now, booted
        return is_trusted(wall, synchronised=self._synchronised)


def is_plausible(wall: datetime) -> bool:
    """Tell whether a wall time can be true at all."""
    return RELEASED <= wall < RELEASED + LIFETIME


def is_trusted(wall: datetime, *, synchronised: bool | None) -> bool:
    """Decide whether to trust a wall time; where nothing is known of a time service (None), it has to be plausible."""
    return is_plausible(wall) and synchronised is not False


def put_right(labelled: datetime, boot_s: float, *, wall: datetime, boot: float) -> datetime:
    """Return the true time of the moment `boot_s`, by a clock that is right now; `labelled` where that is about it."""
    true = wall - timedelta(seconds=boot - boot_s)
    return labelled if abs((true - labelled).total_seconds()) <= TOLERANCE_S else true


def stamp_now(labelled: datetime, boot_s: float, clock: Clock) -> tuple[datetime, Stamp]:
    """Return the time and the stamp of what was captured at `boot_s`.

    Between the capture and now the clock may have been set: then the label is put right at once.
    """
    trusted = clock.trusted()
    if trusted:
        labelled = put_right(labelled, boot_s, wall=clock.wall(), boot=clock.boot())
    return labelled, Stamp(boot_id(), boot_s, trusted)


def stamp_file(written: datetime, clock: Clock) -> Stamp:
    """Return the stamp of what was in a file before we saw it.

    Its moment on the boot clock is known only where its time is implausible, and lies in this boot as the wall clock
    has it until now.
    """
    wall, boot = clock.wall(), clock.boot()
    boot_s = boot - (wall - written).total_seconds()
    known = not is_plausible(written) and 0 <= boot_s <= boot
    return Stamp(boot_id(), boot_s if known else None, clock.trusted())


@cache
def boot_id() -> str:
    """Return the kernel's name for this boot: boot clocks compare only under the same one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


@lru_cache(maxsize=64)
def utc_text(moment: datetime) -> str:
    """Format an aware time as the contract wants it: `2026-03-14T08:15:02.417Z`, milliseconds, UTC.

    A picture's own time goes into its name, its metadata and its row, and is written once.
    """
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"

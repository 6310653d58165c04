"""Time, as a part that is handed in.

Waits are measured on the boot clock, which no one sets and which runs through a suspend; wall time only labels
things. A device without a battery-backed clock starts years in the past, and jumps.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What the agent asks of time."""

    def wall(self) -> datetime:
        """Return the present as aware UTC; it may be wrong and may jump."""
        ...

    def boot(self) -> float:
        """Return seconds since the machine booted; never goes back while it is up."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall(self) -> datetime:
        """Return the machine's wall time as aware UTC."""
        return datetime.now(UTC)

    def boot(self) -> float:
        """Return the seconds since boot, those of a suspend included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return the kernel's name for this boot: boot clocks compare only under the same one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def utc_text(moment: datetime) -> str:
    """Format an aware time as the contract wants it: `2026-03-14T08:15:02.417Z`, milliseconds, UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

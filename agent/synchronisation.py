"""Whether a time service keeps the machine's clock: asked of the kernel, and of systemd's own service.

The kernel forgets after half a day without a server, and a hardened service may not ask it at all; the mark of
systemd-timesyncd stays for the whole boot.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from agent.libc import LIBC

TIMESYNCD = Path("/run/systemd/timesync")
MARK = "synchronized"
TIME_ERROR = 5  # adjtimex: "the system clock is not synchronized"
TIMEX_BYTES = 512  # more than any architecture's `struct timex`; all zeros ask and set nothing


def is_synchronised() -> bool | None:
    """Return whether the clock is kept by a time service; None where nobody says."""
    return decide(_kernel_says(), _timesyncd_says())


def decide(kernel: bool | None, service: bool | None) -> bool | None:  # noqa: FBT001 (two answers of one kind)
    """Decide from both answers, None being none: one yes is enough, and without one a no counts."""
    if kernel or service:
        return True
    return None if kernel is None and service is None else False


def _kernel_says() -> bool | None:
    state: int = LIBC.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else state != TIME_ERROR


def _timesyncd_says(folder: Path = TIMESYNCD) -> bool | None:
    """Return whether systemd-timesyncd has set the clock in this boot; None where it does not run."""
    try:
        return (folder / MARK).exists() or (False if folder.exists() else None)
    except OSError:
        return None

"""Sets the machine's clock, by a microsecond and back, where that may be done; and sees who sleeps meanwhile."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.synchronisation import is_synchronised

if TYPE_CHECKING:
    import threading

ADJ_SETOFFSET = 0x0100
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Timex(ctypes.Structure):
    """The kernel's `struct timex`, as far as it is used here."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def set_clock(microseconds: int) -> None:
    """Set the wall clock by so little; skips the test where that is not allowed, or would upset a time service.

    To the kernel it is a step as any other. It adds the difference itself, so that nothing is lost in between, as it
    would be by asking for the time and setting it.
    """
    if is_synchronised():
        pytest.skip("a time service keeps this machine's clock, and would have to begin anew")
    assert abs(microseconds) <= 1
    step = _Timex(modes=ADJ_SETOFFSET, seconds=min(microseconds, 0), microseconds=microseconds % 1_000_000)
    if _LIBC.adjtimex(ctypes.byref(step)) < 0:
        pytest.skip(f"only who may set the clock can try it: {os.strerror(ctypes.get_errno())}")


def sleeps(thread: threading.Thread) -> bool:
    """Tell whether a thread of this process sleeps in the kernel, or has ended: others may set the clock too."""
    try:
        stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text(encoding="utf-8")
    except OSError:
        return not thread.is_alive()
    return stat.rpartition(") ")[2].startswith("S")

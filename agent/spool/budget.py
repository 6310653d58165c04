"""How much the spool may hold: a pure decision from what is used and what is allowed (I5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What the spool may use: a cap on its own bytes, a floor of free bytes on its disk, items set aside."""

    max_bytes: int
    min_free_bytes: int
    quarantine_max_items: int = 1000


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used now, in bytes; what is being written counts as written."""

    spool_bytes: int
    free_bytes: int


# Rows, their journal and a folder entry, generously: a picture that is only linked still costs this much disk.
OVERHEAD_BYTES = 32_768


def refusal(usage: Usage, limits: Limits, *, size: int, linked: bool) -> str | None:
    """Say why a picture of `size` bytes has no room, or None where it has.

    A linked picture takes no new disk space now, but it counts against the cap: it is the spool that keeps its
    bytes once the original is gone.
    """
    if usage.spool_bytes + size > limits.max_bytes:
        return (
            f"the spool is full: {usage.spool_bytes} bytes wait, {size} more would pass "
            f"spool.max_bytes = {limits.max_bytes}"
        )
    needed = OVERHEAD_BYTES + (0 if linked else size)
    if usage.free_bytes - needed < limits.min_free_bytes:
        return (
            f"the disk is nearly full: {usage.free_bytes} bytes are free, "
            f"spool.min_free_bytes = {limits.min_free_bytes}"
        )
    return None

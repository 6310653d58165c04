"""How much the spool may hold: a pure decision from what is used and what is allowed (I5)."""

from __future__ import annotations

from dataclasses import dataclass

from agent.frame import PRIORITY


@dataclass(frozen=True, slots=True)
class Policy:
    """What gives way when a source finds the spool full: `pause`, `thin`, `oldest` or `newest`.

    `frees_disk` is false where originals stay: to drop their items makes room under the caps, not on the disk. Of
    sources that give way alike, those with the lowest `priority` do first.
    """

    when_full: str = "pause"
    frees_disk: bool = True
    priority: int = PRIORITY


@dataclass(frozen=True, slots=True)
class Limits:
    """What the spool may use: caps on its own bytes and items, floors of what is free on its disk."""

    max_bytes: int
    min_free_bytes: int
    quarantine_max_items: int = 1000
    max_items: int = 1_000_000
    min_free_inodes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used now; what is being written counts as written.

    `free_inodes` is None where the file system has no fixed number of them.
    """

    spool_bytes: int
    free_bytes: int
    spool_items: int = 0
    free_inodes: int | None = None


@dataclass(frozen=True, slots=True)
class Leeway:
    """What may still come in without another look at the disk: a small part of the room that was found."""

    size: int
    items: int

    def less(self, size: int) -> Leeway | None:
        """Return what is left behind a picture of `size` bytes; None where it is time to look again."""
        left = Leeway(self.size - size, self.items - 1)
        return left if left.size >= 0 and left.items >= 0 else None


@dataclass(frozen=True, slots=True)
class Shortage:
    """What is missing for one more picture: so many bytes or items have to go, from the disk or from the books."""

    why: str
    size: int = 0
    items: int = 0
    on_disk: bool = False

    def is_less_than(self, other: Shortage) -> bool:
        """Tell whether something of the other shortage has been made good."""
        return self.size < other.size or self.items < other.items


LEEWAY_SHARE = 16
MOST_UNSEEN = 31  # a batch, less the one for which was looked
UNSEEN_S = 0.2  # and no longer: others write, too
# Rows, their journal and a folder entry, generously: a picture that is only linked still costs this much disk.
OVERHEAD_BYTES = 32_768
# A folder for the picture, and what SQLite may need beside its file.
OVERHEAD_INODES = 4


def shortage(usage: Usage, limits: Limits, *, size: int, linked: bool) -> Shortage | None:
    """Say what is missing for a picture of `size` bytes, or None where it has room.

    A linked picture takes no new disk space now, but it counts against the caps: it is the spool that keeps its
    bytes once the original is gone.
    """
    over = usage.spool_bytes + size - limits.max_bytes
    if over > 0:
        return Shortage(
            f"the spool is full: {usage.spool_bytes} bytes wait, {size} more would pass "
            f"spool.max_bytes = {limits.max_bytes}",
            size=over,
        )
    if usage.spool_items >= limits.max_items:
        return Shortage(
            f"the spool is full: {usage.spool_items} pictures wait, spool.max_items = {limits.max_items}",
            items=usage.spool_items + 1 - limits.max_items,
        )
    return _on_disk(usage, limits, size=0 if linked else size, files=0 if linked else 1)


def leeway(usage: Usage, limits: Limits) -> Leeway:
    """Return what may come in without another look: of all that is free so little that others cannot make it wrong."""
    size = min(limits.max_bytes - usage.spool_bytes, usage.free_bytes - limits.min_free_bytes)
    items = limits.max_items - usage.spool_items
    if usage.free_inodes is not None:
        items = min(items, (usage.free_inodes - limits.min_free_inodes) // OVERHEAD_INODES)
    return Leeway(size // LEEWAY_SHARE - MOST_UNSEEN * OVERHEAD_BYTES, min(items // LEEWAY_SHARE, MOST_UNSEEN))


def _on_disk(usage: Usage, limits: Limits, *, size: int, files: int) -> Shortage | None:
    below = limits.min_free_bytes - (usage.free_bytes - size - OVERHEAD_BYTES)
    if below > 0:
        return Shortage(
            f"the disk is nearly full: {usage.free_bytes} bytes are free, "
            f"spool.min_free_bytes = {limits.min_free_bytes}",
            size=below,
            on_disk=True,
        )
    if usage.free_inodes is None:
        return None
    below = limits.min_free_inodes - (usage.free_inodes - files - OVERHEAD_INODES)
    if limits.min_free_inodes > 0 and below > 0:
        return Shortage(
            f"the disk is nearly out of inodes: {usage.free_inodes} are free, "
            f"spool.min_free_inodes = {limits.min_free_inodes}",
            items=below,
            on_disk=True,
        )
    return None

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.spool.budget import (
    MOST_UNSEEN,
    OVERHEAD_BYTES,
    OVERHEAD_INODES,
    Leeway,
    Limits,
    Shortage,
    Usage,
    leeway,
    shortage,
)

LIMITS = Limits(max_bytes=1_000_000, min_free_bytes=500_000, max_items=10, min_free_inodes=100)
PLENTY = 10_000_000


@pytest.mark.parametrize(
    ("held", "free", "size", "linked", "setting"),
    [
        (0, PLENTY, 1, False, None),
        (999_999, PLENTY, 1, False, None),
        (1_000_000, PLENTY, 0, False, None),
        (1_000_000, PLENTY, 1, False, "spool.max_bytes"),
        (1_000_000, PLENTY, 1, True, "spool.max_bytes"),
        (0, PLENTY, 1_000_001, True, "spool.max_bytes"),
        (0, 500_000 + OVERHEAD_BYTES + 1000, 1000, False, None),
        (0, 500_000 + OVERHEAD_BYTES + 999, 1000, False, "spool.min_free_bytes"),
        (0, 500_000 + OVERHEAD_BYTES, 1000, True, None),
        (0, 500_000 + OVERHEAD_BYTES - 1, 1000, True, "spool.min_free_bytes"),
        (0, -1, 0, True, "spool.min_free_bytes"),
    ],
)
def test_i5_a_picture_has_room_up_to_the_cap_and_down_to_the_floor(
    held: int, free: int, size: int, *, linked: bool, setting: str | None
) -> None:
    """The cap counts every picture, the floor only what is written, and both may be met exactly."""
    missing = shortage(Usage(spool_bytes=held, free_bytes=free), LIMITS, size=size, linked=linked)
    assert (missing is None) if setting is None else (missing is not None and setting in missing.why)


@pytest.mark.parametrize(
    ("items", "inodes", "linked", "setting"),
    [
        (9, None, False, None),
        (10, None, True, "spool.max_items"),
        (0, 100 + OVERHEAD_INODES + 1, False, None),
        (0, 100 + OVERHEAD_INODES, False, "spool.min_free_inodes"),
        (0, 100 + OVERHEAD_INODES, True, None),
        (0, 100 + OVERHEAD_INODES - 1, True, "spool.min_free_inodes"),
        (0, None, False, None),
    ],
)
def test_i5_items_and_inodes_have_bounds_of_their_own(
    items: int, inodes: int | None, *, linked: bool, setting: str | None
) -> None:
    """A million tiny pictures are too many however few bytes they have; what counts no inodes has no such floor."""
    usage = Usage(spool_bytes=0, free_bytes=PLENTY, spool_items=items, free_inodes=inodes)
    missing = shortage(usage, LIMITS, size=1, linked=linked)
    assert (missing is None) if setting is None else (missing is not None and setting in missing.why)


def test_without_a_floor_inodes_are_not_counted() -> None:
    """A floor of 0 turns it off, for file systems whose figures mean nothing."""
    limits = Limits(max_bytes=10, min_free_bytes=0, min_free_inodes=0)
    assert shortage(Usage(0, PLENTY, free_inodes=0), limits, size=1, linked=False) is None


@pytest.mark.parametrize(
    ("usage", "missing"),
    [
        (
            Usage(900_000, PLENTY),
            Shortage(
                "the spool is full: 900000 bytes wait, 200000 more would pass spool.max_bytes = 1000000", size=100_000
            ),
        ),
        (Usage(0, PLENTY, 12), Shortage("the spool is full: 12 pictures wait, spool.max_items = 10", items=3)),
        (
            Usage(0, 600_000),
            Shortage(
                "the disk is nearly full: 600000 bytes are free, spool.min_free_bytes = 500000",
                size=100_000 + OVERHEAD_BYTES,
                on_disk=True,
            ),
        ),
        (
            Usage(0, PLENTY, free_inodes=50),
            Shortage(
                "the disk is nearly out of inodes: 50 are free, spool.min_free_inodes = 100",
                items=51 + OVERHEAD_INODES,
                on_disk=True,
            ),
        ),
    ],
    ids=["bytes", "items", "free bytes", "free inodes"],
)
def test_a_shortage_names_its_figures(usage: Usage, missing: Shortage) -> None:
    """Who reads it learns what is used and which setting says no; who makes room learns how much is enough."""
    assert shortage(usage, LIMITS, size=200_000, linked=False) == missing


# What is left is drawn from where the bounds are near, in whole megabytes: of a wide range mostly small numbers
# are drawn. Pictures are a part of it.
MEGABYTES = st.integers(0, 300).map(lambda count: count * 1_000_000)


@settings(max_examples=500, deadline=None)
@given(
    room=MEGABYTES,
    disk_room=MEGABYTES,
    items_left=st.integers(0, 800),
    inodes_left=st.none() | st.integers(0, 3200),
    parts=st.integers(1, 100) | st.integers(1, 3000),
)
def test_i5_what_comes_in_without_a_look_leaves_caps_and_floors_whole(
    room: int, disk_room: int, items_left: int, inodes_left: int | None, parts: int
) -> None:
    """As many pictures as a look lets through unseen, each with its rows and folder, pass no cap and no floor.

    And they leave most of the room that was found: others write to that disk as well.
    """
    size = min(room, disk_room) // parts
    limits = Limits(max_bytes=10**9, min_free_bytes=10**8, max_items=10_000, min_free_inodes=1000)
    inodes = None if inodes_left is None else limits.min_free_inodes + inodes_left
    usage = Usage(limits.max_bytes - room, limits.min_free_bytes + disk_room, limits.max_items - items_left, inodes)
    left: Leeway | None = leeway(usage, limits)
    taken = -1
    while left is not None:
        left, taken = left.less(size), taken + 1
    assert taken <= MOST_UNSEEN
    assert taken * size <= room
    assert taken <= items_left
    assert taken * (size + OVERHEAD_BYTES) <= disk_room
    assert taken * size <= disk_room / 8
    assert inodes_left is None or taken * OVERHEAD_INODES <= inodes_left

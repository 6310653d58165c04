from __future__ import annotations

import pytest

from agent.spool.budget import OVERHEAD_BYTES, Limits, Usage, refusal

LIMITS = Limits(max_bytes=1_000_000, min_free_bytes=500_000)
PLENTY = 10_000_000


@pytest.mark.parametrize(
    ("held", "free", "size", "linked", "refused_for"),
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
    held: int, free: int, size: int, *, linked: bool, refused_for: str | None
) -> None:
    """The cap counts every picture, the floor only what is written, and both may be met exactly."""
    why = refusal(Usage(spool_bytes=held, free_bytes=free), LIMITS, size=size, linked=linked)
    assert (why is None) if refused_for is None else (why is not None and refused_for in why)


def test_a_refusal_names_its_figures() -> None:
    """Who reads the refusal learns what is used, what was asked and which setting says no."""
    why = refusal(Usage(spool_bytes=900_000, free_bytes=PLENTY), LIMITS, size=200_000, linked=False)
    assert why == "the spool is full: 900000 bytes wait, 200000 more would pass spool.max_bytes = 1000000"

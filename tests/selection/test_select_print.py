from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.selection.bank import Bank
from agent.selection.prints import CELLS, PLANE_BYTES, PLANES, Print

HALF = PLANES // 2


def print_of(levels: list[int]) -> Print:
    """Return the print of a picture whose cells stand out by so many levels, -4 to 4."""
    limits = [(sign, level) for sign in (1, -1) for level in range(1, HALF + 1)]
    return Print(tuple(sum(1 << at for at, own in enumerate(levels) if own * sign >= level) for sign, level in limits))


seeds = st.integers(0, 2**32)


def some_levels(seed: int) -> list[int]:
    """Return levels for all cells: drawn by a seed, since hypothesis takes long over so many numbers."""
    chance = random.Random(seed)
    return [chance.randint(-HALF, HALF) for _ in range(CELLS)]


@given(seeds, seeds)
def test_the_distance_is_the_share_of_cells_that_moved_by_two_levels(one: int, other: int) -> None:
    """What the planes say at once is what a loop over the cells would."""
    left, right = some_levels(one), some_levels(other)
    moved = sum(abs(here - there) >= 2 for here, there in zip(left, right, strict=True))
    assert print_of(left).distance(print_of(right)) == moved / CELLS


@given(seeds)
def test_a_cell_at_a_limit_does_not_count(seed: int) -> None:
    """Noise and flicker move a cell by one level at most, and that is no change, however many do."""
    levels = some_levels(seed)
    chance = random.Random(seed + 1)
    shaken = [max(-HALF, min(HALF, level + chance.choice((-1, 0, 1)))) for level in levels]
    assert print_of(levels).distance(print_of(shaken)) == 0


@settings(max_examples=30)
@given(seeds, seeds)
def test_distances_are_symmetric(one: int, other: int) -> None:
    """It does not matter which of two pictures came first, and a picture is at no distance from itself."""
    left, right = print_of(some_levels(one)), print_of(some_levels(other))
    assert left.distance(right) == right.distance(left)
    assert left.distance(left) == 0


@settings(max_examples=30)
@given(seeds)
def test_a_print_survives_its_text(seed: int) -> None:
    """A print is the same after it went through the index or a pipe."""
    there = print_of(some_levels(seed))
    assert Print.of_text(there.text()) == there


@pytest.mark.parametrize("text", ["", "abc", "!" * 40, "\N{SNOWMAN}", "0" * 5])
def test_what_is_no_print_is_refused(text: str) -> None:
    """A text that is none raises ValueError, whatever it is."""
    with pytest.raises(ValueError, match="no print"):
        Print.of_text(text)


def test_a_print_is_small() -> None:
    """A print takes less than a kilobyte, so a bank of them fits in a row."""
    assert PLANES * PLANE_BYTES == 768


@cache
def blank(level: int, share: float = 1.0) -> Print:
    """Return a print of which a share of the cells has one level, the rest none."""
    return print_of([level if at < share * CELLS else 0 for at in range(CELLS)])


def test_an_empty_bank_finds_everything_new() -> None:
    """Before anything was kept every picture is news."""
    assert Bank(4).nearest(blank(0)) == 1.0


def test_the_bank_compares_with_all_that_it_holds() -> None:
    """A picture that looks like the one before the last is no news either."""
    bank = Bank(3)
    for level in (0, 2, 4):
        bank.keep(blank(level), 0.1)
    assert [bank.nearest(blank(level)) for level in (0, 2, 4)] == [0, 0, 0]
    assert bank.nearest(blank(-2)) == 1.0


@given(st.lists(st.integers(-HALF, HALF), max_size=40), st.integers(1, 6))
def test_the_bank_is_bounded_and_holds_the_newest(levels: list[int], size: int) -> None:
    """Whatever is kept, the bank holds at most its size, and always what was kept last."""
    bank = Bank(size)
    for level in levels:
        bank.keep(blank(level), 0.1)
        assert len(bank) <= size
        assert bank.nearest(blank(level)) == 0


def test_one_thing_kept_often_does_not_push_the_others_out() -> None:
    """What is alike takes the place of what it is like."""
    bank = Bank(2)
    bank.keep(blank(4), 0.1)
    for _ in range(10):
        bank.keep(blank(-4), 0.1)
    assert bank.nearest(blank(4)) == 0


@given(st.lists(st.integers(-HALF, HALF), max_size=8))
def test_a_bank_survives_its_texts(levels: list[int]) -> None:
    """A bank knows the same after a restart."""
    bank = Bank(8)
    for level in levels:
        bank.keep(blank(level), 0.0)
    again = Bank.of_texts(8, bank.texts())
    assert again.texts() == bank.texts()

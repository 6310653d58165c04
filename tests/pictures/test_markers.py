from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.pictures.markers import next_marker

MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def expected(data: bytes | bytearray, at: int, end: int) -> int:
    """Say the same by looking at every byte."""
    found = MARKER.search(data, at, end)
    return -1 if found is None else found.end() - 1


# Bytes that are a marker, nearly one, and none, in runs that are longer than the steps that are taken at a time.
PIECES = st.lists(
    st.tuples(
        st.sampled_from([b"\xff", b"\xff\x00", b"\xff\xd7", b"\xff\xff", b"\xff\xd9", b"\0", b"\xd9", bytes(700)]),
        st.integers(1, 300),
    ),
    max_size=6,
)


@given(PIECES, st.integers(0, 50), st.integers(0, 50))
@example([(b"\xff\x00", 300), (b"\xff\xd9", 1)], 0, 0)
@example([(bytes(700) + b"\xff\x00", 300), (b"\xff\xd9", 1)], 0, 0)
@example([(bytes(700) + b"\xff\x00", 100), (b"\xff\xd0", 300), (b"\xff\xda", 1)], 0, 0)
def test_the_next_marker_is_found_wherever_it_lies(pieces: list[tuple[bytes, int]], skipped: int, less: int) -> None:
    """Whatever stands before it, dense or sparse, it is the same one that a look at every byte finds."""
    data = b"".join(piece * times for piece, times in pieces)
    end = max(0, len(data) - less)
    for held in (data, bytearray(data)):
        assert next_marker(held, skipped, end) == expected(held, skipped, end)


@pytest.mark.parametrize("second", range(256))
def test_what_opens_a_segment(second: int) -> None:
    """Data, filling and what keeps decoders in step is passed over; every other byte behind FF counts."""
    passed = {0x00, 0xFF, *range(0xD0, 0xD8)}
    assert next_marker(bytes((1, 0xFF, second)), 0, 3) == (-1 if second in passed else 2)


def test_a_marker_cut_in_two_is_none() -> None:
    """Its first byte alone may still become anything."""
    assert next_marker(b"\0\xff\xd9", 0, 2) == -1
    assert next_marker(b"\0\xff\xd9", 2, 3) == -1
    assert next_marker(b"", 0, 0) == -1

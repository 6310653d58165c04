from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.selection.ring import Ring


def ring(seconds: float = 10, most_bytes: int = 1000) -> tuple[Ring[str], list[tuple[str, str, int]]]:
    """Return a ring, and the list of what leaves it unwanted."""
    left: list[tuple[str, str, int]] = []
    return Ring(seconds, most_bytes, lambda one, rule, size: left.append((one, rule, size))), left


def test_the_ring_gives_what_came_just_before() -> None:
    """What a rule wants is what came within its seconds, oldest first, and not what came after it."""
    held, left = ring()
    for second in range(6):
        held.add(f"f{second}", second, 10, "change")
    assert held.before(4, 2) == ["f2", "f3", "f4"]
    assert not left


def test_what_is_taken_is_not_let_go() -> None:
    """A picture that a rule wanted leaves silently: it is not skipped any more."""
    held, left = ring()
    held.add("a", 0, 10, "change")
    held.add("b", 1, 10, "blur")
    held.take("a")
    held.clear()
    assert left == [("b", "blur", 10)]
    assert len(held) == 0


def test_what_is_too_old_leaves() -> None:
    """The ring reaches back so many seconds, and no further."""
    held, left = ring(seconds=3)
    for second in range(6):
        held.add(f"f{second}", second, 10, "change")
    assert [one for one, _, _ in left] == ["f0", "f1"]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 400)), max_size=60), st.integers(0, 1000))
def test_the_ring_never_holds_more_than_it_may(added: list[tuple[float, int]], most: int) -> None:
    """Whatever comes, its bytes stay within the cap, and each one is held or was let go."""
    held, left = ring(seconds=20, most_bytes=most)
    for number, (at, size) in enumerate(added):
        held.add(str(number), at, size, "change")
        inside = {int(one) for one in held.before(1000, 2000)}
        assert sum(added[one][1] for one in inside) <= most
        assert inside | {int(one) for one, _, _ in left} == set(range(number + 1))

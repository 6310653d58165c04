from __future__ import annotations

import pytest

from agent.sources.companion import LONGEST_GROWTH_S, CompanionWait
from agent.sources.settle import Sighting

HALF, WHOLE = Sighting(1, 10, 100), Sighting(1, 20, 200)


@pytest.fixture
def pairs() -> CompanionWait:
    """Return a wait of 2 s for a missing sidecar and 1 s of quiet for one that is there."""
    return CompanionWait(settle_s=1.0, wait_s=2.0)


def test_a_sidecar_that_came_first_makes_nobody_wait(pairs: CompanionWait) -> None:
    """A picture whose sidecar has been quiet for the settle time is ready at once."""
    pairs.begin("a.jpg", WHOLE, 10.0)
    assert pairs.ready_at("a.jpg", WHOLE, 11.0) == 11.0


def test_a_missing_sidecar_is_waited_for_within_bounds(pairs: CompanionWait) -> None:
    """The wait begins when the picture has settled, and asking again does not prolong it."""
    pairs.begin("a.jpg", None, 10.0)
    assert [pairs.ready_at("a.jpg", None, now) for now in (11.0, 12.0, 13.0)] == [13.0, 13.0, 13.0]


def test_a_late_sidecar_gets_its_own_quiet_time(pairs: CompanionWait) -> None:
    """One that comes in the last moment of the wait is waited for until it is quiet."""
    pairs.begin("a.jpg", None, 10.0)
    pairs.ready_at("a.jpg", None, 11.0)
    pairs.note("a.jpg", HALF, 12.9)
    assert pairs.ready_at("a.jpg", HALF, 13.0) == 13.9
    assert pairs.ready_at("a.jpg", WHOLE, 13.9) == 14.9


def test_a_sidecar_that_never_rests_holds_nothing_for_ever(pairs: CompanionWait) -> None:
    """A sidecar that grows on and on is taken as it is a minute after its picture had settled."""
    pairs.begin("a.jpg", None, 10.0)
    now = 11.0
    while (at := pairs.ready_at("a.jpg", Sighting(1, int(now * 10), 1), now)) > now:
        now += 0.5
        assert now < 200
    assert (at, now) == (11.0 + LONGEST_GROWTH_S, 11.0 + LONGEST_GROWTH_S)


def test_a_sidecar_that_goes_is_missing_again(pairs: CompanionWait) -> None:
    """A sidecar that is removed while it is waited for leaves the wait for a missing one."""
    pairs.begin("a.jpg", HALF, 10.0)
    assert pairs.ready_at("a.jpg", HALF, 10.5) == 11.0
    assert pairs.ready_at("a.jpg", None, 10.6) == 12.5


def test_another_picture_of_the_name_waits_anew(pairs: CompanionWait) -> None:
    """A picture that was replaced while it waited has not used up the wait of the one before."""
    pairs.begin("a.jpg", None, 10.0)
    assert pairs.ready_at("a.jpg", None, 11.0) == 13.0
    pairs.begin("a.jpg", None, 12.9)
    assert pairs.ready_at("a.jpg", None, 13.9) == 15.9


@pytest.mark.parametrize(
    ("sidecar", "picture"),
    [
        ("a.annotations.json", "a.jpg"),
        ("a.jpg.json", "a.jpg"),
        ("a.json", "a.jpg"),
        ("a.txt", "a.jpg"),
        ("sub/b.txt", "sub/b.png"),
        ("sub/b.png.json", "sub/b.png"),
        ("b.txt", None),
        ("sub/a.txt", None),
        ("a.xml", "a.jpg"),
        ("a.csv", "a.jpg"),
        ("labels/a.txt", "a.jpg"),
        ("sub/labels/b.txt", "sub/b.png"),
        ("set/labels/day/e.txt", "set/images/day/e.jpg"),
        ("../labels/a.txt", "a.jpg"),
        ("../labels/sub/b.txt", "sub/b.png"),
        ("../elsewhere/a.txt", None),
        ("c.d.txt", "c.d.jpg"),
        ("c.txt", None),
    ],
)
def test_a_sidecar_finds_its_picture(pairs: CompanionWait, sidecar: str, picture: str | None) -> None:
    """The names that are looked for beside a picture lead back to it, in its own folder alone."""
    for name in ("a.jpg", "sub/b.png", "c.d.jpg", "set/images/day/e.jpg"):
        pairs.begin(name, None, 0.0)
    assert pairs.picture_of(sidecar, "../labels") == picture


def test_what_is_forgotten_waits_no_more(pairs: CompanionWait) -> None:
    """A picture that was taken is no sidecar's, while another of its stem still is."""
    pairs.begin("a.jpg", None, 0.0)
    pairs.begin("a.png", None, 0.0)
    pairs.forget("a.jpg")
    assert pairs.picture_of("a.txt") == "a.png"
    pairs.forget("a.png")
    pairs.forget("a.png")
    assert pairs.picture_of("a.txt") is None

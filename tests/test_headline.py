from __future__ import annotations

import pytest

from agent.headline import headline
from agent.verdict import Facts, judge
from agent.wording import pictures_text, rate_text, size_text, span_text


@pytest.mark.parametrize(
    ("facts", "told", "line"),
    [
        (Facts(), {"waiting": 0}, "HEALTHY: 0 pictures wait, 0 delivered"),
        (Facts(), {"waiting": 1, "delivered": 7}, "HEALTHY: 1 picture waits, 7 delivered"),
        (
            Facts(),
            {"waiting": 2, "resting": "by night"},
            "HEALTHY: 2 pictures wait, 0 delivered; uploads rest: by night",
        ),
        (
            Facts(link_cause="offline", link_reason="cannot connect."),
            {"waiting": 2},
            "DEGRADED: nothing can be delivered (offline): cannot connect; 2 pictures wait, none is lost, 0 delivered",
        ),
        (
            Facts(link_cause="offline", link_reason="gone"),
            {"waiting": 2, "lost": 1},
            "DEGRADED: nothing can be delivered (offline): gone; 2 pictures wait, 0 delivered",
        ),
        (
            Facts(running=False, waiting=3),
            {"waiting": 3, "delivered": 4},
            "ERROR: no agent runs; 3 pictures are in the queue, 4 delivered",
        ),
        (
            Facts(quarantined=1, clock_synchronised=False),
            {"waiting": 0},
            "DEGRADED: 1 picture is refused and set aside; 0 pictures wait, 0 delivered (and 1 more)",
        ),
    ],
)
def test_the_headline_says_what_is_wrong_first(facts: Facts, told: dict[str, object], line: str) -> None:
    """The word, the worst problem, and how many pictures it concerns; how many other problems there are."""
    assert headline(judge(facts), **told) == line  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (999_600, "1.0 MB"),
        (4e9, "4.0 GB"),
        (1e18, "1000 PB"),
    ],
)
def test_sizes_have_few_digits(size: float, text: str) -> None:
    """A size fits into a line, whatever it is."""
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (150, "2.5 min"),
        (36_000, "10 h"),
        (86_400, "1 day"),
        (9e5, "10 days"),
    ],
)
def test_durations_have_their_largest_unit(seconds: float, text: str) -> None:
    """A duration is read at a glance."""
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(0, "0/s"), (30, "30/s"), (1.25, "1.2/s"), (0.5, "30/min"), (1 / 3600, "1/h"), (1 / 86_400, "1/day")],
)
def test_rates_are_per_what_gives_a_figure(per_s: float, text: str) -> None:
    """A camera that gives a picture an hour is not `0.0003/s`."""
    assert rate_text(per_s) == text


def test_one_is_no_plural() -> None:
    """Pictures are counted as people count."""
    assert [pictures_text(count) for count in (0, 1, 2)] == ["0 pictures", "1 picture", "2 pictures"]

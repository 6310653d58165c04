from __future__ import annotations

from dataclasses import replace

import pytest

from agent.chronicle import Sample
from agent.outlook import Outlook, Rates, outlook, rates, sample_of, share_of
from agent.spool.ledger import Account

NOW = Sample(
    1000.0, waiting=40, held_bytes=4000, captured=140, captured_bytes=14_000, delivered=100, delivered_bytes=10_000
)


def at(boot_s: float, captured: int, delivered: int) -> Sample:
    """Return a sample of pictures of 100 bytes."""
    return Sample(boot_s, captured - delivered, 0, captured, 100 * captured, delivered, 100 * delivered)


def test_rates_are_since_the_oldest_sample_in_the_window() -> None:
    """What is older than five minutes does not count, and what is younger than some seconds says nothing."""
    samples = [at(600.0, 0, 0), at(800.0, 100, 0), at(900.0, 120, 60), at(998.0, 139, 99)]
    assert rates(samples, NOW) == Rates(200.0, 0.2, 20.0, 0.5, 50.0)
    assert rates(samples[3:], NOW) == Rates()
    assert rates([], NOW) == Rates()


@pytest.mark.parametrize("before", [at(900.0, 200, 100), at(900.0, 140, 101)])
def test_totals_that_fell_are_no_rate(before: Sample) -> None:
    """A spool that was replaced begins anew; a rate below nothing would be nonsense."""
    assert rates([before], NOW) == Rates()


def test_bytes_that_shrank_are_no_negative_rate() -> None:
    """A picture made smaller takes back what was counted for it."""
    before = replace(at(900.0, 140, 100), captured_bytes=20_000)
    assert rates([before], NOW).captured_bytes_s == 0


@pytest.mark.parametrize(
    ("known", "waiting", "room", "drained", "full"),
    [
        (Rates(300, 1, 100, 3, 300), 40, 1000, 20.0, None),  # drains at the net rate
        (Rates(300, 3, 300, 1, 100), 40, 1000, None, 5.0),  # grows
        (Rates(300, 1, 100, 1, 100), 40, 1000, None, None),  # stands still
        (Rates(), 40, 1000, None, None),  # nothing is known
        (Rates(), 0, 1000, 0.0, None),  # nothing waits
        (Rates(), 5, 0, None, 0.0),  # full already
        (Rates(), 5, -7, None, 0.0),  # beyond its floor
    ],
)
def test_the_outlook_follows_from_the_rates(
    known: Rates, waiting: int, room: int, drained: float | None, full: float | None
) -> None:
    """The queue is empty when more goes than comes, full when more comes than goes, and never when neither."""
    assert outlook(known, waiting=waiting, room_bytes=room) == Outlook(known, max(room, 0), drained, full)


def test_the_outlook_is_told_in_plain_values() -> None:
    """What never comes is null, not a figure for ever."""
    told = outlook(Rates(299.6, 1, 100, 3, 300), waiting=40, room_bytes=1000).as_json()
    assert (told["over_s"], told["drained_in_s"], told["full_in_s"]) == (300, 20, None)


def test_a_sample_is_the_sum_of_all_sources() -> None:
    """Waiting is what the ledger leaves; held bytes include the quarantine's."""
    one = Account(10, 4, 0, 1, {"x": 2}, held_bytes=300, captured_bytes=1000, delivered_bytes=500)
    two = Account(1, 0, held_bytes=50, captured_bytes=50)
    sample = sample_of({"a": one, "b": two}, 7.0, written_bytes=9)
    assert sample == Sample(7.0, 4, 350, 11, 1050, 4, 500, 9)
    assert share_of([one, two], 700, 1000) == 0.5
    assert share_of([one, two], 7000, 10) == 0.5
    assert share_of([], 1, 1) == 0

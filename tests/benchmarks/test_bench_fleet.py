from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import refusals  # noqa: E402 (needs the path)
from fleet import SCENARIOS, Outcome, simulate  # noqa: E402 (likewise)

from agent.spacing import MOST_S, Spacing  # noqa: E402 (likewise)

if TYPE_CHECKING:
    from collections.abc import Iterator

PEAK, DRAIN = 1.2, 1.3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Say nothing of a thousand links."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def run(name: str, count: int, policy: str = "agent") -> Outcome:
    """Return what comes of a scenario."""
    return simulate(SCENARIOS[name], policy, count, 1)


@pytest.mark.parametrize("count", [1, 1000])
@pytest.mark.parametrize("name", ["outage", "revoked"])
def test_a_fleet_comes_back_as_fast_as_its_server_bears_it(name: str, count: int) -> None:
    """Neither a flood after an outage nor a trickle: the load stays near the capacity until all has arrived."""
    came = run(name, count)
    assert came.peak <= PEAK
    assert came.first_peak <= PEAK
    assert came.drain is not None
    assert came.drain <= DRAIN
    assert came.fairness > 0.9


@pytest.mark.parametrize("name", ["rolling", "busy"])
def test_what_is_no_outage_slows_nobody_down(name: str) -> None:
    """Where the server bears all of it, a fleet's load is what it takes, and nothing waits."""
    came = run(name, 300)
    assert came.peak < 1 / SCENARIOS[name].capacity + 0.15
    assert came.fairness > 0.98
    assert name == "busy" or (came.drain is not None and came.drain < 1.0)


def test_the_marks_tell_a_policy_that_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures condemn a fixed interval, a plain back-off, and the agent without its distances."""
    assert run("outage", 60, "fixed").peak > 5
    assert run("outage", 200, "exponential").peak > 2 * PEAK
    monkeypatch.setattr(Spacing, "wait_s", lambda *_: 0.0)
    assert run("outage", 200).peak > 2 * PEAK


def test_a_run_can_be_repeated() -> None:
    """The same seed gives the same figures: whoever doubts one runs it again."""
    first, second = (run("revoked", 20) for _ in range(2))
    assert replace(first, seconds=0) == replace(second, seconds=0)


def test_a_server_that_refuses_at_random_is_sent_less_not_nothing() -> None:
    """Where each refusal is chance, a device goes slower the more there are, and never stops."""
    rates = [refusals.rate(share, seed=1, hours=1) for share in (0.0, 0.02, 0.1)]
    assert rates[0] > 4
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 1 / MOST_S

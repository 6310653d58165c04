from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.device import Device
from agent.platform.answers import Meaning
from agent.retry import LINK
from agent.verdict import LINK_REMEDIES, RANK, Facts, Health, Source, facts_of, judge

HEALTHY = Facts(waiting=3, sources=(Source("dock"), Source("belt")), clock_synchronised=True, device=Device())


def keys(facts: Facts) -> list[str]:
    """Return what is wrong, as programs are told."""
    return [problem.key for problem in judge(facts).problems]


def test_an_agent_at_work_is_healthy() -> None:
    """Pictures that wait are no problem: that is what a queue is for."""
    assert judge(HEALTHY).health is Health.HEALTHY
    assert judge(HEALTHY).problems == ()


@pytest.mark.parametrize(
    ("change", "key", "health"),
    [
        ({"running": False}, "not_running", "error"),
        ({"paused_since": "2026-03-14T08:15:02Z"}, "paused_by_hand", "degraded"),
        ({"link_cause": "offline", "link_reason": "cannot connect."}, "link_offline", "degraded"),
        ({"link_cause": "denied", "link_reason": "the server answered 401"}, "link_denied", "error"),
        ({"link_cause": "wrong_url"}, "link_wrong_url", "error"),
        ({"link_cause": "invented_later"}, "link_invented_later", "degraded"),
        ({"link_cause": "denied", "approval": "pending"}, "device_pending", "degraded"),
        ({"link_cause": "denied", "approval": "rejected"}, "device_rejected", "error"),
        ({"approval": "rejected"}, "device_rejected", "error"),
        ({"intake_paused": {"dock": "the spool is full."}}, "intake_paused", "error"),
        ({"sources": (Source("dock", open=False, problem="gone"), Source("belt"))}, "source_lost", "degraded"),
        ({"sources": (Source("dock", open=False, problem="gone"),)}, "source_lost", "error"),
        ({"quarantined": 1}, "quarantined", "degraded"),
        ({"spool_share": 0.9}, "spool_filling", "degraded"),
        ({"clock_synchronised": False}, "clock", "degraded"),
        ({"device": Device(throttling=("under-voltage",))}, "throttling", "degraded"),
        ({"device": Device(temperature_c=80.0)}, "hot", "degraded"),
        ({"device": Device(disk_percent=97.0)}, "disk_full", "degraded"),
    ],
)
def test_each_trouble_has_its_key_and_its_remedy(change: dict[str, Any], key: str, health: str) -> None:
    """One thing that is wrong is one problem: how bad it is, what it is, and what to do, on one line each."""
    judgement = judge(replace(HEALTHY, **change))
    (problem,) = judgement.problems
    assert (problem.key, judgement.health.value) == (key, health)
    assert problem.what
    assert problem.remedy
    assert not problem.what.endswith(".")
    assert not problem.remedy.endswith(".")
    assert judgement.as_json()["problems"][0]["health"] == health


@pytest.mark.parametrize(
    "change",
    [
        {"approval": "approved"},
        {"sources": (Source("film", open=False, ended=True), Source("dock", open=False))},  # read; still opening
        {"clock_synchronised": None},
        {"spool_share": 0.89},
        {"device": Device(temperature_c=79.9, disk_percent=96.9, throttled=("under-voltage",))},
        {"device": None},
    ],
)
def test_what_is_as_it_should_be_is_no_problem(change: dict[str, Any]) -> None:
    """A film that was read, a camera that is being opened, trouble that is over: nobody is called for these."""
    assert keys(replace(HEALTHY, **change)) == []


def test_the_worst_comes_first() -> None:
    """Whoever reads one line reads the one that matters most."""
    facts = replace(HEALTHY, quarantined=2, link_cause="denied", clock_synchronised=False)
    assert keys(facts) == ["link_denied", "quarantined", "clock"]
    assert judge(facts).health is Health.ERROR


def test_what_stands_still_is_not_blamed_for_it() -> None:
    """Without a daemon its last words about link and cameras say nothing."""
    facts = replace(HEALTHY, running=False, link_cause="offline", intake_paused={"dock": "full"})
    assert keys(facts) == ["not_running"]


def test_a_full_spool_is_told_once() -> None:
    """An intake that waits for the spool says already that it is full."""
    assert keys(replace(HEALTHY, spool_share=1.0, intake_paused={"dock": "full"})) == ["intake_paused"]


def test_every_cause_of_a_pause_has_its_remedy() -> None:
    """No pause of the link is told without what to do about it."""
    assert set(LINK_REMEDIES) == {meaning.value for meaning in LINK}
    assert set(RANK) == set(Health)


STATE: dict[str, Any] = {
    "link": {"state": "paused", "cause": "offline", "reason": "cannot connect", "failures": 3, "paused_since": None},
    "cameras": {"dock": {"opened": False, "ended": False, "problem": "no such device"}},
    "intake_paused": {"belt": "the spool is full"},
    "watches": ["belt"],
    "clock_synchronised": False,
}


def test_facts_are_made_of_the_state_file() -> None:
    """What the daemon wrote of itself, and the queue's figures, are all that is judged."""
    facts = facts_of(STATE, waiting=7, quarantined=1, spool_share=0.5)
    assert (facts.link_cause, facts.link_failures, facts.waiting) == (Meaning.OFFLINE.value, 3, 7)
    assert facts.sources == (Source("dock", open=False, problem="no such device"), Source("belt"))
    assert keys(facts) == ["intake_paused", "link_offline", "source_lost", "quarantined", "clock"]


@pytest.mark.parametrize(
    "state",
    [None, {}, {"link": None, "cameras": [], "watches": 3}, {"link": {"cause": 4}, "cameras": {"dock": "?"}}],
)
def test_a_state_file_of_another_release_is_read_as_far_as_it_goes(state: dict[str, Any] | None) -> None:
    """A missing or strange value is an unknown one, not an error."""
    assert keys(facts_of(state)) == []


def test_a_daemon_that_is_gone_says_nothing_of_the_clock() -> None:
    """What it left behind is of another day."""
    assert facts_of({"clock_synchronised": False}, running=False).clock_synchronised is None

"""How the agent is, in one word with its reasons: a pure function from facts to healthy, degraded or error.

    judge(Facts(...)) -> Judgement(health, problems)

`Judgement.health` is the word that a check-in sends. `problems` come worst first, each a `Problem(key, health, what,
remedy)`: `key` is stable, for programs; `what` says what is wrong and with which thing, `remedy` what to do, both
whole sentences without a full stop. None of them is a wait that somebody asked for: a timetable's pause is health.

The daemon and whoever looks from outside make `Facts` of the same values by `facts_of`: the state file holds what
`Pipeline.facts()` returned, and the queue's figures are the spool's.

error     a person is needed: nothing is delivered or nothing is taken in, and that will not end by itself
degraded  it works, or will again by itself, but not as it should
healthy   neither
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.device import Device

HOT_C = 80.0  # where a Raspberry Pi begins to slow down
FULL = 0.9  # share of the spool's cap
DISK_FULL_PERCENT = 97.0
RUN = "Start it: systemctl start acusight-agent, or acusight-agent run"
STATUS = "See: acusight-agent status"


class Health(StrEnum):
    """The words of the platform's check-in."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    ERROR = "error"


RANK = {Health.ERROR: 0, Health.DEGRADED: 1, Health.HEALTHY: 2}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, how bad it is, and what to do about it."""

    key: str
    health: Health
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict: the worst of its problems, which come worst first."""

    health: Health
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        problems = [
            {"key": one.key, "health": one.health.value, "what": one.what, "remedy": one.remedy}
            for one in self.problems
        ]
        return {"health": self.health.value, "problems": problems}


@dataclass(frozen=True, slots=True)
class Source:
    """A camera or a watched folder: whether it gives pictures, and why not."""

    name: str
    open: bool = True
    ended: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is judged. `link_cause` is a `Meaning`'s value, `approval` what `device/self` says of the device.

    `spool_share` is the share of the cap of bytes or items that is in use, whichever is more.
    """

    running: bool = True
    link_cause: str = ""
    link_reason: str = ""
    link_failures: int = 0
    approval: str = ""
    paused_since: str = ""
    waiting: int = 0
    quarantined: int = 0
    spool_share: float = 0.0
    intake_paused: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    clock_synchronised: bool | None = None
    device: Device | None = None


def facts_of(
    state: Mapping[str, Any] | None,
    *,
    running: bool = True,
    waiting: int = 0,
    quarantined: int = 0,
    spool_share: float = 0.0,
    paused_since: str | None = None,
    device: Device | None = None,
) -> Facts:
    """Make the facts of what the state file says, of whichever release, and of the queue's figures."""
    state = state or {}
    link = _table(state, "link")
    return Facts(
        running=running,
        link_cause=_text(link.get("cause")),
        link_reason=_text(link.get("reason")),
        link_failures=_count(link.get("failures")),
        approval=_text(link.get("approval")),
        paused_since=paused_since or _text(link.get("paused_since")),
        waiting=waiting,
        quarantined=quarantined,
        spool_share=spool_share,
        intake_paused={name: _text(why) for name, why in _table(state, "intake_paused").items()},
        sources=tuple(_sources(state)),
        clock_synchronised=state.get("clock_synchronised") if running else None,
        device=device,
    )


def judge(facts: Facts) -> Judgement:
    """Say how the agent is, and everything that is wrong with it."""
    found = [*_at_rest(facts), *_link(facts), *_intake(facts), *_queue(facts), *_machine(facts)]
    problems = tuple(sorted(found, key=lambda problem: RANK[problem.health]))
    return Judgement(problems[0].health if problems else Health.HEALTHY, problems)


def _at_rest(facts: Facts) -> Iterator[Problem]:
    if not facts.running:
        what = f"no agent runs; {_pictures(facts.waiting)} in the queue"
        yield Problem("not_running", Health.ERROR, what, RUN)
    if facts.paused_since:
        what = f"uploads are paused by hand since {facts.paused_since}; {_pictures(facts.waiting)} in the queue"
        yield Problem("paused_by_hand", Health.DEGRADED, what, "Let them go on: acusight-agent queue resume")


# What a pause of the link means for people, by its cause: how bad it is, and what to do.
LINK_REMEDIES = {
    "offline": (Health.DEGRADED, "Check the network, and server.url; nothing else is needed once it is back"),
    "busy": (Health.DEGRADED, "Nothing: the server said when to come again"),
    "server_error": (Health.DEGRADED, "Nothing on this device, unless it stays so: then tell those who run the server"),
    "unproven": (Health.DEGRADED, "Look whether a login page of the network or a proxy stands in between"),
    "refused": (Health.ERROR, "The server refuses every picture: compare its release with the agent's, and its log"),
    "wrong_url": (Health.ERROR, "Correct server.url: with /api at its end, or without"),
    "denied": (Health.ERROR, "Put the right key into the key's file, or provision anew: acusight-agent provision"),
}
APPROVALS = {
    "pending": (
        Health.DEGRADED,
        "the device waits to be approved on the platform",
        "Approve it there; uploads begin by themselves",
    ),
    "rejected": (
        Health.ERROR,
        "the device was rejected on the platform; everything is kept",
        "Approve it there, or provision it anew: acusight-agent provision",
    ),
}


def _link(facts: Facts) -> Iterator[Problem]:
    if not facts.running or (not facts.link_cause and facts.approval not in APPROVALS):
        return
    if facts.approval in APPROVALS:
        health, what, remedy = APPROVALS[facts.approval]
        yield Problem(f"device_{facts.approval}", health, what, remedy)
        return
    health, remedy = LINK_REMEDIES.get(facts.link_cause, (Health.DEGRADED, STATUS))
    what = f"nothing can be delivered ({facts.link_cause}): {facts.link_reason.rstrip('.') or 'no reason is known'}"
    yield Problem(f"link_{facts.link_cause}", health, what, remedy)


def _intake(facts: Facts) -> Iterator[Problem]:
    if not facts.running:
        return
    for name, why in sorted(facts.intake_paused.items()):
        remedy = "Make room on the disk, raise spool.max_bytes, or choose another when_full for the source"
        yield Problem("intake_paused", Health.ERROR, f"{name} takes no pictures in: {why.rstrip('.')}", remedy)
    lost = [source for source in facts.sources if not source.open and not source.ended and source.problem]
    health = Health.ERROR if lost and len(lost) == len(facts.sources) else Health.DEGRADED
    for source in lost:
        what = f"camera {source.name} gives no pictures: {source.problem.rstrip('.')}"
        yield Problem("source_lost", health, what, "Check its cable, power and address; it is opened again by itself")


def _queue(facts: Facts) -> Iterator[Problem]:
    if facts.quarantined:
        what = f"{_pictures(facts.quarantined)} refused and set aside"
        yield Problem("quarantined", Health.DEGRADED, what, "See why: acusight-agent queue list --state quarantined")
    if facts.spool_share >= FULL and not facts.intake_paused:
        what = f"the spool is {facts.spool_share:.0%} full"
        yield Problem("spool_filling", Health.DEGRADED, what, "Raise spool.max_bytes, or see why uploads are slow")


def _machine(facts: Facts) -> Iterator[Problem]:
    if facts.clock_synchronised is False:
        what = "the clock is not synchronised, so capture times may be wrong"
        yield Problem("clock", Health.DEGRADED, what, "Let a time service run: timedatectl set-ntp true")
    device = facts.device
    if device is None:
        return
    if device.throttling:
        what = f"the processor is slowed down: {', '.join(device.throttling)}"
        yield Problem("throttling", Health.DEGRADED, what, "Give it a stronger power supply, or better cooling")
    if device.temperature_c is not None and device.temperature_c >= HOT_C:
        what = f"the device is at {device.temperature_c:.0f} °C"
        yield Problem("hot", Health.DEGRADED, what, "Give it better cooling, or less to do")
    if device.disk_percent is not None and device.disk_percent >= DISK_FULL_PERCENT:
        what = f"the spool's disk is {device.disk_percent:.0f} % full"
        yield Problem("disk_full", Health.DEGRADED, what, "Free some space on that disk")


def _pictures(count: int) -> str:
    return "1 picture is" if count == 1 else f"{count} pictures are"


def _sources(state: Mapping[str, Any]) -> Iterator[Source]:
    for name, camera in _table(state, "cameras").items():
        if isinstance(camera, dict):
            problem = _text(camera.get("problem"))
            yield Source(name, open=bool(camera.get("opened")), ended=bool(camera.get("ended")), problem=problem)
    watches = state.get("watches")
    for name in watches if isinstance(watches, list) else ():
        yield Source(_text(name))


def _table(state: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = state.get(key)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0

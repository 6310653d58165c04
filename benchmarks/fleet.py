"""A fleet against one server, in virtual time, with the agent's real retry and pacing policy.

    python benchmarks/fleet.py [--devices 1 1000] [--scenario outage] [--policy agent] [--seed 1] [--svg docs/fleet.svg]

Each device takes a picture every two minutes; the server bears a given multiple of what all of them take. For each
scenario and policy: the peak of requests over capacity in any minute from one after the trouble on, how long until the
backlog is gone, over the shortest time that the capacity allows, and Jain's index of fairness between the devices (1:
all alike) at half of that time. Nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import structlog
from fleet_plot import plot
from fleet_policies import policy
from fleet_world import Device, Heart, Server, Trouble

from agent.platform.answers import Meaning

EVERY_S = 120.0
WORKERS = 2
QUIET_S = 600.0
HOUR = 3600.0
PARDON_S = 60.0
STEP_S = 10.0
LEFT = 0.02  # of a picture a device, which are those that are under way
BUCKET_S = 60
BUCKET_REQUESTS = 60


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, and how much the server bears over what all devices take."""

    title: str
    capacity: float
    troubles: tuple[Trouble, ...]
    restarted: bool = False

    @property
    def ends(self) -> float:
        """Return when the trouble is over."""
        return max((trouble.ends for trouble in self.troubles), default=0.0)


SCENARIOS = {
    "outage": Scenario("an hour's outage", 2.0, (Trouble(QUIET_S, QUIET_S + HOUR, Meaning.OFFLINE),)),
    "rolling": Scenario(
        "a rolling restart: ten servers, 30 s each",
        2.0,
        tuple(Trouble(QUIET_S + 30 * n, QUIET_S + 30 * n + 30, Meaning.OFFLINE, share=0.1) for n in range(10)),
    ),
    "revoked": Scenario("all keys revoked for an hour", 2.0, (Trouble(QUIET_S, QUIET_S + HOUR, Meaning.DENIED),)),
    "busy": Scenario("a server at 80 % load, all devices started at once", 1.25, (), restarted=True),
    "short": Scenario("an outage of ten minutes", 2.0, (Trouble(QUIET_S, QUIET_S + 600, Meaning.OFFLINE),)),
    "tight": Scenario("an hour's outage of a small server", 1.25, (Trouble(QUIET_S, QUIET_S + HOUR, Meaning.OFFLINE),)),
    "failing": Scenario("503 to everybody for an hour", 2.0, (Trouble(QUIET_S, QUIET_S + HOUR, Meaning.BUSY),)),
}
ASKED_FOR = ["outage", "rolling", "revoked", "busy"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run."""

    peak: float
    first_peak: float
    drain: float | None
    fairness: float
    load: list[float]
    seconds: float


def simulate(scenario: Scenario, name: str, count: int, seed: int) -> Outcome:
    """Run one scenario with one policy and so many devices."""
    began, heart = time.process_time(), Heart()
    rng = random.Random(seed)  # noqa: S311 (jitter is no secret)
    arrival = count / EVERY_S
    capacity = arrival * scenario.capacity
    server = Server(heart, capacity, scenario.troubles, rng)
    devices = []
    for _ in range(count):
        device = Device(heart, server, every_s=EVERY_S, phase_s=rng.uniform(0, EVERY_S), workers=WORKERS)
        device.policy = policy(name, heart, device, rng, WORKERS)
        device.start(0.0 if scenario.restarted else rng.uniform(0, EVERY_S))
        devices.append(device)
    ends, ideal = scenario.ends, 0.0
    if scenario.troubles:
        heart.run(ends)
        backlog = _waiting(devices, ends)
        ideal = max(backlog / (capacity - arrival), EVERY_S)
        heart.run(ends + ideal / 2)
    fairness = _fairness(devices, ends)
    drained_at = _drain(heart, devices, ends + 4 * ideal) if ideal else None
    heart.run(max(ends + HOUR / 2, heart.now))
    bucket_s = max(BUCKET_S, BUCKET_REQUESTS / capacity)
    load = _load(server, capacity, bucket_s)
    after = [share for bucket, share in enumerate(load) if bucket * bucket_s >= ends + PARDON_S]
    first = load[int(ends // bucket_s) : int(ends // bucket_s) + 1]
    drain = (drained_at - ends) / ideal if drained_at is not None else None
    peak, first_peak = max(after, default=load[-1]), max(first, default=load[-1])
    return Outcome(peak, first_peak, drain, fairness, load, time.process_time() - began)


def _waiting(devices: list[Device], now: float) -> int:
    return sum(device.captured(now) - device.delivered for device in devices)


def _drain(heart: Heart, devices: list[Device], until: float) -> float | None:
    """Run until no device has more before it than what just came."""
    while heart.now < until:
        heart.run(heart.now + STEP_S)
        if _waiting(devices, heart.now) <= len(devices) * LEFT + 1:
            return heart.now
    return None


def _fairness(devices: list[Device], since: float) -> float:
    """Return Jain's index of the shares of its pictures that each device has delivered."""
    shares = [device.delivered / max(1, device.captured(since)) for device in devices]
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _load(server: Server, capacity: float, bucket_s: float) -> list[float]:
    buckets = [0] * (int(max(server.offered, default=0) // bucket_s) + 1)
    for second, requests in server.offered.items():
        buckets[int(second // bucket_s)] += requests
    return [requests / (capacity * bucket_s) for requests in buckets]


def main() -> None:
    """Print a table, and draw the load over time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parser = argparse.ArgumentParser(description="A fleet against one server, in virtual time.")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 1000, 100_000])
    parser.add_argument("--scenario", choices=SCENARIOS, nargs="+", default=ASKED_FOR)
    parser.add_argument("--policy", nargs="+", default=["agent", "fixed", "exponential"])
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="each gives a run of its own")
    parser.add_argument("--svg", type=Path, help="where to draw the load over time")
    options = parser.parse_args()
    panels: dict[str, dict[str, list[float]]] = {}
    for key in options.scenario:
        scenario = SCENARIOS[key]
        print(f"{scenario.title}; the server bears {scenario.capacity:g} times what the fleet takes")
        print("  devices  policy        seed  peak/capacity  in the first minute  drained/ideal  fairness  (CPU, s)")
        for count, name, seed in product(options.devices, options.policy, options.seed):
            came = simulate(scenario, name, count, seed)
            drained = "-" if not scenario.troubles else "never" if came.drain is None else f"{came.drain:.2f}"
            print(
                f"  {count:7d}  {name:12s}  {seed:4d}  {came.peak:13.2f}  {came.first_peak:19.2f}  {drained:>13s}"
                f"  {came.fairness:8.3f}  ({came.seconds:.0f})",
                flush=True,
            )
            if count == max(options.devices) and seed == options.seed[0]:
                panels.setdefault(scenario.title, {})[name] = came.load
    if options.svg:
        options.svg.write_text(plot(panels, BUCKET_S), encoding="utf-8")


if __name__ == "__main__":
    main()

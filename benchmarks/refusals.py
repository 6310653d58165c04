"""What one device sends to a server that refuses some uploads whatever its load, as where one of its backends is down.

    python benchmarks/refusals.py

One uploader with a backlog, uploads of 0.2 s, four hours of virtual time, and the agent's real retry and pacing policy:
pictures a second, the least and the most of three seeds. Nothing is sent anywhere.
"""

from __future__ import annotations

import logging
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the agent of this checkout

from fleet_policies import AgentPolicy
from fleet_world import Heart

from agent.platform.answers import Meaning

if TYPE_CHECKING:
    from fleet_world import Device

UPLOAD_S = 0.2
HOURS = 4
SHARES = (0.0, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2)
SEEDS = (1, 2, 3)


class _Lone:
    """A device with one worker, which has nobody to wake."""

    caller = 0

    def ring(self) -> None:
        """Wake nobody."""


def rate(share: float, seed: int, hours: float = HOURS) -> float:
    """Return the pictures a second that come through where such a `share` of the uploads is answered with 503."""
    heart, rng, delivered = Heart(), random.Random(seed), 0  # noqa: S311 (jitter is no secret)
    device: Device = _Lone()  # type: ignore[assignment]  # as much of one as a policy needs
    policy = AgentPolicy(heart, device, rng, workers=1)
    while heart.now < hours * 3600:
        rest_s = policy.enter()
        if rest_s is not None:
            heart.run(heart.now + rest_s)
            continue
        heart.run(heart.now + UPLOAD_S)
        refused = rng.random() < share
        delivered += not refused
        policy.told(Meaning.BUSY if refused else Meaning.DELIVERED)
    return delivered / heart.now


def main() -> None:
    """Print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print("| refused | pictures/s, least | most |\n|---|---|---|")
    for share in SHARES:
        rates = [rate(share, seed) for seed in SEEDS]
        print(f"| {share:.0%} | {min(rates):.2g} | {max(rates):.2g} |")


if __name__ == "__main__":
    main()

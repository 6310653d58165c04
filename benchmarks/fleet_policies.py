"""What the devices of a simulated fleet do between two requests: the agent's own policy, and what others do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.link import Link
from agent.platform.answers import Meaning

if TYPE_CHECKING:
    import random

    from fleet_world import Device, Heart, Policy


START_JITTER_S = 5.0
FIXED_S = 10.0
CAP_S = 300.0


class AgentPolicy:
    """The agent's `Link`, which asks the agent's `retry` and `concurrency`: nothing of it is written again here."""

    shared = True

    def __init__(self, heart: Heart, device: Device, rng: random.Random, workers: int) -> None:
        self._link = Link(
            clock=heart,
            rng=rng,
            bell=device,  # type: ignore[arg-type]  # whom it rings for are the device's workers
            start_jitter_s=START_JITTER_S,
            workers=workers,
            caller=lambda: device.caller,
        )
        self.enter = self._link.enter

    def probes(self) -> bool:
        """Tell whether the key is asked about first, as `drain` does."""
        return self._link.state.cause is Meaning.DENIED

    def told(self, meaning: Meaning) -> None:
        """Hear what became of a request."""
        self._link.report(meaning, "")


class SimplePolicy:
    """Wait after a failure, go on at once after a success; every worker by itself."""

    shared = False

    def __init__(self, heart: Heart, device: Device, wait_s: float, cap_s: float) -> None:
        self._heart = heart
        self._device = device
        self._wait_s = wait_s
        self._cap_s = cap_s
        self._failures: dict[int, int] = {}
        self._open_at: dict[int, float] = {}

    def enter(self) -> float | None:
        """Return None where a request may be sent, else the seconds to wait."""
        left = self._open_at.get(self._device.caller, 0.0) - self._heart.now
        return left if left > 0 else None

    def probes(self) -> bool:
        """Tell whether the key is asked about first: it is not."""
        return False

    def told(self, meaning: Meaning) -> None:
        """Hear what became of a request."""
        worker = self._device.caller
        failures = 0 if meaning.name == "DELIVERED" else self._failures.get(worker, 0) + 1
        self._failures[worker] = failures
        if failures:
            self._open_at[worker] = self._heart.now + min(self._cap_s, self._wait_s * 2.0 ** min(failures - 1, 20))


def policy(name: str, heart: Heart, device: Device, rng: random.Random, workers: int) -> Policy:
    """Return a device's policy by name: `agent`, `fixed` (every ten seconds), `exponential` (doubling to 300 s)."""
    if name == "agent":
        return AgentPolicy(heart, device, rng, workers)
    if name == "fixed":
        return SimplePolicy(heart, device, FIXED_S, FIXED_S)
    return SimplePolicy(heart, device, 1.0, CAP_S)

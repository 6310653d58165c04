"""How many uploads go at once: a pure decision from what came of those before.

The way of TCP: begin with one, add one with each success up to half of what last proved too much, from there one with
some rounds of successes, and begin again when the link fails. A server that is overloaded gets a sawtooth below what it
bears; one that is back after an outage sees each device with one upload first, not with all that it has.
"""

from __future__ import annotations

from dataclasses import dataclass

ROUNDS = 8  # beyond the goal: with one, a server that bears a single upload would refuse every other


@dataclass(frozen=True, slots=True)
class Window:
    """What is allowed now: `size` uploads at once, of at most `most`.

    Up to `goal` every success adds one; beyond it `successes` counts towards the next step.
    """

    most: int
    size: int
    goal: int
    successes: int = 0

    def grown(self) -> Window:
        """Return the window after one more success."""
        if self.size >= self.most:
            return self
        if self.size < self.goal:
            return Window(self.most, self.size + 1, self.goal)
        if self.successes + 1 < self.size * ROUNDS:
            return Window(self.most, self.size, self.goal, self.successes + 1)
        return Window(self.most, self.size + 1, self.goal)

    def fallen(self, *, overloaded: bool) -> Window:
        """Return the window after the link failed: one, and where it was too much, half of that to go for."""
        return Window(self.most, 1, max(1, self.size // 2) if overloaded else self.goal)


def opening(most: int) -> Window:
    """Return the window to begin with, when nothing is known of the server yet."""
    return Window(most, 1, most)


def takes_fresh(turn: int, share: float) -> bool:
    """Tell whether the claim of this number (from 0) is one of the `share` (0 to 1) that goes to fresh pictures.

    They lie as evenly as they can: a quarter is every fourth.
    """
    return int((turn + 1) * share) > int(turn * share)

"""How long to wait before a lost source is opened again. Pure, but for the random source it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tenacity

if TYPE_CHECKING:
    import random

SHORTEST_S = 0.5
LONGEST_S = 60.0
LAST_ATTEMPT = 30
"""Counting ends here: a camera that is away for months reaches exponents that no float holds."""


class Patience(tenacity.wait.wait_base):
    """Jittered waits under a ceiling that doubles from half a second to a minute.

    tenacity's own `wait_random_exponential` draws from the global random source; this one from the part it is given.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ceiling = tenacity.wait_exponential(multiplier=SHORTEST_S, max=LONGEST_S)
        self._well = False

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Return seconds, at least a fifth of the present ceiling."""
        retry_state.attempt_number = 1 if self._well else min(retry_state.attempt_number, LAST_ATTEMPT)
        self._well = False
        ceiling = self._ceiling(retry_state)
        return self._rng.uniform(ceiling / 5, ceiling)

    def reset(self) -> None:
        """Begin again with short waits at the next loss."""
        self._well = True

"""How long a settled picture waits for its sidecar: pure, on the boot clock.

Picture and sidecar arrive in either order. A picture whose sidecar is there is ready once that has been quiet for
the settle time; one without waits up to `wait_s`, and is looked at again as soon as a sidecar of its name shows up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.sources.settle import Sighting

SUFFIXES = (".annotations.json", ".json", ".txt")


@dataclass(slots=True)
class _Pair:
    sidecar: Sighting | None
    since: float
    wait_until: float | None = None


class CompanionWait:
    """Remembers, for each picture that is being waited for, what was seen of its sidecar."""

    def __init__(self, *, settle_s: float, wait_s: float) -> None:
        self._settle_s = settle_s
        self._wait_s = wait_s
        self._pairs: dict[str, _Pair] = {}
        self._stems: dict[str, str] = {}

    def note(self, picture: str, sidecar: Sighting | None, now: float) -> None:
        """Enter what lies beside a picture; a change begins the sidecar's quiet time anew."""
        pair = self._pairs.get(picture)
        if pair is None:
            self._pairs[picture] = _Pair(sidecar, now)
            self._stems[str(PurePath(picture).with_suffix(""))] = picture
        elif pair.sidecar != sidecar:
            pair.sidecar, pair.since = sidecar, now

    def ready_at(self, picture: str, sidecar: Sighting | None, now: float) -> float:
        """Return when a settled picture may be taken; it may at once where that is not after `now`."""
        self.note(picture, sidecar, now)
        pair = self._pairs[picture]
        if sidecar is not None:
            return pair.since + self._settle_s
        if pair.wait_until is None:
            pair.wait_until = now + self._wait_s
        return pair.wait_until

    def picture_of(self, sidecar: str) -> str | None:
        """Return the picture that waits for a sidecar of this name, if one does."""
        for suffix in SUFFIXES:
            if sidecar.endswith(suffix):
                stem = sidecar.removesuffix(suffix)
                return stem if stem in self._pairs else self._stems.get(stem)
        return None

    def forget(self, picture: str) -> None:
        """Stop waiting for a picture's sidecar."""
        if self._pairs.pop(picture, None) is not None:
            self._stems.pop(str(PurePath(picture).with_suffix("")), None)

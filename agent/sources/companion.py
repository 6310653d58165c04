"""How long a settled picture waits for its sidecar: pure, on the boot clock.

Picture and sidecar arrive in either order. A picture whose sidecar is there is ready once that has been quiet for
the settle time; one without waits up to `wait_s`, and is looked at again as soon as a sidecar of its name shows up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.annotations.pairing import stems_of

if TYPE_CHECKING:
    from agent.sources.settle import Sighting
    from agent.sources.sidecars import Sidecars

# Half a sidecar gives wrong boxes, so one that still grows gets longer than one that is missing; but not for ever.
LONGEST_GROWTH_S = 60.0


@dataclass(slots=True)
class _Pair:
    sidecar: Sighting | None
    since: float
    settled_at: float | None = None


class CompanionWait:
    """Remembers, for each picture that is being waited for, what was seen of its sidecar."""

    def __init__(self, *, settle_s: float, wait_s: float) -> None:
        self._settle_s = settle_s
        self._wait_s = wait_s
        self._pairs: dict[str, _Pair] = {}
        self._stems: dict[str, str] = {}

    def begin(self, picture: str, sidecar: Sighting | None, now: float) -> None:
        """Wait for a picture's sidecar, from the start: the picture is new, or another one than before."""
        self._pairs[picture] = _Pair(sidecar, now)
        self._stems[_stem(picture)] = picture

    def note(self, picture: str, sidecar: Sighting | None, now: float) -> None:
        """Enter what lies beside a picture; a change begins the sidecar's quiet time anew."""
        pair = self._pairs.get(picture)
        if pair is None:
            self.begin(picture, sidecar, now)
        elif pair.sidecar != sidecar:
            pair.sidecar, pair.since = sidecar, now

    def ready_at(self, picture: str, sidecar: Sighting | None, now: float) -> float:
        """Return when a settled picture may be taken; it may at once where that is not after `now`."""
        self.note(picture, sidecar, now)
        pair = self._pairs[picture]
        if pair.settled_at is None:
            pair.settled_at = now
        if sidecar is None:
            return pair.settled_at + self._wait_s
        return min(pair.since + self._settle_s, pair.settled_at + max(self._wait_s, LONGEST_GROWTH_S))

    def sidecar_of(self, picture: str) -> Sighting | None:
        """Return what was seen last of the sidecar of a picture that is being waited for."""
        pair = self._pairs.get(picture)
        return None if pair is None else pair.sidecar

    def picture_of(self, sidecar: str, outer: str = "") -> str | None:
        """Return the picture that waits for a sidecar of this name, if one does; `outer` leads to the sister folder."""
        for stem in stems_of(sidecar, outer):
            picture = stem if stem in self._pairs else self._stems.get(stem)
            if picture is not None:
                return picture
        return None

    def pictures_in(self, folder: str) -> list[str]:
        """Return the pictures of a folder that wait for their sidecar."""
        return [picture for picture in self._pairs if picture.rpartition("/")[0] == folder]

    def forget(self, picture: str) -> None:
        """Stop waiting for a picture's sidecar."""
        self._pairs.pop(picture, None)
        if self._stems.get(_stem(picture)) == picture:
            del self._stems[_stem(picture)]


class Companions:
    """The wait for the sidecars of one directory, and where they are looked for."""

    def __init__(self, sidecars: Sidecars, wait: CompanionWait) -> None:
        self._sidecars = sidecars
        self.wait = wait

    def begin(self, picture: str, now: float) -> None:
        """Wait for a picture's sidecar, from the start."""
        self.wait.begin(picture, self._sidecars.look(picture), now)

    def heard(self, name: str, now: float) -> list[str]:
        """Note that a sidecar appeared or changed; return the pictures that it concerns."""
        self._sidecars.heard(name)
        if self._sidecars.is_shared(name):
            pictures = self.wait.pictures_in(name.rpartition("/")[0])
        else:
            picture = self.wait.picture_of(name, self._sidecars.outer)
            pictures = [] if picture is None else [picture]
        for picture in pictures:
            self.wait.note(picture, self._sidecars.look(picture), now)
        return pictures

    def spend(self, picture: str) -> None:
        """Note that a picture was taken, with what lay beside it."""
        seen = self.wait.sidecar_of(picture)
        if seen is not None:
            self._sidecars.spend(picture, seen)

    def ready_at(self, picture: str, sidecar: Sighting | None, now: float) -> float:
        """Return when a settled picture may be taken."""
        return self.wait.ready_at(picture, sidecar, now)

    def forget(self, picture: str) -> None:
        """Stop waiting for a picture's sidecar."""
        self.wait.forget(picture)


def _stem(picture: str) -> str:
    stem, dot, suffix = picture.rpartition(".")
    return stem if dot and "/" not in suffix else picture

"""Room in a full spool, made at the cost of what waits already, as each source's policy says.

Sources that are thinned share alike: of those with the lowest priority the one that holds most gives first, whoever
asks; and of a source what has the lowest priority goes first. What a person has to look at (the quarantine), what is
being uploaded, and what belongs to a source that waits is never touched.
"""

from __future__ import annotations

import json
from array import array
from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from agent.spool import ledger, thinning
from agent.spool.budget import OVERHEAD_BYTES, Policy
from agent.spool.discard import discard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agent.clock import Clock
    from agent.spool.budget import Shortage
    from agent.spool.claims import Claims
    from agent.spool.commits import Commits
    from agent.spool.discard import Discarded
    from agent.spool.leftovers import Leftovers
    from agent.spool.losses import Losses
    from agent.spool.reader import Reader
    from agent.spool.reserve import Reserve

REASONS = {
    "thin": "thinned: spool full",
    "oldest": "oldest dropped: spool full",
    "newest": "newest dropped: spool full",
}
FEWEST = {"thin": thinning.FEWEST, "oldest": 0}
BATCH = 256  # items of one transaction: whoever records a receipt waits for it
SPARE_ITEMS = 16  # dropped beyond the need where there are thousands, so that not every frame pays for a commit
SPARE_SHARE = 512
SWEEP_EVERY_S = 30.0
PAGE = 2000
MOMENTS = """
SELECT id, julianday(captured_at), priority FROM item WHERE source = ? AND state = 'waiting' AND id > ?
ORDER BY id LIMIT ?
"""
GIVEN_UP = "state = 'waiting' AND id IN (SELECT value FROM json_each(?))"


@dataclass(slots=True)
class Share:
    """What a source has waiting, and what its policy leaves to take of it."""

    source: str
    when_full: str
    items: int
    size: int
    priority: int

    @property
    def spare_items(self) -> int:
        """Return how many items may go."""
        return max(0, self.items - FEWEST[self.when_full])

    @property
    def spare_bytes(self) -> int:
        """Return about how many bytes those have."""
        return self.size * self.spare_items // max(1, self.items)

    def count(self, missing: Shortage) -> int:
        """Return how many items to take for what is missing, and a few more where they do not matter."""
        average = max(1, self.size // max(1, self.items))
        needed = max(missing.items, ceil(missing.size / average), 1)
        # On a full disk, to record what goes takes room as well.
        more = min(OVERHEAD_BYTES // average, self.items // 8) if missing.on_disk else 0
        more = max(more, min(SPARE_ITEMS, self.items // SPARE_SHARE))
        return min(needed + more, self.spare_items, BATCH)


class Room:
    """Makes room; one thread at a time."""

    def __init__(
        self,
        commits: Commits,
        reader: Reader,
        root: Path,
        *,
        policies: Mapping[str, Policy],
        claims: Claims,
        leftovers: Leftovers,
        reserve: Reserve,
        losses: Losses,
        clock: Clock,
    ) -> None:
        self._commits = commits
        self._reader = reader
        self._root = root
        self._policies = policies
        self._claims = claims
        self._leftovers = leftovers
        self._reserve = reserve
        self._losses = losses
        self._clock = clock
        self._swept_at = float("-inf")
        self._plans: dict[str, deque[int]] = {}

    def make(self, source: str, missing: Shortage) -> bool:
        """Let go of what a source's picture may take the place of; tell whether anything went.

        What is delivered already goes first. Nothing goes where all that may go would not be enough.
        """
        if missing.on_disk and self._sweep():
            return True
        shares = self._shares(source, missing)
        if sum(share.spare_bytes for share in shares) < missing.size:
            return False
        if sum(share.spare_items for share in shares) < missing.items:
            return False
        return any(self._take_from(share, missing) for share in shares if share.spare_items)

    def _sweep(self) -> bool:
        """Remove files whose end is on record; not at every picture, since some may refuse to go."""
        if self._clock.boot() - self._swept_at < SWEEP_EVERY_S:
            return False
        self._swept_at = self._clock.boot()
        return self._leftovers.sweep() > 0

    def _shares(self, source: str, missing: Shortage) -> list[Share]:
        """Return what may give way for a source's picture, the one that holds most first."""
        asking = self._policies.get(source, Policy()).when_full
        if asking not in FEWEST:
            return []
        shares = []
        for row in self._reader.all(ledger.WAITING):
            policy = self._policies.get(row["source"], Policy())
            is_meant = row["source"] == source or asking == "thin"
            if is_meant and policy.when_full == asking and (policy.frees_disk or not missing.on_disk):
                shares.append(Share(row["source"], asking, row["items"], row["bytes"], policy.priority))
        return sorted(shares, key=lambda share: (share.priority, -(share.items if missing.items else share.size)))

    def _take_from(self, share: Share, missing: Shortage) -> bool:
        for _ in range(2):  # the second time with a new plan: all that the first one named may be gone
            plan = self._plans.get(share.source) or self._plan(share)
            self._plans[share.source] = plan
            while plan:
                items = [plan.popleft() for _ in range(min(share.count(missing), len(plan)))]
                if self._drop(items, REASONS[share.when_full]):
                    return True
        return False

    def _plan(self, share: Share) -> deque[int]:
        """Name the items to give up next, of those that are in no uploader's hand."""
        in_hand = self._claims.in_hand()
        ids, moments, priorities = array("q"), array("d"), array("b")
        page = self._reader.all(MOMENTS, share.source, 0, PAGE)
        while page:
            free = [row for row in page if row[0] not in in_hand]
            ids.extend(row[0] for row in free)
            moments.extend(row[1] or 0.0 for row in free)
            priorities.extend(row[2] for row in free)
            page = self._reader.all(MOMENTS, share.source, page[-1][0], PAGE) if len(page) == PAGE else []
        choose = thinning.sparest if share.when_full == "thin" else thinning.oldest
        return deque(ids[at] for at in thinning.lowest(moments, priorities, choose))

    def _drop(self, items: Sequence[int], reason: str) -> list[Discarded]:
        """Record, then remove; an item that an uploader has in its hand is left alone."""
        with self._claims.withheld(items) as free:
            gone = self._reserve.spare(
                lambda: self._commits.run(
                    lambda connection: discard(
                        connection, self._root, GIVEN_UP, (json.dumps(free),), reason=reason, limit=len(free)
                    )
                )
            )
        for one in gone:
            self._leftovers.remove(one.id, one.paths, None)
            self._losses.note(one.source, reason, items=1, size=one.size)
        return gone

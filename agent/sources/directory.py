"""A watched directory: what is there already, then events, then rescans. The rescan is the truth.

One thread a directory. Files wait in the settle tracker, whose size is bounded: a folder of a hundred thousand files
is walked piece by piece, as the tracker empties. What was captured before is asked of the spool, not held in memory.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import structlog

from agent.annotations.pairing import is_sidecar
from agent.errors import SpoolDamaged, Wait
from agent.sources.adoption import Changed, Gone, Old, Taken, Unfinished, Unfit, Unpaired
from agent.sources.companion import CompanionWait
from agent.sources.notices import Notices
from agent.sources.settle import SettleTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Clock
    from agent.health import Pulse
    from agent.sources.adoption import Adopter, Outcome
    from agent.sources.drafting import SidecarFile, WatchPlan
    from agent.sources.listing import Listing
    from agent.sources.settle import Sighting
    from agent.spool.records import Known, Staged
    from agent.spool.spool import Spool
    from agent.workers import Bell, Stop

log = structlog.get_logger(__name__)

TRACKED = 4096
PIECE = 256  # names asked of the spool in one question
BATCH = 32  # pictures that share one set of fsyncs
REMEMBERED_UNFIT = 10_000
FULL_RETRY_S = 2.0
SCAN_SHARE = 20  # a scan may take at most a twentieth of the time


class DirectoryWatch:
    """Watches one directory and puts what settles there into the spool."""

    def __init__(
        self,
        plan: WatchPlan,
        listing: Listing,
        adopter: Adopter,
        spool: Spool,
        *,
        stop: Stop,
        bell: Bell,
        clock: Clock,
        pulse: Pulse,
        once: bool = False,
    ) -> None:
        self._plan = plan
        self._listing = listing
        self._adopter = adopter
        self._spool = spool
        self._stop = stop
        self._bell = bell
        self._clock = clock
        self._pulse = pulse
        self._once = once
        self._pictures = SettleTracker(plan.settle_s)
        self._sidecars = CompanionWait(settle_s=plan.settle_s, wait_s=plan.sidecar_wait_s)
        self._unfinished: set[str] = set()
        self._unfit: dict[str, Sighting] = {}
        self._scan: Iterator[tuple[str, Sighting]] | None = None
        self._scan_began = 0.0
        self._next_scan = 0.0
        self._scanned = False
        self._paused = ""

    def run(self) -> None:
        """Watch until the stop is set; in a `once` run until everything that is there has been taken."""
        self._stop.subscribe(self._bell.ring)
        with Notices(self._plan.root, recursive=self._plan.recursive, ring=self._bell.ring) as notices:
            while not self._stop.is_set():
                heard = self._bell.rings()
                self._pulse.beat(self._plan.name)
                self._hear(notices)
                self._continue_scan()
                self._take_due()
                if self._once and self._finished():
                    break
                self._pulse.rest(self._plan.name)
                self._bell.wait(heard, self._rest_s())

    def _hear(self, notices: Notices) -> None:
        if notices.take_overflow():
            self._next_scan = 0.0
        names = notices.take()
        for name in names:
            if self._listing.wants(name):
                found = self._listing.look(name)
                if found is not None and self._is_news(name, found):
                    self._see(name, found)
            elif is_sidecar(name) and (picture := self._sidecars.picture_of(name)) is not None:
                now = self._clock.boot()
                self._sidecars.note(picture, self._listing.look(name), now)
                self._pictures.hasten(picture, now + self._plan.settle_s)

    def _continue_scan(self) -> None:
        """Walk on as far as the tracker has room, asking the spool piece by piece what is known."""
        now = self._clock.boot()
        if self._scan is None:
            if now < self._next_scan:
                return
            self._scan, self._scan_began = self._listing.walk(), now
        try:
            while len(self._pictures) < TRACKED and not self._stop.is_set():
                piece = list(islice(self._scan, PIECE))
                if not piece:
                    self._end_scan()
                    return
                self._sift(piece)
        except Wait as error:
            log.warning("directory_unavailable", source=self._plan.name, reason=str(error))
            self._end_scan()
            self._scanned = self._once  # a directory that is not there holds nothing to take

    def _end_scan(self) -> None:
        now = self._clock.boot()
        self._scan = None
        self._scanned = True
        self._next_scan = now + max(self._plan.rescan_s, SCAN_SHARE * (now - self._scan_began))

    def _sift(self, piece: list[tuple[str, Sighting]]) -> None:
        known = self._spool.known(self._plan.name, [name for name, _ in piece])
        for name, found in piece:
            mark = known.get(name)
            if (mark is None or not _is_at(mark, found)) and self._is_news(name, found):
                self._see(name, found)

    def _is_news(self, name: str, found: Sighting) -> bool:
        return self._unfit.get(name) != found

    def _see(self, name: str, found: Sighting) -> None:
        now = self._clock.boot()
        if name not in self._pictures:
            self._sidecars.note(name, self._listing.look_beside(name), now)
        self._pictures.see(name, found, now)

    def _take_due(self) -> None:
        """Take what has settled, in batches that share their fsyncs."""
        while not self._stop.is_set():
            due = self._pictures.due(self._clock.boot(), BATCH)
            if not due:
                return
            self._pulse.beat(self._plan.name)
            known = self._spool.known(self._plan.name, [name for name, _ in due])
            staged: list[tuple[str, Staged]] = []
            try:
                for name, seen in due:
                    if (mark := known.get(name)) is not None and _is_at(mark, seen):
                        self._forget(name)
                        continue
                    outcome = self._adopter.take(name, seen, mark, ready_at=self._ready_at)
                    self._enter(name, seen, outcome, staged)
                self._commit(staged)
            except SpoolDamaged:
                raise
            except Wait as error:
                self._pause(error, due, staged)
                return
            self._paused = ""

    def _enter(self, name: str, seen: Sighting, outcome: Outcome, staged: list[tuple[str, Staged]]) -> None:
        now = self._clock.boot()
        match outcome:
            case Taken(one):
                staged.append((name, one))
            case Old() | Gone():
                self._forget(name)
            case Changed(found):
                self._pictures.see(name, found, now)
            case Unfinished():
                self._unfinished.add(name)
                self._pictures.postpone(name, now)
            case Unpaired(until):
                self._pictures.postpone(name, now, until=until)
            case Unfit(reason):
                self._reject(name, seen, reason)

    def _commit(self, staged: list[tuple[str, Staged]]) -> None:
        self._spool.inbox.commit([one for _, one in staged])
        for name, one in staged:
            self._forget(name)
            log.info(
                "item_spooled",
                item=one.id,
                filename=one.filename,
                source=self._plan.name,
                path=name,
                bytes=one.draft.size,
            )
        staged.clear()

    def _pause(self, error: Wait, due: list[tuple[str, Sighting]], staged: list[tuple[str, Staged]]) -> None:
        """Leave the files where they are for a while: the spool is full, or its disk fails."""
        try:
            self._commit(staged)
        except Wait:
            staged.clear()
        now = self._clock.boot()
        for name, _ in due:
            self._pictures.postpone(name, now, until=now + FULL_RETRY_S)
        if self._paused != type(error).__name__:
            self._paused = type(error).__name__
            log.warning("intake_paused", source=self._plan.name, reason=str(error))

    def _ready_at(self, name: str, sidecar: SidecarFile | None) -> float | None:
        """Return when to come back for a picture, or None where its sidecar, or the lack of one, is settled."""
        now = self._clock.boot()
        at = self._sidecars.ready_at(name, sidecar.sighting if sidecar else None, now)
        return at if at > now else None

    def _reject(self, name: str, seen: Sighting, reason: str) -> None:
        if len(self._unfit) >= REMEMBERED_UNFIT:
            self._unfit.pop(next(iter(self._unfit)))
        self._unfit[name] = seen
        self._forget(name)
        log.warning("file_rejected", source=self._plan.name, path=name, reason=reason)

    def _forget(self, name: str) -> None:
        self._pictures.lose(name)
        self._sidecars.forget(name)
        self._unfinished.discard(name)

    def _finished(self) -> bool:
        if not self._scanned or len(self._pictures) > len(self._unfinished):
            return False
        for name in sorted(self._unfinished):
            log.warning("file_left_unfinished", source=self._plan.name, path=name)
        return True

    def _rest_s(self) -> float:
        due = self._pictures.next_due()
        upcoming = self._next_scan if due is None else min(due, self._next_scan)
        return max(0.0, upcoming - self._clock.boot())


def _is_at(known: Known, seen: Sighting) -> bool:
    return known.is_at(seen.inode, seen.size, seen.mtime_ns)

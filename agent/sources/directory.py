"""A watched directory: what is there already, then events, then rescans. The rescan is the truth.

One thread a directory. Files wait in the settle tracker, whose size is bounded: a folder of a hundred thousand files
is walked piece by piece, as the tracker empties. What was captured before is asked of the spool, not held in memory.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING

import structlog

from agent.annotations.pairing import is_sidecar
from agent.errors import SpoolDamaged, SpoolFull, SpoolUnavailable
from agent.sources import outcomes
from agent.sources.aside import Aside
from agent.sources.companion import Companions, CompanionWait
from agent.sources.memory import PIECE, Memory, is_at
from agent.sources.notices import Notices
from agent.sources.pause import PAUSE_S, Pause
from agent.sources.rounds import Rounds
from agent.sources.settle import LONGEST_WAIT_S, SettleTracker

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.health import Pulse
    from agent.sources.adoption import Adopter
    from agent.sources.drafting import WatchPlan
    from agent.sources.listing import Listing
    from agent.sources.outcomes import Outcome
    from agent.sources.settle import Sighting
    from agent.sources.sidecars import SidecarFile
    from agent.spool.records import Staged
    from agent.spool.spool import Spool
    from agent.workers import Bell, Stop

    Batch = list[tuple[str, Staged | None]]

log = structlog.get_logger(__name__)

TRACKED = 4096
BATCH = 64  # pictures that share one set of fsyncs


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
        self._stop = stop
        self._bell = bell
        self._clock = clock
        self._pulse = pulse
        self._once = once
        self._notices = Notices(plan.root, adopter.sidecars.sister, recursive=plan.recursive, ring=bell.ring)
        self._rounds = Rounds(plan.name, listing, rescan_s=plan.rescan_s, clock=clock)
        self._memory = Memory(plan.name, listing, spool)
        self._pictures = SettleTracker(plan.settle_s)
        self._sidecars = Companions(adopter.sidecars, CompanionWait(settle_s=plan.settle_s, wait_s=plan.sidecar_wait_s))
        self._aside = Aside()
        self._pause = Pause(plan.name, pulse)

    def run(self) -> None:
        """Watch until the stop is set; in a `once` run until everything that is there has been taken."""
        self._stop.subscribe(self._bell.ring)
        with self._notices, closing(self._adopter):
            while not self._stop.is_set():
                heard = self._bell.rings()
                self._step()
                if self._once and self._finished():
                    break
                self._pulse.rest(self._plan.name)
                self._bell.wait(heard, self._rest_s())

    def _step(self) -> None:
        """Do what is to be done now."""
        self._pulse.beat(self._plan.name)
        self._hear()
        if self._clock.boot() < self._pause.until:
            return
        try:
            self._look_around()
            self._take_due()
            self._pause.end()
        except SpoolDamaged:
            raise
        except (SpoolFull, SpoolUnavailable) as error:
            self._pause.begin(error, self._clock.boot())

    def _hear(self) -> None:
        for name in self._adopter.annotated():
            self._pictures.hasten(name, self._clock.boot())
        if self._notices.take_overflow() or self._adopter.wants_more():
            self._rounds.ask()
        for name in self._notices.take():
            if self._listing.wants(name):
                found = self._listing.look(name)
                if found is not None:
                    self._see(name, found)
            elif is_sidecar(name):
                now = self._clock.boot()
                for picture in self._sidecars.heard(name, now):
                    self._pictures.hasten(picture, now + self._plan.settle_s)

    def _look_around(self) -> None:
        """Walk on as far as the tracker has room, asking the spool piece by piece what is known."""
        if self._rounds.begin():
            self._notices.ensure()
        while self._rounds.walking and self._room() > 0 and self._goes_on():
            piece = self._rounds.piece(min(PIECE, self._room()))
            try:
                for name, found in self._memory.unknown(piece):
                    self._see(name, found)
            except SpoolUnavailable:
                self._rounds.give_up()
                raise
            if not piece and not self._rounds.away:
                self._aside.end_walk()
                self._memory.forget_gone(self._goes_on)

    def _goes_on(self) -> bool:
        """Say that something moved, and tell whether to go on."""
        self._pulse.beat(self._plan.name)
        return not self._stop.is_set()

    def _room(self) -> int:
        """Return how many files more may be tracked; those that were delayed do not keep others out."""
        return TRACKED - len(self._pictures) + len(self._aside.delayed())

    def _see(self, name: str, found: Sighting) -> None:
        now = self._clock.boot()
        if self._aside.is_refused(name, found):
            self._forget(name)
        elif name not in self._pictures and self._room() <= 0:
            self._rounds.ask()
        elif self._pictures.see(name, found, now):
            self._aside.forget(name)
            self._sidecars.begin(name, now)

    def _take_due(self) -> None:
        """Take what has settled, in batches that share their fsyncs."""
        while not self._stop.is_set() and (due := self._pictures.due(self._clock.boot(), BATCH)):
            self._adopter.look_ahead(self._pictures.upcoming(BATCH))
            self._take(due)
        self._adopter.look_ahead(())

    def _take(self, due: list[tuple[str, Sighting]]) -> None:
        staged: Batch = []
        name = ""
        try:
            remembered = self._memory.met(due)
            for name, seen in due:
                if not self._goes_on():
                    break
                mark = remembered[name].known
                if mark is not None and is_at(mark, seen) and not self._adopter.recalls(name):
                    self._forget(name)
                else:
                    outcome = self._adopter.take(name, seen, remembered[name], ready_at=self._ready_at)
                    self._enter(name, outcome, seen, staged)
            self._commit(staged)
        except SpoolDamaged:
            raise
        except (SpoolFull, SpoolUnavailable) as error:
            now = self._clock.boot()
            for other, _ in due:
                # It may be the fault of this one file, which goes behind the others then.
                blamed = other == name and not isinstance(error, SpoolFull)
                self._pictures.postpone(other, now, until=now + PAUSE_S * (2 if blamed else 1))
            self._commit(staged)
            raise

    def _enter(self, name: str, outcome: Outcome, seen: Sighting, staged: Batch) -> None:
        match outcome:
            case outcomes.Taken(one):
                staged.append((name, one))
            case outcomes.Skipped():
                staged.append((name, None))
            case outcomes.Old() | outcomes.Gone() | outcomes.Forgone() | outcomes.Crowded():
                self._forget(name)
            case outcomes.Changed(found):
                self._see(name, found)
            case outcomes.Unpaired(until):
                self._pictures.postpone(name, self._clock.boot(), until=until)
            case outcomes.Unfinished(reason):
                self._delay(name, reason, aloud_after_s=LONGEST_WAIT_S)
            case outcomes.Withheld(reason):
                self._delay(name, reason, aloud_after_s=0.0)
            case outcomes.Unfit(reason):
                self._forget(name)
                if self._aside.refuse(name, seen):
                    log.warning("file_rejected", source=self._plan.name, path=name, reason=reason)

    def _commit(self, staged: Batch) -> None:
        batch = staged.copy()
        staged.clear()
        self._adopter.commit(batch)
        for name, _ in batch:
            self._sidecars.spend(name)
            self._forget(name)
        for name in self._adopter.recalled():
            if (found := self._listing.look(name)) is not None:
                self._see(name, found)

    def _delay(self, name: str, reason: str, *, aloud_after_s: float) -> None:
        """Look into a file again later; a half-written one is said only when it has been waited for long."""
        wait_s = self._pictures.postpone(name, self._clock.boot())
        if not self._aside.has_room(name):
            self._forget(name)  # a later walk finds it again
        elif self._aside.delay(name, reason, aloud=wait_s >= aloud_after_s and not self._stop.is_set()):
            log.warning("file_delayed", source=self._plan.name, path=name, reason=reason)

    def _ready_at(self, name: str, sidecar: SidecarFile | None) -> float | None:
        """Return when to come back for a picture, or None where it need not wait for its sidecar any more."""
        now = self._clock.boot()
        at = self._sidecars.ready_at(name, sidecar.sighting if sidecar else None, now)
        return at if at > now else None

    def _forget(self, name: str) -> None:
        self._pictures.lose(name)
        self._sidecars.forget(name)
        self._aside.forget(name)
        self._adopter.forget(name)

    def _finished(self) -> bool:
        """Tell whether all that was there is taken; what stays unfinished or unreadable is named and left."""
        delayed = self._aside.delayed()
        walks = self._rounds.walking or self._rounds.asked or not self._rounds.completed
        if walks or len(self._pictures) > len(delayed):
            return False
        for name, reason in sorted(delayed.items()):
            log.warning("file_left", source=self._plan.name, path=name, reason=reason)
        return True

    def _rest_s(self) -> float:
        """Return how long nothing is to be done unless something is heard."""
        times = [self._pictures.next_due(), None if self._rounds.walking else self._rounds.due_at()]
        if self._rounds.walking and self._room() > 0:
            times.append(-math.inf)
        upcoming = min((at for at in times if at is not None), default=math.inf)
        return max(0.0, min(max(upcoming, self._pause.until) - self._clock.boot(), self._plan.rescan_s))

"""One settled file's way into the spool, told as an outcome."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import structlog

from agent.annotators.plan import NO_ANSWER
from agent.errors import BadPicture, BadSidecar, Reject, SpoolFull, SpoolUnavailable, Wait
from agent.frame import Labels
from agent.pictures.inspect import NotWhole
from agent.selection.folder import Unwanted
from agent.sources.listing import sighting
from agent.sources.opening import Vanished, open_below
from agent.sources.outcomes import (
    Changed,
    Crowded,
    Forgone,
    Gone,
    Old,
    Skipped,
    Taken,
    Unfinished,
    Unfit,
    Unpaired,
    Withheld,
)
from agent.spool.allowance import NoRoom
from agent.spool.records import Mark
from agent.spool.room import REASONS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from agent.annotators.folder import FolderAnnotations
    from agent.pictures.inspect import Picture
    from agent.selection.folder import FolderChooser
    from agent.sources.drafting import Drafter, WatchPlan
    from agent.sources.memory import Remembered
    from agent.sources.outcomes import Outcome
    from agent.sources.scout import Scout
    from agent.sources.settle import Sighting
    from agent.sources.sidecars import SidecarFile, Sidecars
    from agent.spool.inbox import Inbox
    from agent.spool.records import Draft, Staged
    from agent.spool.spool import Spool

log = structlog.get_logger(__name__)


ReadyAt: TypeAlias = "Callable[[str, SidecarFile | None], float | None]"


class Adopter:
    """Takes files of one directory into the spool; those without a sidecar pass `annotations` where there are any."""

    def __init__(
        self,
        plan: WatchPlan,
        drafter: Drafter,
        spool: Spool,
        annotations: FolderAnnotations | None = None,
        chooser: FolderChooser | None = None,
        scout: Scout | None = None,
    ) -> None:
        self._annotations = annotations
        self._chooser = chooser
        self._scout = scout
        self._choose = None if chooser is None else chooser.priority
        self._plan = plan
        self._root = str(plan.root)  # joined by hand: a Path a look is a tenth of what a picture costs
        self._drafter = drafter
        self._spool = spool
        self._inbox: Inbox = spool.inbox
        self._copies: set[str] = set()

    @property
    def sidecars(self) -> Sidecars:
        """Where the sidecars of this directory's pictures are found."""
        return self._drafter.sidecars

    def take(self, name: str, seen: Sighting, remembered: Remembered, *, ready_at: ReadyAt) -> Outcome:
        """Try to take one file; raises `SpoolFull` or `SpoolUnavailable` where the spool can take none."""
        try:
            return self._take(name, seen, remembered, ready_at)
        except Vanished:
            return Gone()
        except NotWhole as error:
            return Unfinished(str(error))
        except BadSidecar as error:  # it is to be mended: the rule is to wait
            return Withheld(str(error))
        except Reject as error:
            return Skipped() if isinstance(error, Unwanted) else Unfit(str(error))
        except (SpoolFull, SpoolUnavailable):
            raise
        except Wait as error:
            return Withheld(str(error))

    def look_ahead(self, coming: Sequence[tuple[str, Sighting]]) -> None:
        """Have those files looked at that come next, where they are many."""
        if self._scout is not None:
            self._scout.go_on(coming)

    def close(self) -> None:
        """End what helps with this."""
        if self._scout is not None:
            self._scout.close()

    def annotated(self) -> list[str]:
        """Return the files that an annotator has looked at since this was asked last."""
        return self._annotations.take_news() if self._annotations is not None else []

    def wants_more(self) -> bool:
        """Tell, once, that there is room for files that were turned away as `Crowded`."""
        return self._annotations is not None and self._annotations.wants_more()

    def forget(self, name: str) -> None:
        """Let go of what was said of a file: it is taken, gone, or nothing to send."""
        if self._annotations is not None:
            self._annotations.forget(name)
        if self._chooser is not None:
            self._chooser.forget(name)

    def recalls(self, name: str) -> bool:
        """Tell whether a file that is known, because it was skipped, is wanted after all."""
        return self._chooser is not None and self._chooser.recalls(name)

    def commit(self, batch: Sequence[tuple[str, Staged | None]]) -> None:
        """Make items of what was staged, and enter what was skipped (None)."""
        staged = [(name, one) for name, one in batch if one is not None]
        self._inbox.commit([one for _, one in staged])
        if self._chooser is not None and batch:
            self._chooser.enter((name, one.draft.size) for name, one in staged)
        for name, one in staged:
            size, filename = one.draft.size, one.filename
            log.info("item_spooled", item=one.id, filename=filename, source=self._plan.name, path=name, bytes=size)

    def recalled(self) -> list[str]:
        """Return skipped files that are wanted after all since this was asked last."""
        return [] if self._chooser is None else self._chooser.take_recalled()

    def _take(self, name: str, seen: Sighting, remembered: Remembered, ready_at: ReadyAt) -> Outcome:
        with open_below(self._root, name) as (descriptor, status):
            if sighting(status) != seen:
                return Changed(sighting(status))
            with self._drafter.sidecars.open(name) as sidecar:
                until = ready_at(name, sidecar)
                if until is not None:
                    return Unpaired(until)
                if sidecar is None and self._annotations is not None and not self._annotations.has_room(name):
                    return Crowded()
                return self._adopt(name, descriptor, status, remembered, sidecar)

    def _adopt(
        self, name: str, descriptor: int, status: os.stat_result, remembered: Remembered, sidecar: SidecarFile | None
    ) -> Outcome:
        picture = self._drafter.look(descriptor, self._scout.report(name, status) if self._scout else None)
        seen = sighting(status)
        known = remembered.known
        if is_old(picture, remembered) and not self.recalls(name):
            skipped = None if known is None else known.skipped
            self._inbox.mark(self._plan.name, Mark(name, seen.inode, seen.size, seen.mtime_ns, picture.sha256, skipped))
            return Old()
        # A file whose inode we have taken with other bytes is rewritten in place: a link would share its fate.
        rewritten = known is not None and known.skipped is None and known.inode == seen.inode
        if sidecar is not None or self._annotations is None:
            return self._stage(
                self._drafter.draft(name, descriptor, status, picture, sidecar, copy=rewritten, choose=self._choose)
            )
        said = self._annotations.ask(name, seen, picture)
        if said is None:
            return Unpaired(math.inf)
        labels = said if isinstance(said, Labels) else None
        if labels is None:
            if self._annotations.rule == "wait":
                return Withheld(f"it is not annotated: {said}")
            log.warning("picture_unannotated", source=self._plan.name, path=name, reason=str(said))
        draft = self._drafter.draft(
            name, descriptor, status, picture, None, copy=rewritten, labels=labels, choose=self._choose
        )
        if labels is None and self._annotations.rule == "drop":
            self._inbox.pass_over(draft, NO_ANSWER)
            return Forgone()
        return self._stage(draft)

    def _stage(self, draft: Draft) -> Outcome:
        if draft.size > self._spool.max_bytes:
            # It would never have room, and would hold up all others.
            raise BadPicture(
                f"it has {draft.size} bytes, more than the spool may hold", remedy="Raise spool.max_bytes."
            )
        try:
            staged = self._inbox.stage(draft)
        except NoRoom:
            if self._plan.when_full != "newest":
                raise
            self._inbox.pass_over(draft, REASONS["newest"])
            return Forgone()
        if staged.copied_because is not None:
            self._say_copied(staged.copied_because)
        return Taken(staged)

    def _say_copied(self, reason: str) -> None:
        if reason not in self._copies:
            self._copies.add(reason)
            log.warning("pictures_copied", source=self._plan.name, path=str(self._plan.root), reason=reason)


def is_old(picture: Picture, remembered: Remembered) -> bool:
    """Tell whether these bytes were captured under this name, or this file under another."""
    by_name = remembered.known is not None and remembered.known.sha256 == picture.sha256
    return by_name or remembered.renamed == picture.sha256

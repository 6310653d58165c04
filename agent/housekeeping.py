"""What nobody waits for: orphans looked for once, leftovers removed and receipts bounded now and then."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from agent.annotations.metadata import metadata_json
from agent.annotations.plan import AnnotationPlan
from agent.annotations.read import MAX_SIDECAR_BYTES, Subject, as_displayed, read_labels
from agent.errors import BadPicture, BadSidecar, SpoolDamaged, Wait
from agent.pictures.inspect import NotWhole, PictureLimits, inspect
from agent.sources.opening import open_regular
from agent.spool.reconcile import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from agent.clock import Clock
    from agent.frame import Labels, Model
    from agent.pictures.inspect import Picture
    from agent.spool.reconcile import Reconciler
    from agent.spool.spool import Spool
    from agent.workers import Stop

log = structlog.get_logger(__name__)

EVERY_S = 600.0
RECEIPTS = 200_000
RECEIPT_AGE = timedelta(days=400)  # the same season of last year can still be answered for


class Housekeeping:
    """One thread: reconciles each folder of pictures at the start, then sweeps every ten minutes."""

    def __init__(
        self, spool: Spool, reconciler: Reconciler, folders: Sequence[Path], *, stop: Stop, clock: Clock
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._reconciler = reconciler
        self._folders = folders
        self._stop = stop
        self.settled = False

    def run(self) -> None:
        """Work until the stop is set; `settled` is true once what an earlier run left is taken care of."""
        for folder in self._folders:
            self._quietly(partial(self._reconciler.run, folder, self._stop))
        self._quietly(self._sweep)
        self.settled = True
        self._spool.arrived.ring()
        while not self._stop.wait(EVERY_S):
            self._quietly(self._sweep)

    def _sweep(self) -> None:
        self._spool.outbox.sweep()
        self._spool.outbox.prune(RECEIPTS)
        # A clock that jumped ahead must not take a year's proofs away.
        if self._clock.trusted():
            self._spool.outbox.expire(self._clock.wall() - RECEIPT_AGE)

    def _quietly(self, work: Callable[[], object]) -> None:
        try:
            work()
        except SpoolDamaged:
            raise
        except Wait as error:
            log.warning("housekeeping_delayed", reason=str(error))


class Examiner:
    """Looks into a picture that lost its row, and builds its metadata from its name and its sidecar."""

    def __init__(self, limits: PictureLimits, model: Model, plans: Mapping[str, AnnotationPlan]) -> None:
        self._limits = limits
        self._model = model
        self._plans = plans

    def __call__(self, picture: Path, sidecar: Path | None, *, source: str, captured_at: datetime) -> Found:
        """Return what the picture's row needs; raises `BadPicture` or `Wait` as `inspect` does."""
        with open_regular(picture) as (descriptor, _):
            found = self._inspect(descriptor)
        labels = self._labels(sidecar, found, source) if sidecar else None
        metadata = metadata_json(source=source, captured_at=captured_at, model=self._model, labels=labels)
        return Found(found.media_type, found.size, found.sha256, metadata)

    def _inspect(self, descriptor: int) -> Picture:
        try:
            return inspect(descriptor, self._limits)
        except NotWhole as error:  # nobody goes on writing what lies in the spool
            raise BadPicture(str(error)) from error

    def _labels(self, sidecar: Path, picture: Picture, source: str) -> Labels | None:
        try:
            with open_regular(sidecar) as (descriptor, _):
                data = os.pread(descriptor, MAX_SIDECAR_BYTES + 1, 0)
            subject = Subject("", picture.width, picture.height, picture.orientation)
            reading = read_labels(sidecar.name, data, subject, self._plans.get(source, AnnotationPlan()))
            return as_displayed(reading.labels, picture.orientation)
        except (BadSidecar, Wait, OSError) as error:
            log.warning("sidecar_rejected", source=source, path=str(sidecar), reason=str(error))
            return None

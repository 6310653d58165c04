"""From a settled file to a draft: opened once, checked and read through that one descriptor."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from agent.annotations.metadata import metadata_json
from agent.annotations.plan import AnnotationPlan
from agent.annotations.read import as_displayed
from agent.clock import stamp_file
from agent.errors import BadSidecar
from agent.frame import PRIORITY, Labels, Model, Origin
from agent.media import JPEG
from agent.pictures.developing import Darkroom, Developer, Encoding
from agent.pictures.inspect import Picture, inspect
from agent.pictures.transform import Recipe
from agent.selection.folder import Candidate
from agent.sources.labelling import Labeller
from agent.sources.listing import sighting
from agent.sources.sidecars import Sidecars
from agent.spool.records import Draft, Mark, Opened, OpenedSidecar
from agent.spool.shelf import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.annotations.read import Reading
    from agent.clock import Clock, Stamp
    from agent.pictures.limits import PictureLimits
    from agent.pictures.masks import Corners
    from agent.pictures.transform import Rectangle, Transform
    from agent.selection.plan import SelectPlan
    from agent.sources.settle import Sighting
    from agent.sources.sidecars import SidecarFile

log = structlog.get_logger(__name__)

LATEST_S = 253_402_300_799  # the last second of the year 9999; a file's time can be any number


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """How one directory is watched; `after` is what delivery does to its files, `when_full` what a full spool does.

    `select` is None where every picture is worth the link.
    """

    name: str
    root: Path
    patterns: tuple[str, ...]
    recursive: bool = False
    annotations: AnnotationPlan = field(default_factory=AnnotationPlan)
    settle_s: float = 1.0
    sidecar_wait_s: float = 2.0
    rescan_s: float = 30.0
    decode: bool = False
    after: str = "keep"
    move_to: Path | None = None
    when_full: str = "pause"
    priority: int = PRIORITY
    crop: Rectangle | None = None
    masks: tuple[Corners, ...] = ()
    select: SelectPlan | None = None
    annotate: bool = True


class Prospect(NamedTuple):
    """What a file becomes: what is done to its pixels, what its sidecar says of what is sent, and when it was taken.

    `fault` is what is wrong with the sidecar; `refused` is the same where the picture is set aside for it.
    """

    transform: Transform | None
    reading: Reading | None
    labels: Labels | None
    captured_at: datetime
    stamp: Stamp | None
    metadata: str
    fault: str | None
    refused: str | None


class Drafter:
    """Makes drafts of one watched directory's files."""

    def __init__(
        self,
        plan: WatchPlan,
        *,
        limits: PictureLimits,
        encoding: Encoding,
        model: Model,
        darkroom: Darkroom,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._root = str(plan.root)
        self._limits = limits
        self._model = model
        self._darkroom = darkroom
        self._developer = Developer(darkroom, encoding, Recipe(plan.crop, plan.masks, encoding.max_side))
        self._clock = clock
        self._hidden = plan.root / HIDDEN
        self._labeller = Labeller(plan.name, plan.annotations)
        self.sidecars = Sidecars(plan.root, plan.annotations, clock)

    def look(self, descriptor: int, reported: Picture | None = None) -> Picture:
        """Check an open file, beyond what was `reported` of it.

        Raises `NotWhole`, `BadPicture` or `NoDecoder`, as the picture room does.
        """
        picture = reported or inspect(descriptor, self._limits)
        if self._plan.decode and picture.sendable:
            self._darkroom.verify(descriptor)
        return picture

    def shown(self, descriptor: int, picture: Picture) -> tuple[bytes, Picture]:
        """Return a checked file's picture as an annotator is to see it: a JPEG, masked and cut as it is sent."""
        return self._developer.shown(descriptor, picture)

    def draft(
        self,
        name: str,
        descriptor: int,
        status: os.stat_result,
        picture: Picture,
        sidecar: SidecarFile | None,
        *,
        copy: bool,
        labels: Labels | None = None,
        choose: Callable[[Candidate, int], int] | None = None,
    ) -> Draft:
        """Freeze a checked file and its sidecar into a draft; `copy` asks for bytes of its own instead of a link.

        `labels` are an annotator's, for a file without a sidecar: boxes of the stored pixels of what is sent. `choose`
        gives the picture its priority, or raises `Unwanted`, before anything is decoded for it.
        """
        seen, coming = sighting(status), self.foresee(name, status, picture, sidecar, labels)
        mark = Mark(name, seen.inode, seen.size, seen.mtime_ns, picture.sha256)
        draft = Draft(
            source=self._plan.name,
            captured_at=coming.captured_at,
            media_type=picture.media_type if coming.transform is None else JPEG,
            size=picture.size,
            sha256=picture.sha256,
            metadata=coming.metadata,
            body=Opened(descriptor, self._hidden, copy=copy),
            # Beside other pixels the boxes of the sidecar would be wrong.
            sidecar=_link(sidecar) if coming.transform is None else None,
            origin=self._origin(name, seen, sidecar),
            mark=mark,
            stamp=coming.stamp,
            refused=coming.refused,
            priority=self._plan.priority,
        )
        if choose is not None and coming.refused is None:
            candidate = Candidate(mark, coming.captured_at, picture, coming.labels)
            draft = draft._replace(priority=choose(candidate, descriptor))
        # What is not sent as it is has bytes of its own: a link to the original would show what was taken out.
        data = self._developer.develop(descriptor, picture, coming.transform)
        return draft if data is None else draft.with_bytes(data)

    def foresee(
        self,
        name: str,
        status: os.stat_result,
        picture: Picture,
        sidecar: SidecarFile | None,
        labels: Labels | None = None,
    ) -> Prospect:
        """Return what a checked file would become, without touching its pixels; raises as `draft` does."""
        transform, reading, fault = self._developer.transform(picture), None, None
        if sidecar is not None:
            reading, fault = self._read(sidecar, picture, name, transform)
            labels = reading.labels if reading is not None else None
        elif labels is not None and transform is None:
            labels = as_displayed(labels, picture.orientation)
        captured_at, stamp = self._captured_at(labels, status)
        metadata = metadata_json(source=self._plan.name, captured_at=captured_at, model=self._model, labels=labels)
        refused = fault if self._plan.annotations.on_bad == "quarantine" else None
        return Prospect(transform, reading, labels, captured_at, stamp, metadata, fault, refused)

    def _read(
        self, sidecar: SidecarFile, picture: Picture, name: str, transform: Transform | None
    ) -> tuple[Reading | None, str | None]:
        """Return what a sidecar says, or what is wrong with it; raises that where the rule is to wait."""
        rule = self._plan.annotations.on_bad
        try:
            return self._labeller.read(sidecar, picture, name, transform), None
        except BadSidecar as error:
            if rule == "wait":
                raise
            log.warning("sidecar_rejected", source=self._plan.name, path=sidecar.name, reason=str(error), rule=rule)
            # Sent without, or set aside: the picture is taken either way, so what it shows is not lost.
            return None, str(error)

    def _origin(self, name: str, seen: Sighting, sidecar: SidecarFile | None) -> Origin:
        plan = self._plan
        beside = None
        # What tells of other pictures as well stays.
        if sidecar is not None and sidecar.descriptor is not None and plan.after != "keep":
            beside = self._marked(sidecar.name, sidecar.sighting, None)
        return self._marked(name, seen, beside)

    def _captured_at(self, labels: Labels | None, status: os.stat_result) -> tuple[datetime, Stamp | None]:
        """Return the time that the sidecar tells, which is not our clock's affair, else that of the writing."""
        if labels is not None and labels.captured_at is not None:
            return labels.captured_at, None
        written = datetime.fromtimestamp(max(0.0, min(status.st_mtime, LATEST_S)), UTC)
        return written, stamp_file(written, self._clock)

    def _marked(self, name: str, seen: Sighting, sidecar: Origin | None) -> Origin:
        plan = self._plan
        text = f"{self._root}/{name}"
        # Only a sister folder's name leads up first.
        pathname = os.path.normpath(text) if ".." in name else text
        return Origin(pathname, seen.inode, seen.size, seen.mtime_ns, plan.after, plan.move_to, sidecar)


def _link(sidecar: SidecarFile | None) -> OpenedSidecar | None:
    """Return what is laid beside the picture: its sidecar, or what a file for all pictures says of it."""
    if sidecar is None or sidecar.error is not None:
        return None
    return OpenedSidecar(sidecar.descriptor, Path(sidecar.name).suffix, sidecar.data)

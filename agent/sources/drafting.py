"""From a settled file to a draft: opened once, checked and read through that one descriptor."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from agent.annotations.metadata import metadata_json
from agent.annotations.pairing import sidecar_names
from agent.annotations.read import MAX_SIDECAR_BYTES, read_sidecar
from agent.clock import stamp_file
from agent.errors import BadSidecar, Wait
from agent.frame import JPEG, PRIORITY, Labels, Model, Origin
from agent.pictures.developing import Darkroom, Developer, Encoding
from agent.pictures.inspect import Picture, inspect
from agent.pictures.transform import Recipe
from agent.sources.listing import sighting
from agent.sources.opening import Vanished, open_regular
from agent.spool.records import Draft, Mark, Opened, OpenedSidecar
from agent.spool.shelf import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Clock, Stamp
    from agent.pictures.limits import PictureLimits
    from agent.pictures.masks import Corners
    from agent.pictures.transform import Rectangle, Transform
    from agent.sources.settle import Sighting

log = structlog.get_logger(__name__)

LATEST_S = 253_402_300_799  # the last second of the year 9999; a file's time can be any number


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """How one directory is watched; `after` is what delivery does to its files, `when_full` what a full spool does."""

    name: str
    root: Path
    patterns: tuple[str, ...]
    recursive: bool = False
    classes: tuple[str, ...] = ()
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
    annotate: bool = True


@dataclass(frozen=True, slots=True)
class SidecarFile:
    """An open sidecar with its content."""

    name: str
    descriptor: int
    data: bytes
    sighting: Sighting


@contextmanager
def open_sidecar(root: Path, picture: str) -> Iterator[SidecarFile | None]:
    """Open the sidecar that counts for a picture, or yield None where there is none.

    Its sighting is of after the reading: where that is the one that has settled, the content is of then, too.
    """
    folder, slash, last = picture.rpartition("/")
    with ExitStack() as stack:
        for candidate in sidecar_names(last):
            name = f"{folder}{slash}{candidate}"
            # Most pictures have none or one of the four: a look costs a third of a refused opening.
            if not os.path.lexists(f"{root}/{name}"):
                continue
            try:
                descriptor, _ = stack.enter_context(open_regular(root / name, root))
            except Vanished:
                continue
            yield SidecarFile(name, descriptor, *_read(root / name, descriptor))
            return
        yield None


def _read(path: Path, descriptor: int) -> tuple[bytes, Sighting]:
    try:
        return os.pread(descriptor, MAX_SIDECAR_BYTES + 1, 0), sighting(os.fstat(descriptor))
    except OSError as error:
        raise Wait(f"cannot read {path}: {error.strerror}", remedy="Check its disk.") from error


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
        self._limits = limits
        self._model = model
        self._darkroom = darkroom
        self._developer = Developer(darkroom, encoding, Recipe(plan.crop, plan.masks, encoding.max_side))
        self._clock = clock
        self._hidden = plan.root / HIDDEN

    def look(self, descriptor: int) -> Picture:
        """Check an open file; raises `NotWhole`, `BadPicture` or `NoDecoder`, as the picture room does."""
        picture = inspect(descriptor, self._limits)
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
    ) -> Draft:
        """Freeze a checked file and its sidecar into a draft; `copy` asks for bytes of its own instead of a link.

        `labels` are an annotator's, for a file without a sidecar: boxes of the picture as it is sent.
        """
        transform = self._developer.transform(picture)
        if sidecar is not None:
            labels = self._labels(sidecar, picture, transform)
        captured_at, stamp = self._captured_at(labels, status)
        seen = sighting(status)
        # Beside other pixels the boxes of the sidecar would be wrong.
        original = sidecar if transform is None else None
        beside = OpenedSidecar(original.descriptor, Path(original.name).suffix) if original else None
        draft = Draft(
            source=self._plan.name,
            captured_at=captured_at,
            media_type=picture.media_type if transform is None else JPEG,
            size=picture.size,
            sha256=picture.sha256,
            metadata=metadata_json(source=self._plan.name, captured_at=captured_at, model=self._model, labels=labels),
            body=Opened(descriptor, self._hidden, copy=copy),
            sidecar=beside,
            origin=self._origin(name, seen, sidecar),
            mark=Mark(name, seen.inode, seen.size, seen.mtime_ns, picture.sha256),
            stamp=stamp,
        )
        # What is not sent as it is has bytes of its own: a link to the original would show what was taken out.
        data = self._developer.develop(descriptor, picture, transform)
        return draft if data is None else draft.with_bytes(data)

    def _labels(self, sidecar: SidecarFile, picture: Picture, transform: Transform | None) -> Labels | None:
        try:
            labels = read_sidecar(
                sidecar.name,
                sidecar.data,
                classes=self._plan.classes,
                width=picture.width,
                height=picture.height,
            )
        except BadSidecar as error:
            # The picture can never be taken again, so it goes without the annotations rather than not at all.
            log.warning("sidecar_rejected", source=self._plan.name, path=sidecar.name, reason=str(error))
            return None
        if transform is not None:
            labels = transform.labels(labels)
        if labels.dropped or labels.unnamed or labels.masked:
            log.warning(
                "annotations_adjusted",
                source=self._plan.name,
                path=sidecar.name,
                outside_of_the_picture=labels.dropped,
                without_a_class_name=labels.unnamed,
                under_a_mask=labels.masked,
            )
        return labels

    def _origin(self, name: str, seen: Sighting, sidecar: SidecarFile | None) -> Origin:
        plan = self._plan
        beside = None
        if sidecar is not None and plan.after != "keep":
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
        return Origin(plan.root / name, seen.inode, seen.size, seen.mtime_ns, plan.after, plan.move_to, sidecar)

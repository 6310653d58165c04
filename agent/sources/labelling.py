"""From a picture's sidecar to the labels that go with what is sent, and the words that are said of it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from agent.annotations.read import MAX_SIDECAR_BYTES, Subject, as_displayed, read_labels
from agent.errors import BadSidecar, Wait
from agent.sources.opening import open_regular

if TYPE_CHECKING:
    from agent.annotations.plan import AnnotationPlan
    from agent.annotations.read import Reading
    from agent.pictures.inspect import Picture
    from agent.pictures.transform import Transform
    from agent.sources.sidecars import SidecarFile

log = structlog.get_logger(__name__)

COUNTS = {
    "dropped": "outside_of_the_picture",
    "unnamed": "without_a_class_name",
    "masked": "under_a_mask",
    "skipped": "without_a_box",
    "unsure": "below_min_confidence",
}


class Labeller:
    """Reads the sidecars of one source by its plan."""

    def __init__(self, source: str, plan: AnnotationPlan) -> None:
        self._source = source
        self._plan = plan
        self._said: set[str] = set()

    def read(self, sidecar: SidecarFile, picture: Picture, name: str, transform: Transform | None) -> Reading:
        """Return what a sidecar says of a picture, its boxes those of what is sent; raises `BadSidecar`.

        What is sent untouched is shown as its EXIF says, and so are its boxes; a transform sets it upright itself.
        """
        reading = self._read(
            sidecar, Subject(name.rpartition("/")[2], picture.width, picture.height, picture.orientation)
        )
        self._say_format(sidecar, reading)
        labels = reading.labels
        labels = as_displayed(labels, picture.orientation) if transform is None else transform.labels(labels)
        adjusted = {said: getattr(labels, count) for count, said in COUNTS.items()}
        if any(adjusted.values()):
            log.warning("annotations_adjusted", source=self._source, path=sidecar.name, **adjusted)
        return replace(reading, labels=labels)

    def _read(self, sidecar: SidecarFile, subject: Subject) -> Reading:
        if sidecar.error is not None:
            raise sidecar.error
        try:
            return read_labels(sidecar.name, sidecar.data, subject, self._plan)
        except BadSidecar:
            if sidecar.whole is None:
                raise
        # The lines of a part are not those of its file: the whole says where the fault is.
        return read_labels(sidecar.name, _whole(sidecar), subject, self._plan)

    def _say_format(self, sidecar: SidecarFile, reading: Reading) -> None:
        """Say once which format was taken, and why: a wrong guess must not go unseen."""
        if reading.format not in self._said:
            self._said.add(reading.format)
            log.info(
                "annotation_format_recognised",
                source=self._source,
                format=reading.format,
                reason=reading.reason,
                path=sidecar.name,
            )


def _whole(sidecar: SidecarFile) -> bytes:
    try:
        with open_regular(sidecar.whole or sidecar.name) as (descriptor, _):  # type: ignore[arg-type]
            return os.pread(descriptor, MAX_SIDECAR_BYTES + 1, 0)
    except (Wait, OSError) as error:
        raise BadSidecar(f"{sidecar.name}: cannot be read any more ({error})") from None

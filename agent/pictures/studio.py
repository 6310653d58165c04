"""Where pictures are decoded and re-encoded: the daemon's side of the picture child."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import structlog

from agent.errors import BadPicture, Reject, Wait
from agent.pictures.dialogue import Dialogue
from agent.pictures.exif import with_orientation
from agent.pictures.inspect import NotWhole, Picture, inspect
from agent.pictures.limits import PictureLimits
from agent.pictures.tape import opened
from agent.pictures.transform import Recipe
from agent.selection.facts import Look
from agent.selection.plan import PIXEL_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.annotations.boxes import Geometry
    from agent.pictures.transform import Transform

log = structlog.get_logger(__name__)

CHILD = (sys.executable, "-P", "-m", "agent.pictures.child")
"""`-P` keeps the present directory off the search path: it may be full of other people's files."""
_TRIES = 2
AS_IT_IS = Recipe()


class NoDecoder(Reject):
    """OpenCV is not installed, so this picture can be neither converted nor checked by decoding."""


class PictureChild:
    """Decodes pictures in a child process, which starts with the first of them and ends when idle.

    Every picture is inspected before it goes to the child, so none beyond the limits gets there. A child that
    takes longer than `deadline_s` is killed, and the picture rejected; a picture on which it dies twice, too (once
    may be the fault of something else). A call occupies its thread until then; calls wait for one another. A
    source is an open descriptor or the picture itself. `environment` is what the child gets of it, without secrets.

    All raise as `inspect` does, `BadPicture` for what cannot be decoded, and `NoDecoder` without OpenCV.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        limits: PictureLimits | None = None,
        deadline_s: float = 20.0,
        idle_s: float = 60.0,
    ) -> None:
        self._environment = {**environment, "OPENBLAS_NUM_THREADS": "1"}
        self._limits = limits or PictureLimits()
        self._deadline_s = deadline_s
        self._command = (*CHILD, str(idle_s), str(math.ceil(deadline_s)), str(os.getpid()))
        self._lock = threading.Lock()
        self._child: Dialogue | None = None
        self._closed = False

    def verify(self, source: bytes | int) -> None:
        """Return if the picture decodes, undamaged, to the size that its header says."""
        with self._inspected(source) as (descriptor, picture):
            self._ask("decode", descriptor, picture)

    def convert(self, source: bytes | int, *, quality: int, transform: Transform) -> bytes:
        """Return the picture as a JPEG, upright, with everything done to it that the transform says.

        The JPEG has no EXIF: its pixels are as they are shown. Transparency is left out, 16 bits a channel become 8, of
        several pages the first is taken. Raises `NotWhole` where the transform was made for another picture.
        """
        with self._inspected(source) as (descriptor, picture):
            if (picture.width, picture.height, picture.orientation) != (*transform.stored, transform.orientation):
                raise NotWhole("the file changed while it was read")
            return self._ask("convert", descriptor, picture, quality=quality, steps=transform.steps())

    def shrink(self, source: bytes | int, *, max_bytes: int, quality: int = 85) -> bytes:
        """Return the picture as a JPEG of at most `max_bytes`, by lower quality first, then by half the side.

        Pixels stay as they are stored and the orientation goes with them: the boxes are on their way already.
        Raises `BadPicture` where an eighth of the side is still too large.
        """
        with self._inspected(source) as (descriptor, picture):
            room = max_bytes - len(with_orientation(b"", picture.orientation))
            jpeg = self._ask("shrink", descriptor, picture, quality=quality, max_bytes=room)
            return with_orientation(jpeg, picture.orientation)

    def draw(self, source: bytes | int, *, transform: Transform, boxes: Sequence[tuple[str, Geometry]]) -> bytes:
        """Return a PNG of the picture, prepared as the transform says, with named boxes of the result drawn on it."""
        with self._inspected(source) as (descriptor, picture):
            return self._ask("draw", descriptor, picture, steps=transform.steps(), boxes=list(boxes))

    def look(
        self,
        source: bytes | int,
        picture: Picture | None = None,
        *,
        needs: Sequence[str] = PIXEL_LIMITS,
        recipe: Recipe = AS_IT_IS,
    ) -> Look:
        """Return how the picture looks, cropped and masked as it is sent, from a reduced decode.

        Only what the limits in `needs` ask for is measured. A `picture` that was inspected already is not again.
        """
        with opened(source) as descriptor:
            found = picture or inspect(descriptor, self._limits)
            asked = {"needs": list(needs), "crop": recipe.crop, "masks": recipe.masks, "orientation": found.orientation}
            return Look.of_json(json.loads(self._ask("look", descriptor, found, **asked)))

    def close(self) -> None:
        """End the child, also in the middle of a picture: whoever waits for that gets `Wait`."""
        self._closed = True
        if (child := self._child) is not None:
            child.kill()
        with self._lock:
            self._end()

    @contextlib.contextmanager
    def _inspected(self, source: bytes | int) -> Iterator[tuple[int, Picture]]:
        with opened(source) as descriptor:
            yield descriptor, inspect(descriptor, self._limits)

    def _ask(self, operation: str, descriptor: int, picture: Picture, **options: Any) -> bytes:  # noqa: ANN401 (JSON)
        request: dict[str, Any] = {
            "operation": operation,
            "size": picture.size,
            "width": picture.width,
            "height": picture.height,
            **options,
        }
        with self._lock:
            for _ in range(_TRIES):
                with contextlib.suppress(ConnectionError):
                    return self._converse(request, descriptor)
        raise BadPicture("the decoder crashed on it")

    def _converse(self, request: Mapping[str, Any], descriptor: int) -> bytes:
        deadline = time.monotonic() + self._deadline_s
        child = self._running(deadline)
        try:
            child.send(request, descriptor, deadline)
            answer, result = child.receive(self._limits.max_bytes, deadline)
        except TimeoutError:
            self._end()
            raise BadPicture(f"decoding it took longer than {self._deadline_s:g} s") from None
        except BaseException:
            self._end()
            raise
        _check(answer)
        return result

    def _running(self, deadline: float) -> Dialogue:
        if self._child is not None and not self._child.alive():
            self._end()
        try:
            return self._child or self._started(deadline)
        except OSError as error:
            self._end()
            why = "the agent is stopping" if self._closed else f"the picture child does not start: {error}"
            raise Wait(why) from error

    def _started(self, deadline: float) -> Dialogue:
        child = self._child = Dialogue(self._command, self._environment)
        # Asked only now: `close` either finds the child above, or is found out here.
        if self._closed:
            raise ConnectionError
        child.receive(0, deadline)
        log.debug("picture_child_started", pid=child.pid)
        return child

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            log.debug("picture_child_ended", pid=self._child.pid)
            self._child = None


def _check(answer: Mapping[str, object]) -> None:
    if "missing" in answer:
        raise NoDecoder(
            f"OpenCV is needed for this picture and cannot be imported ({answer['missing']})",
            remedy="Install it with `pip install 'acusight-agent[camera]'` or `apt install python3-opencv`,"
            " then restart the agent.",
        )
    if "unread" in answer:
        raise Wait(f"the file cannot be read: {answer['unread']}")
    if "short" in answer:
        raise NotWhole("the file ends in the middle of the picture")
    if "error" in answer:
        raise BadPicture(str(answer["error"]))

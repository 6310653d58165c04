"""An opened video source, in the grabber: frames are grabbed cheaply, and a JPEG is made of those that are wanted.

It and `backends` alone of the sources import cv2; they are imported in the grabber's process alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from agent.errors import BadPicture
from agent.media import JPEG
from agent.pictures.location import without_location
from agent.pictures.pixels import prepared
from agent.pictures.tape import NotWhole, opened
from agent.pictures.transform import Recipe
from agent.selection.looks import SIDE, colour_reduction, look_at, reduction
from agent.sources import mjpeg
from agent.sources.backends import fourcc_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.pictures.transform import Transform
    from agent.selection.facts import Look
    from agent.sources.backends import Video
    from agent.sources.wire import Order

DARKEST = 10
"""A picture none of whose samples reaches this value (of 255) is black."""

FROZEN_AFTER = 3
"""So many identical pictures in a row mean that the camera is frozen: a real sensor has noise."""

OWN_JPEGS = frozenset({"MJPG", "JPEG"})


Wants: TypeAlias = "Callable[[Look], bool]"


@dataclass(frozen=True, slots=True)
class Exposure:
    """A frame on its way to a JPEG: its pixels as they are sent, and the transform that made them so.

    Of a camera's own JPEG, that is passed on as it is, they are a small copy.
    """

    pixels: Any
    transform: Transform
    own: bytes = b""


class Capture:
    """Turns what a video grabs into JPEGs, and refuses what is no news.

    Where a camera already gives JPEGs they are passed through, not decoded and encoded again (14 ms a frame at
    1080p): only an eighth-size decode looks whether they can be read and are not black.
    """

    def __init__(self, video: Video, order: Order) -> None:
        self._video = video
        self._order = order
        self._recipe = Recipe(order.crop, order.masks, order.max_side)
        self._raw = self._passes_through() and video.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._needs = order.select.needs if order.select else ()
        self._reduction = self._reduced()
        self._previous = b""
        self._same = 0

    def _passes_through(self) -> bool:
        video, order = self._video, self._order
        return (
            order.passthrough
            and order.kind in {"index", "device"}
            and fourcc_text(video.get(cv2.CAP_PROP_FOURCC)) in OWN_JPEGS
            and not 0 < order.max_side < self._longest()
            and order.crop is None
            and not order.masks
        )

    def _reduced(self) -> int:
        """Return how a camera's own JPEG is decoded: as small as suits whoever looks at it."""
        if self._order.lookout is not None:
            return colour_reduction(self._longest(), max(SIDE, self._order.lookout.detection["input_size"]))
        return reduction(self._longest(), self._needs)

    def _longest(self) -> float:
        return max(self._video.get(cv2.CAP_PROP_FRAME_WIDTH), self._video.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def asked(self) -> str:
        """Return what was wanted of a camera, as in `MJPG 1280x720`; empty where nothing was."""
        order = self._order
        size = f"{order.width or '?'}x{order.height or '?'}" if order.width or order.height else ""
        return " ".join(part for part in (order.fourcc, size) if part)

    def got(self) -> str:
        """Return what the source gives, as in `MJPG 1280x720 30 fps passthrough`."""
        get = self._video.get
        size = f"{get(cv2.CAP_PROP_FRAME_WIDTH):.0f}x{get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}"
        rate = f"{self.frames_per_s():g} fps" if self.frames_per_s() else ""
        parts = (fourcc_text(get(cv2.CAP_PROP_FOURCC)), size, rate, "passthrough" if self._raw else "")
        return " ".join(part for part in parts if part)

    def frames_per_s(self) -> float:
        """Return the source's own rate; 0 where it does not say."""
        rate = self._video.get(cv2.CAP_PROP_FPS)
        return rate if 0 < rate <= 1000 else 0.0  # noqa: PLR2004 (some streams claim 90,000: their clock, no rate)

    def duration_s(self) -> float:
        """Return how long a file runs; 0 where it does not say."""
        frames, rate = self._video.get(cv2.CAP_PROP_FRAME_COUNT), self.frames_per_s()
        return frames / rate if frames > 0 and rate else 0.0

    def position_s(self) -> float:
        """Return where in a file the grabbed frame stands, by its own time stamp."""
        return self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def grab(self) -> bool:
        """Wait for the next frame; false where none came."""
        return self._video.grab()

    def picture(self, wants: Wants | None = None) -> bytes:
        """Return the grabbed frame as a JPEG; raises `BadPicture`, named by one word, where it is no picture.

        Empty where it is not wanted, by what it looks like: then no JPEG is made.
        """
        exposure = self.exposed(judged=False)
        return self.developed(exposure) if wants is None or wants(self.look(exposure)) else b""

    def news(self, wants: Wants | None = None) -> bytes:
        """Return a live source's frame as `picture` does; raises `BadPicture` also where it is `black` or `frozen`."""
        if wants is not None:
            exposure = self.exposed(judged=True)
            return self.developed(exposure) if wants(self.look(exposure)) else b""
        pixels = self._pixels()
        exposure = self._exposure(pixels, judged=True)
        jpeg = self.developed(exposure)
        # What a crop or a mask leaves may well be still: the whole frame tells whether the camera is alive.
        self._refuse_frozen(pixels.tobytes() if self._order.masks or self._order.crop else jpeg)
        return jpeg

    def exposed(self, *, judged: bool) -> Exposure:
        """Return the grabbed frame, of which a JPEG may be made; where it is `judged`, it raises as `news` does."""
        pixels = self._pixels()
        exposure = self._exposure(pixels, judged=judged)
        if judged:
            # A frame that is skipped has no JPEG to compare: one pixel in 64 will do, in 0.2 ms.
            self._refuse_frozen(exposure.own or pixels[::8, ::8].tobytes())
        return exposure

    def look(self, exposure: Exposure) -> Look:
        """Return how a frame looks."""
        return look_at(exposure.pixels, self._needs)

    def developed(self, exposure: Exposure) -> bytes:
        """Return a frame as a JPEG."""
        return exposure.own or self._encoded(exposure.pixels)

    def _exposure(self, pixels: Any, *, judged: bool) -> Exposure:  # noqa: ANN401 (an array)
        own, seen = self._own_jpeg(pixels.tobytes()) if self._raw else (b"", pixels)
        if judged and int(seen.max()) < DARKEST:
            raise BadPicture("black")
        height, width = seen.shape[:2]
        transform = self._recipe.for_picture(width, height)
        return Exposure(seen if own else self._prepared(seen, transform), transform, own)

    def _refuse_frozen(self, marks: bytes) -> None:
        self._same = self._same + 1 if marks == self._previous else 1
        self._previous = marks
        if self._same >= FROZEN_AFTER:
            raise BadPicture("frozen")

    def _pixels(self) -> Any:  # noqa: ANN401 (an array of whatever shape the driver gives)
        found, pixels = self._video.retrieve()
        if not found or pixels is None or pixels.size == 0:
            raise BadPicture("empty")
        return pixels

    def _own_jpeg(self, buffer: bytes) -> tuple[bytes, Any]:
        """Return the camera's own JPEG, and a small grey picture of it."""
        if not mjpeg.is_jpeg(buffer):
            # The driver says MJPG and gives something else: let OpenCV decode it from here on.
            self._raw = False
            self._video.set(cv2.CAP_PROP_CONVERT_RGB, 1)
            raise BadPicture("not_jpeg")
        jpeg = mjpeg.whole(buffer)
        if jpeg is None:
            raise BadPicture("torn")
        jpeg = mjpeg.with_huffman_tables(jpeg)
        seen = cv2.imdecode(np.frombuffer(jpeg, np.uint8), self._reduction)
        if seen is None:
            raise BadPicture("torn")
        return self._without_location(jpeg), seen

    def _without_location(self, jpeg: bytes) -> bytes:
        if not self._order.strip_gps:
            return jpeg
        try:
            with opened(jpeg) as descriptor:
                return without_location(descriptor, len(jpeg), JPEG) or jpeg
        except (NotWhole, BadPicture):
            raise BadPicture("torn") from None

    def _prepared(self, pixels: Any, transform: Transform) -> Any:  # noqa: ANN401 (see above)
        try:
            return prepared(pixels, transform.steps())
        except cv2.error:
            raise BadPicture("empty") from None

    def _encoded(self, pixels: Any) -> bytes:  # noqa: ANN401 (see above)
        try:
            done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self._order.quality])
        except cv2.error:
            raise BadPicture("empty") from None
        if not done:
            raise BadPicture("empty")
        return jpeg.tobytes()

"""An opened video source, in the grabber: frames are grabbed cheaply, and a JPEG is made of those that are wanted.

The only module of the sources that imports cv2; it is imported in the grabber's process alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import cv2
import numpy as np

from agent.errors import BadPicture, Reopen
from agent.frame import JPEG
from agent.pictures.location import without_location
from agent.pictures.pixels import prepared
from agent.pictures.tape import NotWhole, opened
from agent.pictures.transform import Recipe
from agent.selection.looks import look_at, reduction, small
from agent.sources import mjpeg
from agent.sources.grammar import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.selection.facts import Look
    from agent.sources.wire import Order

DARKEST = 10
"""A picture none of whose samples reaches this value (of 255) is black."""

FROZEN_AFTER = 3
"""So many identical pictures in a row mean that the camera is frozen: a real sensor has noise."""

OWN_JPEGS = frozenset({"MJPG", "JPEG"})


Wants: TypeAlias = "Callable[[Look], bool]"


class Video(Protocol):
    """What is used of a `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: N802, D102 (the names are OpenCV's)
    def grab(self) -> bool: ...  # noqa: D102
    def retrieve(self) -> tuple[bool, Any]: ...  # noqa: D102
    def get(self, propId: int, /) -> float: ...  # noqa: N803, D102
    def set(self, propId: int, value: float, /) -> bool: ...  # noqa: N803, D102


def open_video(order: Order) -> Video:
    """Open what the order names, with its backend named: timeouts are dropped under CAP_ANY (opencv #23207).

    Raises `Reopen` where it cannot be opened.
    """
    video = _video(order)
    if not video.isOpened():
        raise Reopen(f"{redact(order.target)} cannot be opened", remedy=_REMEDIES.get(order.kind, ""))
    return video


_REMEDIES = {
    "index": "Is the camera plugged in and free, and may this user read it (group video)?",
    "device": "Is the camera plugged in and free, and may this user read it (group video)?",
    "stream": "Check address, path, user and password.",
    "gst": "Try the pipeline with gst-launch-1.0.",
    "file": "Is it a whole video that OpenCV can read?",
}


def _video(order: Order) -> Video:
    if order.kind == "index":
        return _usb(cv2.VideoCapture(int(order.target), cv2.CAP_V4L2), order)
    if order.kind == "device":
        return _usb(cv2.VideoCapture(order.target, cv2.CAP_V4L2), order)
    if order.kind == "gst":
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise Reopen(
                "this OpenCV has no GStreamer",
                remedy="Use the distribution's python3-opencv, or cmd:gst-launch-1.0 … ! jpegenc ! fdsink.",
            )
        return cv2.VideoCapture(order.target, cv2.CAP_GSTREAMER)
    timeouts = {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: order.open_timeout_s,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: order.stall_timeout_s,
    }
    options = [value for key, seconds in timeouts.items() for value in (key, int(seconds * 1000))]
    return cv2.VideoCapture(order.target, cv2.CAP_FFMPEG, options)


def _usb(video: Video, order: Order) -> Video:
    """Ask for the format before the size: in the default YUYV most sizes run at a few frames a second."""
    if video.isOpened():
        if order.fourcc:
            video.set(cv2.CAP_PROP_FOURCC, _fourcc_number(order.fourcc))
        if order.width:
            video.set(cv2.CAP_PROP_FRAME_WIDTH, order.width)
        if order.height:
            video.set(cv2.CAP_PROP_FRAME_HEIGHT, order.height)
    return video


def _fourcc_number(text: str) -> int:
    return int.from_bytes(text.ljust(4).encode("latin-1", "replace")[:4], "little")


def _fourcc_text(number: float) -> str:
    return int(max(0.0, number)).to_bytes(8, "little")[:4].decode("latin-1").strip("\0 ")


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
        self._reduction = reduction(self._longest()) if order.select else cv2.IMREAD_REDUCED_GRAYSCALE_8
        self._previous = b""
        self._same = 0

    def _passes_through(self) -> bool:
        video, order = self._video, self._order
        return (
            order.passthrough
            and order.kind in {"index", "device"}
            and _fourcc_text(video.get(cv2.CAP_PROP_FOURCC)) in OWN_JPEGS
            and not 0 < order.max_side < self._longest()
            and order.crop is None
            and not order.masks
        )

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
        parts = (_fourcc_text(get(cv2.CAP_PROP_FOURCC)), size, rate, "passthrough" if self._raw else "")
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
        pixels = self._prepared(self._pixels())
        return self._encoded(pixels) if wants is None or wants(look_at(small(pixels))) else b""

    def news(self, wants: Wants | None = None) -> bytes:
        """Return a live source's frame as `picture` does; raises `BadPicture` also where it is `black` or `frozen`."""
        pixels = self._pixels()
        own = self._own_jpeg(pixels.tobytes()) if self._raw else None
        if int((pixels if own is None else own[1]).max()) < DARKEST:
            raise BadPicture("black")
        prepared = None if own else self._prepared(pixels)
        if wants is None:
            jpeg = own[0] if own else self._encoded(prepared)
            # What a crop or a mask leaves may well be still: the whole frame tells whether the camera is alive.
            self._refuse_frozen(pixels.tobytes() if self._order.masks or self._order.crop else jpeg)
            return jpeg
        # A frame that is skipped has no JPEG to compare: one pixel in 64 will do, in 0.2 ms.
        self._refuse_frozen(own[0] if own else pixels[::8, ::8].tobytes())
        if not wants(look_at(small(own[1] if own else prepared))):
            return b""
        return own[0] if own else self._encoded(prepared)

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

    def _prepared(self, pixels: Any) -> Any:  # noqa: ANN401 (see above)
        height, width = pixels.shape[:2]
        try:
            return prepared(pixels, self._recipe.for_picture(width, height).steps())
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

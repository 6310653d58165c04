"""How a video source is opened: by its kind, with OpenCV's backend for it named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import cv2

from agent.errors import Reopen
from agent.sources.grammar import redact

if TYPE_CHECKING:
    from agent.sources.wire import Order


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


def fourcc_text(number: float) -> str:
    """Return the name of a pixel format, as in `MJPG`."""
    return int(max(0.0, number)).to_bytes(8, "little")[:4].decode("latin-1").strip("\0 ")

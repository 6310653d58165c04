"""What is made of a device's frames. A stand-in plays the V4L2 driver, which is the one thing a test has not got."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from camera_rig import index_of, jpeg, shade, video
from test_camera_mjpeg import without_tables

from agent.errors import BadPicture, Reopen
from agent.sources.backends import open_video
from agent.sources.capture import Capture
from agent.sources.wire import Order

if TYPE_CHECKING:
    from pathlib import Path

MJPG = cv2.VideoWriter.fourcc(*"MJPG")


class Driver:
    """A V4L2 camera of 64 x 48 that gives these arrays, one a grab; None for a grab without a picture."""

    def __init__(self, *frames: np.ndarray | None, fourcc: int = MJPG) -> None:
        self.settings: dict[int, float] = {cv2.CAP_PROP_FOURCC: fourcc}
        self.facts = {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0, cv2.CAP_PROP_FPS: 30.0}
        self._frames = iter(frames)

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        """Return True: this camera is there."""
        return True

    def grab(self) -> bool:
        """Return True: this camera never fails."""
        return True

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        """Return the next array."""
        frame = next(self._frames)
        return frame is not None, frame

    def get(self, propId: int, /) -> float:  # noqa: N803 (OpenCV's name)
        """Return what was set, or what the camera is."""
        return self.settings.get(propId, self.facts.get(propId, 0.0))

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803 (OpenCV's name)
        """Remember a setting."""
        self.settings[propId] = value
        return True


def raw(data: bytes) -> np.ndarray:
    """Return a buffer as the driver gives it with CAP_PROP_CONVERT_RGB=0: one row of bytes, padded."""
    return np.frombuffer(data + b"\0" * 64, np.uint8).reshape(1, -1)


def order(kind: str = "device", *, passthrough: bool = True, max_side: int = 0, width: int | None = None) -> Order:
    """Return an order for an MJPG camera."""
    return Order(kind, "x", 1, width=width, fourcc="MJPG", passthrough=passthrough, max_side=max_side)


def word(capture: Capture) -> str:
    """Return the word by which the next frame is refused."""
    with pytest.raises(BadPicture) as caught:
        capture.news()
    return caught.value.what


def test_a_cameras_own_jpeg_is_passed_through() -> None:
    """An MJPG camera's bytes arrive as they are, less the padding: nothing is decoded and encoded again."""
    driver = Driver(raw(jpeg(4)), raw(jpeg(5)))
    capture = Capture(driver, order(width=1280))
    assert [capture.news(), capture.news()] == [jpeg(4), jpeg(5)]
    assert driver.settings[cv2.CAP_PROP_CONVERT_RGB] == 0
    assert capture.asked() == "MJPG 1280x?"
    assert capture.got() == "MJPG 64x48 30 fps passthrough"


def test_a_cameras_jpeg_without_tables_is_completed() -> None:
    """Huffman tables that the camera leaves out are put in, so that others can read the picture."""
    capture = Capture(Driver(raw(without_tables(jpeg(9)))), order())
    assert index_of(capture.news()) == 9


@pytest.mark.parametrize(
    ("driver", "wanted"),
    [
        (Driver(shade(3), fourcc=cv2.VideoWriter.fourcc(*"YUYV")), order()),
        (Driver(shade(3)), order(passthrough=False)),
        (Driver(shade(3)), order(max_side=32)),
        (Driver(shade(3)), order("stream")),
    ],
    ids=["not MJPG", "not wanted", "too large", "no USB camera"],
)
def test_where_nothing_can_be_passed_through_frames_are_encoded(driver: Driver, wanted: Order) -> None:
    """Pass-through is for USB cameras that give MJPG of an acceptable size; everything else is encoded here."""
    capture = Capture(driver, wanted)
    assert index_of(capture.news()) == 3
    assert "passthrough" not in capture.got()


def test_a_driver_that_lies_about_mjpg_is_decoded() -> None:
    """A buffer that is no JPEG ends the pass-through: OpenCV converts from then on."""
    driver = Driver(np.zeros((1, 6144), np.uint8), shade(8))
    capture = Capture(driver, order())
    assert word(capture) == "not_jpeg"
    assert driver.settings[cv2.CAP_PROP_CONVERT_RGB] == 1
    assert index_of(capture.news()) == 8


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (None, "empty"),
        (np.zeros((0, 0, 3), np.uint8), "empty"),
        (raw(jpeg(3)[:-30]), "torn"),
        (raw(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()), "black"),
        (raw(b"\xff\xd8\xff\xd9"), "torn"),
    ],
    ids=["none", "no pixels", "cut", "black", "no content"],
)
def test_bad_frames_are_named(frame: np.ndarray | None, told: str) -> None:
    """What comes back as success and is no picture is refused by one word."""
    assert word(Capture(Driver(frame), order())) == told


def test_a_black_frame_is_bad_also_when_it_is_encoded_here() -> None:
    """The darkness of decoded pixels counts like that of a passed-through picture; a dark one is not black."""
    dark = np.full((48, 64, 3), 12, np.uint8)
    capture = Capture(Driver(np.zeros((48, 64, 3), np.uint8), dark, fourcc=0), order())
    assert word(capture) == "black"
    assert capture.news()


def test_the_third_of_identical_frames_is_frozen() -> None:
    """A camera that repeats itself is frozen until something changes."""
    capture = Capture(Driver(*[shade(1)] * 4, shade(2), fourcc=0), order())
    assert capture.news() == capture.news()
    assert [word(capture), word(capture)] == ["frozen", "frozen"]
    assert index_of(capture.news()) == 2


def test_a_large_frame_is_made_smaller() -> None:
    """The longer side is brought down to `max_side`, the other in proportion; smaller frames stay as they are."""
    frames = np.full((480, 640, 3), 99, np.uint8), shade(1)
    capture = Capture(Driver(*frames, fourcc=0), order(max_side=320))
    assert [decoded_size(capture.news()), decoded_size(capture.news())] == [(320, 240), (64, 48)]


def decoded_size(picture: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels.shape[1], pixels.shape[0]


def test_the_size_is_asked_for_after_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """A USB camera is asked for MJPG first: in YUYV most sizes are slow."""
    driver = Driver(fourcc=0)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: driver)
    open_video(Order("index", "0", 1, width=1280, height=720, fourcc="MJPG"))
    assert list(driver.settings.items()) == [
        (cv2.CAP_PROP_FOURCC, MJPG),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
    ]


def test_a_file_says_how_long_it_is(tmp_path: Path) -> None:
    """Rate, duration and position of a real file are read from it."""
    clip = video(tmp_path / "clip.avi", 12)
    capture = Capture(open_video(Order("file", str(clip), 1)), Order("file", str(clip), 1))
    assert capture.frames_per_s() == 10.0
    assert capture.duration_s() == pytest.approx(1.2)
    capture.grab()
    capture.grab()
    assert capture.position_s() == pytest.approx(0.1)
    assert index_of(capture.picture()) == 1


@pytest.mark.parametrize("kind", ["file", "device", "index"])
def test_what_cannot_be_opened_is_named_with_a_remedy(kind: str) -> None:
    """A source that cannot be opened raises Reopen with what to check."""
    with pytest.raises(Reopen, match=r"77 cannot be opened\. Is "):
        open_video(Order(kind, "77", 1))

"""Crop, masks and size on a camera's way to the intake, for every kind of source."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from camera_rig import children, jpeg, program, running, shade, video
from structlog.testing import capture_logs
from test_camera_capture import Driver, raw, word

from agent.clock import SystemClock
from agent.config.settings import EncodeSettings
from agent.config.sources import CameraSettings
from agent.plans import camera_plan
from agent.sources.camera import CameraPlan
from agent.sources.capture import Capture
from agent.sources.trial import try_source
from agent.sources.wire import Order

if TYPE_CHECKING:
    from pathlib import Path

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
UPPER = (0.0, 0.0, 1.0, 0.5)


def shown(picture: bytes) -> np.ndarray:
    """Return the grey pixels of a JPEG."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    return pixels


def is_masked(picture: bytes, size: tuple[int, int] = (64, 48)) -> bool:
    """Tell whether a picture of this size is black on its left, and on its left alone."""
    pixels = shown(picture)
    half = size[0] // 2
    return bool(
        pixels.shape == (size[1], size[0]) and pixels[:, : half - 8].max() <= 3 and pixels[:, half + 8 :].min() > 10
    )


def masked_order(kind: str = "device") -> Order:
    """Return an order for an MJPG camera with a mask, and pass-through allowed."""
    return Order(kind, "x", 1, fourcc="MJPG", masks=(LEFT,))


def test_the_settings_reach_the_plan() -> None:
    """What a person wrote for a camera is what its plan says."""
    camera = CameraSettings.model_validate(
        {"name": "dock", "source": "0", "crop": list(UPPER), "mask": [[0, 0, 0.5, 1]]}
    )
    plan = camera_plan(camera, EncodeSettings(max_side=320))
    assert (plan.crop, plan.masks, plan.max_side) == (UPPER, (LEFT,), 320)


def test_a_cameras_own_jpegs_are_not_passed_through_a_mask() -> None:
    """An MJPG camera with a mask is decoded, whatever `passthrough` says."""
    driver = Driver(shade(20))
    capture = Capture(driver, masked_order())
    assert is_masked(capture.news())
    assert cv2.CAP_PROP_CONVERT_RGB not in driver.settings


def test_a_driver_that_gives_raw_bytes_all_the_same_shows_nothing() -> None:
    """A driver's own JPEG in place of pixels is a row of bytes: no viewer finds a picture in what is made of it."""
    capture = Capture(Driver(raw(jpeg(20))), masked_order())
    assert jpeg(20)[:200] not in capture.news()


def test_a_still_rest_is_not_taken_for_a_frozen_camera() -> None:
    """All black or cropped to a still corner, the pictures are the same; the frames behind them are not."""
    order = Order("device", "x", 1, fourcc="MJPG", masks=(((0, 0), (1, 0), (1, 1), (0, 1)),))
    capture = Capture(Driver(*map(shade, (1, 2, 3, 4)), shade(4), shade(4), fourcc=0), order)
    assert len({capture.news() for _ in range(5)}) == 1
    assert word(capture) == "frozen"


def test_a_black_camera_is_known_behind_its_mask() -> None:
    """It is the camera's frame that is judged, not what is left of it; a mask does not make one black."""
    order = Order("device", "x", 1, masks=(((0, 0), (1, 0), (1, 1), (0, 1)),))
    capture = Capture(Driver(shade(1), np.zeros((48, 64, 3), np.uint8), fourcc=0), order)
    assert shown(capture.news()).max() == 0
    assert word(capture) == "black"


def test_a_videos_frames_are_cropped_and_masked_in_the_grabber(tmp_path: Path) -> None:
    """The real child is told both, and sends what is left."""
    path = video(tmp_path / "a.avi", 3)
    with running(CameraPlan("clip", str(path), interval_s=0.0, crop=UPPER, masks=(LEFT,))) as camera:
        camera.until(camera.ended)
    assert [is_masked(frame.picture, (64, 24)) for frame in camera.frames] == [True] * 3


FOREVER = "for index in range(100000):\n    show(5 + index % 30); time.sleep(0.05)\n"


@pytest.mark.parametrize(
    ("plan", "size"),
    [({"masks": (LEFT,)}, (64, 48)), ({"masks": (LEFT,), "crop": UPPER, "max_side": 32}, (32, 12))],
    ids=["mask", "mask, crop and side"],
)
def test_a_programs_pictures_are_masked_before_anybody_gets_them(
    tmp_path: Path, plan: dict[str, object], size: tuple[int, int]
) -> None:
    """What a program writes is developed in the picture child; the first picture already, and each."""
    with running(CameraPlan("belt", program(tmp_path, FOREVER), interval_s=0.0, **plan)) as camera:  # type: ignore[arg-type]
        camera.until(lambda: len(camera.frames) >= 3)
    for frame in camera.frames:
        pixels = shown(frame.picture)
        assert pixels.shape == (size[1], size[0])
        assert pixels[:, : size[0] // 2 - 8].max() <= 3
        assert pixels[:, -4:].min() > 20


def test_a_programs_pictures_that_fit_are_passed_on_as_they_are(tmp_path: Path) -> None:
    """A limit that a picture keeps costs no decoding, and no quality."""
    with running(CameraPlan("belt", program(tmp_path, FOREVER), interval_s=0.0, max_side=64)) as camera:
        camera.until(lambda: len(camera.frames) >= 2)
        assert not any("agent.pictures.child" in line for line in children().values())
    assert [frame.picture for frame in camera.frames] == [jpeg(index) for index in camera.indexes()]


def test_what_no_decoder_reads_is_counted_and_not_sent(tmp_path: Path) -> None:
    """A picture to which the mask cannot be applied goes nowhere; those behind it do."""
    hollow = "ffd8ffc0000b080008000801011100ffda0008010100003f0012ffd9"
    body = f"sys.stdout.buffer.write(bytes.fromhex('{hollow}')); sys.stdout.flush(); time.sleep(0.2)\n" + FOREVER
    with running(CameraPlan("belt", program(tmp_path, body), interval_s=0.0, masks=(LEFT,))) as camera:
        camera.until(lambda: len(camera.frames) >= 2)
        assert camera.state.bad == {"undecodable": 1}
    assert all(is_masked(frame.picture) for frame in camera.frames)


def test_without_opencv_a_mask_stops_the_source(tmp_path: Path) -> None:
    """Nothing is sent unmasked because a library is missing: the source is lost, and says what to install."""
    (tmp_path / "cv2.py").write_text("raise ImportError('no cv2 here')")
    plan = CameraPlan("belt", program(tmp_path, FOREVER), interval_s=0.0, masks=(LEFT,))
    with capture_logs() as logs, running(plan, PYTHONPATH=str(tmp_path)) as camera:
        camera.until(lambda: camera.state.restarts >= 1)
    assert camera.frames == []
    (lost,) = [entry for entry in logs if entry["event"] == "source_lost"]
    assert "OpenCV is needed" in lost["reason"]
    assert "pip install" in lost["reason"]


def test_a_snapshot_shows_the_picture_as_it_would_be_sent(tmp_path: Path) -> None:
    """So a person sees where a mask lies before the first picture is sent."""
    plan = CameraPlan("belt", program(tmp_path, FOREVER), masks=(LEFT,))
    trial = try_source(plan, seconds=0.1, environment={"PATH": os.environ["PATH"]}, clock=SystemClock())
    assert not trial.problem
    assert is_masked(trial.picture)


def with_place(picture: bytes) -> bytes:
    """Return a JPEG that says where it was taken, after its SOI."""
    return picture[:2] + b"\xff\xe1\x00\x1eExif\0\0II*\0\x08\0\0\0\1\0\x25\x88\4\0\1\0\0\0\x08\0\0\0" + picture[2:]


def test_a_cameras_own_jpeg_is_passed_on_without_its_place() -> None:
    """Location goes from a passed-through picture too, and nothing else of it."""
    place = with_place(jpeg(20))
    assert place != jpeg(20)
    for strips, gives in ((False, place), (True, jpeg(20))):
        order = Order("device", "x", 1, fourcc="MJPG", strip_gps=strips)
        assert Capture(Driver(raw(place)), order).news() == gives


def test_a_programs_jpegs_are_passed_on_without_their_place(tmp_path: Path) -> None:
    """The same for what a program writes: no decoding, the other bytes as they were."""
    (tmp_path / "place.jpg").write_bytes(with_place(jpeg(20)))
    body = (
        f"data = open({str(tmp_path / 'place.jpg')!r}, 'rb').read()\n"
        "while True: sys.stdout.buffer.write(data); sys.stdout.flush(); time.sleep(0.05)\n"
    )
    with running(CameraPlan("belt", program(tmp_path, body), interval_s=0.0, strip_gps=True)) as camera:
        camera.until(lambda: camera.frames)
        assert not any("agent.pictures.child" in line for line in children().values())
    assert camera.frames[0].picture == jpeg(20)

"""Real pixels through the real child: an object is drawn, and looked for where its box should be."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agent.pictures.exif import orientation_block, with_orientation
from agent.pictures.orientation import displayed_box
from agent.pictures.pixels import prepared
from agent.pictures.studio import PictureChild
from agent.pictures.transform import Recipe, Transform
from agent.selection.looks import look_at

if TYPE_CHECKING:
    from collections.abc import Iterator

Box = tuple[float, float, float, float]
Corners = tuple[tuple[float, float], ...]

DARK, BRIGHT = 30, 220
EVERY = range(1, 9)


@pytest.fixture(scope="module")
def child() -> Iterator[PictureChild]:
    """Return one child for all tests."""
    opened = PictureChild(environment={})
    yield opened
    opened.close()


def png(image: np.ndarray, orientation: int) -> bytes:
    """Return a PNG that says how it is shown."""
    data = bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])
    block = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    return data[:33] + chunk + data[33:]


def jpeg(image: np.ndarray, orientation: int) -> bytes:
    """Return a JPEG that says how it is shown."""
    return with_orientation(bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 98])[1]), orientation)


def tiff(image: np.ndarray, orientation: int) -> bytes:
    """Return a TIFF that says how it is shown, in big-endian order."""
    height, width, depth = image.shape
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 2), (273, 0), (274, orientation), (277, depth)]
    tags += [(278, height), (279, image.size)]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack(">HHII", tag, 4, 1, start if tag == 273 else value)
        if tag in {273, 279}
        else struct.pack(">HHIHH", tag, 3, 1, value, 0)
        for tag, value in tags
    )
    return struct.pack(">2sHIH", b"MM", 42, 8, len(tags)) + entries + bytes(4) + image.tobytes()


def webp(image: np.ndarray, orientation: int) -> bytes:
    """Return a WebP that says how it is shown, behind its pixels."""
    pixels = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()[12:]
    height, width, _ = image.shape
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    block = orientation_block(orientation)
    chunks: bytes = (
        b"WEBPVP8X" + struct.pack("<II", 10, 8) + size + pixels + b"EXIF" + struct.pack("<I", len(block)) + block
    )
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


FORMATS = {"png": png, "jpeg": jpeg, "tiff": tiff, "webp": webp}


def drawn(size: tuple[int, int], bounds: tuple[int, int, int, int]) -> np.ndarray:
    """Return a dark picture with a bright object between left, top, right and bottom."""
    image = np.full((size[1], size[0], 3), DARK, np.uint8)
    left, top, right, bottom = bounds
    image[top:bottom, left:right] = BRIGHT
    return image


def decoded(data: bytes) -> np.ndarray:
    """Return grey pixels as a viewer shows them, in OpenCV's opinion."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image


def found(image: np.ndarray) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom of what is bright; None where nothing is."""
    rows, columns = np.nonzero(image > (DARK + BRIGHT) / 2)
    if not rows.size:
        return None
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def astray(picture: bytes, box: Box | None) -> float:
    """Return by how many pixels a box misses the object in a picture, at its worst edge."""
    image = decoded(picture)
    at = found(image)
    if box is None or at is None:
        return 0.0 if at is None and box is None else float("inf")
    height, width = image.shape
    x, y, across, down = box
    edges = ((x - across / 2) * width, (y - down / 2) * height, (x + across / 2) * width, (y + down / 2) * height)
    return float(max(abs(edge - seen) for edge, seen in zip(edges, at, strict=True)))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Draw the size of a picture and where its object is."""
    width, height = draw(st.integers(40, 300)), draw(st.integers(40, 300))
    left, top = draw(st.integers(0, width - 12)), draw(st.integers(0, height - 12))
    right, bottom = draw(st.integers(left + 12, width)), draw(st.integers(top + 12, height))
    return (width, height), (left, top, right, bottom)


@st.composite
def crops(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """Draw a crop of a third of each side at least."""
    width, height = draw(st.floats(0.3, 1)), draw(st.floats(0.3, 1))
    return draw(st.floats(0, 1 - width)), draw(st.floats(0, 1 - height)), width, height


def box_of(size: tuple[int, int], bounds: tuple[int, int, int, int]) -> Box:
    """Return bounds in pixels as a box."""
    (width, height), (left, top, right, bottom) = size, bounds
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenes(), st.sampled_from(EVERY), st.none() | crops(), st.just(0) | st.integers(24, 300))
def test_a_box_stays_on_its_object(
    child: PictureChild,
    form: str,
    scene: tuple[tuple[int, int], tuple[int, int, int, int]],
    orientation: int,
    crop: tuple[float, float, float, float] | None,
    max_side: int,
) -> None:
    """Turned, cropped and scaled, the object lies in its box to within a pixel, whatever was asked."""
    size, bounds = scene
    transform = Recipe(crop, (), max_side).for_picture(*size, orientation)
    box = transform.box(box_of(size, bounds))
    # An object of which a sliver is left blurs with what is around it.
    assume(box is None or min(box[2] * transform.size[0], box[3] * transform.size[1]) > 3)
    picture = child.convert(FORMATS[form](drawn(size, bounds), orientation), quality=95, transform=transform)
    assert decoded(picture).shape == transform.size[::-1]
    assert astray(picture, box) <= 1.0


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", EVERY)
def test_a_picture_is_turned_once_and_says_so_no_more(child: PictureChild, form: str, orientation: int) -> None:
    """Before and after, a viewer that obeys EXIF shows the same; one that does not shows that as well afterwards."""
    before = FORMATS[form](drawn((90, 60), (10, 5, 40, 20)), orientation)
    transform = Recipe().for_picture(90, 60, orientation)
    after = child.convert(before, quality=95, transform=transform)
    assert b"Exif" not in after
    assert found(decoded(after)) == found(decoded(jpeg(drawn((90, 60), (10, 5, 40, 20)), orientation)))


@pytest.mark.parametrize("orientation", EVERY)
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_a_picture_made_smaller_for_the_server_keeps_its_boxes(
    child: PictureChild, form: str, orientation: int
) -> None:
    """Its boxes are on their way: it is scaled alone, and viewers still turn it as they did."""
    size, bounds = (301, 203), (60, 30, 161, 97)
    smaller = child.shrink(FORMATS[form](drawn(size, bounds), orientation), max_bytes=1500)
    stored = cv2.imdecode(np.frombuffer(smaller, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    assert stored is not None
    assert stored.shape[1] <= 151
    upright = bytes(cv2.imencode(".png", stored)[1])
    assert astray(upright, box_of(size, bounds)) <= 1.0
    assert astray(smaller, displayed_box(box_of(size, bounds), orientation)) <= 1.0


FAULTS = {
    "the other way round": lambda good: replace(good, orientation=8),
    "not turned": lambda good: replace(good, orientation=1, stored=good.stored[::-1]),
    "crop off by two": lambda good: replace(good, crop=tuple(edge + 2 for edge in good.crop)),
    "crop forgotten": lambda good: replace(good, crop=(0, 0, 120, 160)),
    "scaled to the wrong side": lambda good: replace(good, crop=(good.crop[0], good.crop[1], 120, good.crop[3])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mapping_that_is_broken_is_noticed(child: PictureChild, fault: str) -> None:
    """The control: each way to get the box wrong that pixels do not follow puts it off its object."""
    size, bounds = (160, 120), (60, 30, 90, 70)
    good = Recipe((0.1, 0.1, 0.8, 0.7)).for_picture(*size, 6)
    picture = child.convert(png(drawn(size, bounds), 6), quality=95, transform=good)
    assert astray(picture, good.box(box_of(size, bounds))) <= 1.0
    broken: Transform = FAULTS[fault](good)
    assert astray(picture, broken.box(box_of(size, bounds))) > 1.0


@st.composite
def masks(draw: st.DrawFn) -> Corners:
    """Draw a rectangle or a triangle."""
    left, top = draw(st.floats(0, 0.7)), draw(st.floats(0, 0.7))
    right, bottom = draw(st.floats(left + 0.1, 1)), draw(st.floats(top + 0.1, 1))
    if draw(st.booleans()):
        return (left, top), (right, top), (right, bottom), (left, bottom)
    return (left, top), (right, draw(st.floats(0, 1))), (draw(st.floats(0, 1)), bottom)


def touched(size: tuple[int, int], mask: Corners) -> np.ndarray:
    """Return which pixels of a picture a mask touches, told from points all over each pixel."""
    width, height = size
    fine = 8
    over = np.zeros((height * fine, width * fine), np.uint8)
    corners = np.array([(x * width * fine, y * height * fine) for x, y in mask])
    cv2.fillPoly(over, [np.floor(corners).astype(np.int32)], 1)
    touched: np.ndarray = over.reshape(height, fine, width, fine).max(axis=(1, 3)) > 0
    return touched


@settings(max_examples=80, deadline=None)
@given(st.tuples(st.integers(20, 160), st.integers(20, 160)), masks())
def test_a_mask_blackens_every_pixel_that_it_touches_and_hardly_more(size: tuple[int, int], mask: Corners) -> None:
    """No pixel shows a part of what is masked; what is two pixels or more away is as it was."""
    image = np.full((size[1], size[0], 3), BRIGHT, np.uint8)
    shown = prepared(image, Recipe(masks=(mask,)).for_picture(*size).steps())
    hidden = touched(size, mask)
    assert not shown[hidden].any()
    around = cv2.dilate(hidden.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert (shown[~around] == BRIGHT).all()
    assert (image == BRIGHT).all()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(masks(), st.sampled_from(EVERY), st.none() | crops(), st.just(0) | st.integers(8, 160))
def test_what_is_masked_leaves_no_trace(
    child: PictureChild,
    mask: Corners,
    orientation: int,
    crop: tuple[float, float, float, float] | None,
    max_side: int,
) -> None:
    """Two pictures that differ under the mask alone become the same JPEG, bit for bit."""
    shown_size = (120, 90) if orientation < 5 else (90, 120)
    noise = np.random.default_rng(3).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    other = noise.copy()
    hidden = touched(shown_size, mask)
    # Where that is in stored space is asked of the turn of another picture's pixels.
    places = np.arange(90 * 120, dtype=np.float32).reshape(90, 120)
    turned = prepared(places, Recipe().for_picture(120, 90, orientation).steps())
    other.reshape(-1, 3)[turned[hidden].astype(int)] = 255
    transform = Recipe(crop, (mask,), max_side).for_picture(120, 90, orientation)
    one, two = (child.convert(png(image, orientation), quality=90, transform=transform) for image in (noise, other))
    assert one == two
    if crop is None:  # without the mask the two are told apart
        bare = replace(transform, areas=())
        one, two = (child.convert(png(image, orientation), quality=90, transform=bare) for image in (noise, other))
        assert one != two


@pytest.mark.parametrize("form", FORMATS)
def test_a_mask_is_black_in_the_jpeg_too(child: PictureChild, form: str) -> None:
    """Also beside the brightest surroundings and across the blocks of the JPEG, nothing of it looks like a picture."""
    image = np.full((96, 96, 3), 255, np.uint8)
    image[20:70, 20:70] = (0, 0, 255)
    mask = ((0.2, 0.2), (0.75, 0.2), (0.75, 0.75), (0.2, 0.75))
    transform = Recipe(masks=(mask,)).for_picture(96, 96)
    seen = decoded(child.convert(FORMATS[form](image, 1), quality=90, transform=transform))
    assert seen[20:72, 20:72].max() <= 40
    assert seen[32:64, 32:64].max() <= 2
    assert seen[:12, :].min() >= 215


def test_grey_pictures_are_masked_as_well(child: PictureChild) -> None:
    """A picture of one channel has no colours to paint with, and is blackened like the others."""
    data = bytes(cv2.imencode(".png", np.full((40, 40), BRIGHT, np.uint8))[1])
    mask = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    transform = Recipe(masks=(mask,)).for_picture(40, 40)
    seen = decoded(child.convert(data, quality=95, transform=transform))
    assert seen[:, 22:].max() <= 10
    assert seen[:, :12].min() >= 200


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", EVERY)
def test_a_look_is_at_the_pixels_that_are_sent(child: PictureChild, form: str, orientation: int) -> None:
    """Of every format, however its decoder turns it, the crop that is measured is the crop that goes out."""
    data = FORMATS[form](drawn((400, 240), (0, 0, 130, 90)), orientation)
    recipe = Recipe((0.0, 0.0, 0.4, 0.5), masks=(((0.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.0, 0.1)),))
    stored = (400, 240, orientation)
    sent = decoded(child.convert(data, quality=95, transform=recipe.for_picture(*stored)))
    assert child.look(data, recipe=recipe).light == pytest.approx(float(sent.mean()), abs=4)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25, 0.125])
def test_a_crop_is_as_sharp_in_a_folder_as_before_a_camera(child: PictureChild, share: float) -> None:
    """What is left of a picture is measured at one size, so a limit means the same whatever is cropped."""
    noise = np.random.default_rng(7).integers(0, 255, (270, 480), np.uint8)
    scene = cv2.resize(noise, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    seen = look_at(scene[: round(1080 * share), : round(1920 * share)], ["blur"]).sharp
    assert child.look(data, needs=["blur"], recipe=Recipe((0.0, 0.0, share, share))).sharp == pytest.approx(
        seen, rel=0.2
    )

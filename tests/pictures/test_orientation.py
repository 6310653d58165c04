from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pictures.exif import with_orientation
from agent.pictures.orientation import displayed_box, displayed_size, stored_box

Box = tuple[float, float, float, float]

EVERY = range(1, 9)
fractions = st.floats(0.0, 1.0, allow_nan=False)


def shown(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return what OpenCV shows of a picture with this orientation: a judge that is not ours."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert done
    seen = cv2.imdecode(np.frombuffer(with_orientation(bytes(data), orientation), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert seen is not None
    return seen


@pytest.mark.parametrize("orientation", EVERY)
def test_a_box_lies_where_a_viewer_shows_its_object(orientation: int) -> None:
    """What is bright in the stored box is bright in the displayed one, as another EXIF reader turns the picture."""
    image = np.zeros((48, 80), np.uint8)
    image[8:16, 16:40] = 255
    seen = shown(image, orientation)
    height, width = seen.shape
    assert displayed_size(80, 48, orientation) == (width, height)
    x, y, across, down = displayed_box((28 / 80, 12 / 48, 24 / 80, 8 / 48), orientation)
    rows, columns = np.nonzero(seen > 128)
    left, top = (x - across / 2) * width, (y - down / 2) * height
    assert (columns.min(), columns.max() + 1) == pytest.approx((left, left + across * width))
    assert (rows.min(), rows.max() + 1) == pytest.approx((top, top + down * height))


@given(st.sampled_from(EVERY), st.tuples(fractions, fractions, fractions, fractions))
def test_the_way_there_and_back_ends_where_it_began(orientation: int, box: Box) -> None:
    """From stored to displayed and back is no way at all, in either order."""
    assert stored_box(displayed_box(box, orientation), orientation) == pytest.approx(box)
    assert displayed_box(stored_box(box, orientation), orientation) == pytest.approx(box)


@pytest.mark.parametrize("orientation", EVERY)
def test_sizes_are_swapped_where_the_picture_lies_on_its_side(orientation: int) -> None:
    """From 5 on, width and height change places."""
    assert displayed_size(3, 2, orientation) == ((3, 2) if orientation < 5 else (2, 3))

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.config.framing import checked_crop, checked_masks
from agent.config.sources import WatchSettings

SQUARE = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))


def watch(**fields: Any) -> WatchSettings:  # noqa: ANN401 (as a file would say it)
    """Return the settings of a folder."""
    return WatchSettings.model_validate({"path": Path("/srv"), **fields})


def test_by_default_all_is_sent_and_nothing_masked() -> None:
    """A crop and masks are what somebody asks for."""
    assert (watch().crop, watch().mask) == (None, ())
    assert checked_crop(None) is None


def test_rectangles_and_corners_may_be_mixed() -> None:
    """A rectangle is written as four numbers, any other shape as its corners; inside both are corners."""
    read = watch(crop=[0, 0.25, 1, 0.75], mask=[[0, 0, 0.5, 0.5], [[0, 0], [1, 0], [0.5, 1]]])
    assert read.crop == (0.0, 0.25, 1.0, 0.75)
    assert read.mask == (SQUARE, ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0)))
    assert watch(**read.model_dump(mode="json")) == read


def test_thirds_add_up() -> None:
    """What is one but for the rounding of floats is not refused."""
    third = 1 / 3
    assert checked_crop([third, third, 1 - third, 0.1 + 0.2 + 1 - third - 0.3])


@pytest.mark.parametrize(
    ("crop", "what"),
    [
        ([0, 0, 1], "must be [x, y, width, height]"),
        ("0,0,1,1", "must be [x, y, width, height]"),
        ([0, 0, 1, True], "must be [x, y, width, height]"),
        ([0, 0, 1, "1"], "must be [x, y, width, height]"),
        ([0, 0, 1, float("nan")], "must be [x, y, width, height]"),
        ([10, 10, 640, 480], "not pixels"),
        ([-0.1, 0, 0.5, 0.5], "within the picture"),
        ([0.6, 0, 0.5, 0.5], "within the picture"),
        ([0, 0.6, 0.5, 0.5], "within the picture"),
        ([0, 0, 0, 1], "a width and a height"),
    ],
)
def test_a_crop_that_cannot_be_meant_is_refused(crop: object, what: str) -> None:
    """Each way to get it wrong has its sentence."""
    with pytest.raises(ValidationError) as caught:
        watch(crop=crop)
    (error,) = caught.value.errors()
    assert error["loc"] == ("crop",)
    assert what in error["msg"]


@pytest.mark.parametrize(
    ("mask", "what"),
    [
        ("all", "must be a list of masks"),
        ([0, 0, 0.5, 0.5], "a list of masks, one too"),
        ([[0, 0, 0.5]], "must be [x, y, width, height] or three corners"),
        ([[0, 0, 0.5, 0.5], 7], "must be [x, y, width, height] or three corners"),
        ([[[0, 0], [1, 1]]], "three corners"),
        ([[[0, 0], [1, 1], [1]]], "three corners"),
        ([[[0, 0], [1, 1], 1]], "three corners"),
        ([[[0, 0], [1, 1], [1, 0], [0, 1]]], "sides of this mask cross"),
        ([[[0, 0], [99, 0], [99, 99]]], "not pixels"),
        ([[0, 0, 1, 1]] * 101, "100 masks at most"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_refused(mask: object, what: str) -> None:
    """A mask that would not hide what its writer had in mind stops the configuration, not the privacy."""
    with pytest.raises(ValidationError) as caught:
        watch(mask=mask)
    (error,) = caught.value.errors()
    assert error["loc"] == ("mask",)
    assert what in error["msg"]


def test_no_masks_are_no_mistake() -> None:
    """An empty list is what the example shows."""
    assert checked_masks([]) == ()

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.frame import Annotation, Labels
from agent.pictures.masks import covered_share, crosses_itself, is_within
from agent.pictures.transform import Recipe

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
sides = st.integers(1, 4000)


def found(*boxes: tuple[float, float, float, float]) -> Labels:
    """Return labels with these boxes."""
    return Labels(tuple(Annotation("part", box, 0.9) for box in boxes))


def test_a_recipe_without_wishes_keeps_every_picture() -> None:
    """Nothing asked, nothing done; a picture that lies on its side keeps its pixels and its EXIF, too."""
    for orientation in range(1, 9):
        assert Recipe().for_picture(640, 480, orientation).keeps_pixels
        assert Recipe(max_side=640).for_picture(640, 480, orientation).keeps_pixels


@pytest.mark.parametrize(
    "recipe", [Recipe(crop=(0, 0, 0.5, 1)), Recipe(masks=(SQUARE,)), Recipe(max_side=639)], ids=["crop", "mask", "side"]
)
def test_every_wish_needs_other_pixels(recipe: Recipe) -> None:
    """A crop, a mask and a smaller side each forbid to send the picture as it is."""
    assert not recipe.for_picture(640, 480).keeps_pixels


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        (Recipe(max_side=320), (320, 240)),
        (Recipe(max_side=1), (1, 1)),
        (Recipe(max_side=9999), (640, 480)),
        (Recipe(crop=(0.5, 0.5, 0.5, 0.25)), (320, 120)),
        (Recipe(crop=(0.5, 0.5, 0.5, 0.25), max_side=160), (160, 60)),
        (Recipe(crop=(0.999, 0.999, 0.001, 0.001)), (1, 1)),
    ],
)
def test_the_size_is_what_crop_and_side_leave(recipe: Recipe, size: tuple[int, int]) -> None:
    """The crop comes before the limit on the side, and something is always left."""
    assert recipe.for_picture(640, 480).size == size


def test_crop_and_masks_are_of_the_picture_as_it_is_shown() -> None:
    """What a person marks on the screen is meant, however the camera stores it."""
    turned = Recipe(crop=(0, 0, 1, 0.5), masks=(SQUARE,)).for_picture(640, 480, 6)
    assert turned.crop == (0, 0, 480, 320)
    assert turned.areas == (((120, 160), (360, 160), (360, 480), (120, 480)),)


def test_a_box_is_cut_at_the_crop_and_dropped_beyond_it() -> None:
    """What hangs over the edge is cut, what is outside is dropped and counted, earlier counts stay."""
    before = replace(found((0.5, 0.5, 0.2, 0.2), (0.75, 0.5, 0.1, 0.1), (0.25, 0.5, 0.1, 0.1)), dropped=2)
    after = Recipe(crop=(0.5, 0, 0.5, 1)).for_picture(1000, 1000).labels(before)
    assert [one.geometry for one in after.annotations] == [(0.1, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.1)]
    assert {one.confidence for one in after.annotations} == {0.9}
    assert (after.dropped, after.masked) == (3, 0)


def test_what_shrinks_to_nothing_is_dropped() -> None:
    """A box of less than half a pixel names nothing that is in the picture; one of a pixel does."""
    transform = Recipe(max_side=100).for_picture(1000, 1000)
    assert transform.box((0.5, 0.5, 0.010, 0.010)) is not None
    assert transform.box((0.5, 0.5, 0.004, 0.010)) is None


@pytest.mark.parametrize(
    ("box", "stays"),
    [((0.5, 0.5, 0.2, 0.2), False), ((0.5, 0.5, 0.9, 0.9), True), ((0.1, 0.1, 0.1, 0.1), True)],
    ids=["under it", "around it", "elsewhere"],
)
def test_a_box_under_a_mask_is_dropped_and_counted(box: tuple[float, float, float, float], *, stays: bool) -> None:
    """A box tells of what the mask hides; one whose larger part is seen stays, also where its centre is hidden."""
    after = Recipe(masks=(SQUARE,)).for_picture(640, 480).labels(found(box))
    assert (len(after.annotations), after.masked, after.dropped) == (int(stays), int(not stays), 0)


def test_half_of_a_box_decides() -> None:
    """A little more than half of it under a mask and it goes, a little less and it stays."""
    transform = Recipe(masks=(SQUARE,)).for_picture(1000, 1000)
    for left, masked in ((0.13, 0), (0.17, 1)):
        assert transform.labels(found((left + 0.1, 0.5, 0.2, 0.2))).masked == masked


def test_masks_that_overlap_hide_no_more_than_they_cover() -> None:
    """The same area named twice counts once."""
    left = ((0.0, 0.0), (0.4, 0.0), (0.4, 1.0), (0.0, 1.0))
    assert Recipe(masks=(left, left)).for_picture(640, 480).labels(found((0.5, 0.5, 1, 1))).masked == 0


@given(
    st.tuples(sides, sides),
    st.integers(1, 8),
    st.tuples(*[st.floats(0, 1)] * 2, *[st.floats(0.01, 1)] * 2),
    st.integers(0, 5000),
    st.tuples(*[st.floats(-1, 2)] * 4),
)
def test_any_box_ends_inside_or_nowhere(
    stored: tuple[int, int],
    orientation: int,
    crop: tuple[float, float, float, float],
    max_side: int,
    box: tuple[float, float, float, float],
) -> None:
    """Whatever is asked, crop and size stay within the picture, and a box within the result."""
    x, y, width, height = crop
    transform = Recipe((min(x, 1 - width), min(y, 1 - height), width, height), (), max_side).for_picture(
        *stored, orientation
    )
    left, top, right, bottom = transform.crop
    wide, high = stored if orientation < 5 else stored[::-1]
    assert 0 <= left < right <= wide
    assert 0 <= top < bottom <= high
    assert 1 <= min(transform.size) <= max(transform.size) <= (max_side or 4000)
    moved = transform.box(box)
    if moved is not None:
        assert all(0 <= at - extent / 2 <= at + extent / 2 <= 1 for at, extent in (moved[::2], moved[1::2]))


def test_the_steps_survive_their_way_to_the_child() -> None:
    """What the child carries out is what was decided, number for number."""
    steps = Recipe((0.1, 0.2, 0.3, 0.4), (SQUARE,), 77).for_picture(641, 479, 7).steps()
    again = json.loads(json.dumps(steps))
    assert json.dumps(again) == json.dumps(steps)
    assert (again["swaps"], again["mirrors_x"], again["mirrors_y"], again["size"]) == (True, True, True, [43, 77])


def test_a_point_is_within_a_shape_with_a_notch_or_it_is_not() -> None:
    """Masks may be of any simple shape, also one that is no convex one."""
    notched = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0))
    assert is_within((2.0, 0.5), notched)
    assert not is_within((2.0, 2.0), notched)
    assert covered_share((2.0, 2.0, 4.0, 4.0), [notched]) == pytest.approx(10 / 16, abs=0.03)


def test_a_shape_whose_sides_cross_is_known() -> None:
    """A bow tie and a star have holes where nobody expects them; a square and a notch have none."""
    assert not crosses_itself(SQUARE)
    assert not crosses_itself(((0, 0), (1, 0), (1, 1), (0.5, 0.5), (0, 1)))
    assert not crosses_itself(((0, 0), (1, 0), (0, 1)))
    assert crosses_itself(((0, 0), (1, 1), (1, 0), (0, 1)))
    assert crosses_itself(((0.5, 0), (0.8, 1), (0, 0.4), (1, 0.4), (0.2, 1)))

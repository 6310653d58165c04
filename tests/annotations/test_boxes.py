from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.annotations.boxes import Geometry, box_inside, envelope

HALF_A_MILLIONTH = 0.5e-6
anywhere = st.floats(-2, 2)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((0.5, 0.5, 0.2, 0.1), (0.5, 0.5, 0.2, 0.1)),
        ((0.5, 0.5, 1.0, 1.0), (0.5, 0.5, 1.0, 1.0)),
        ((0.5, 0.5, 2.0, 2.0), (0.5, 0.5, 1.0, 1.0)),
        ((1.0, 0.5, 0.2, 0.1), (0.95, 0.5, 0.1, 0.1)),
        ((0.0, 0.0, 0.2, 0.1), (0.05, 0.025, 0.1, 0.05)),
        ((-0.05, 0.5, 0.2, 0.1), (0.025, 0.5, 0.05, 0.1)),
        ((1 / 3, 2 / 3, 1 / 3, 1e-6), (0.333333, 0.666667, 0.333333, 1e-6)),
        ((0.5, 0.5, 0.0, 0.1), None),
        ((0.5, 0.5, 0.1, -0.1), None),
        ((1.2, 0.5, 0.4, 0.1), None),
        ((0.5, -0.2, 0.1, 0.3), None),
        ((0.5, 0.5, 1e-7, 0.1), None),
    ],
)
def test_a_box_is_cut_to_the_picture(box: Geometry, inside: Geometry | None) -> None:
    """A box over the edge loses what is outside and its centre moves with it; one without area is nothing."""
    assert box_inside(*box) == inside


@given(anywhere, anywhere, anywhere, anywhere)
def test_what_is_left_of_any_box_lies_within_the_picture(x: float, y: float, width: float, height: float) -> None:
    """Whatever comes in, what goes out has four numbers in 0..1 and corners in 0..1, on the grid."""
    box = box_inside(x, y, width, height)
    if box is None:
        return
    assert all(0 <= side <= 1 for side in box)
    x_center, y_center, across, down = (round(side * 1_000_000) for side in box)
    assert min(across, down) > 0
    for center, length in ((x_center, across), (y_center, down)):
        assert 0 <= 2 * center - length <= 2 * center + length <= 2_000_000
    assert box_inside(*box) == box


@given(st.data())
def test_a_box_within_the_picture_stays_where_it_is(data: st.DataObject) -> None:
    """Rounding moves no edge of a box by more than a millionth of the side."""
    width, height = (data.draw(st.floats(2e-6, 1)) for _ in range(2))
    x, y = (data.draw(st.floats(side / 2, 1 - side / 2)) for side in (width, height))
    box = box_inside(x, y, width, height)
    assert box is not None
    assert box == pytest.approx((x, y, width, height), rel=0, abs=1e-6 + 1e-12)
    assert box[:2] == pytest.approx((x, y), rel=0, abs=HALF_A_MILLIONTH + 1e-12)


def test_points_are_enclosed_whatever_their_order() -> None:
    """The box around a polygon does not ask where it starts or which way it goes."""
    assert envelope([0.4, 0.2, 0.3], [0.9, 0.5, 0.7]) == pytest.approx((0.3, 0.7, 0.2, 0.4))

from __future__ import annotations

import pytest

from agent.annotations.read import read_sidecar
from agent.errors import BadSidecar
from agent.frame import Annotation, Labels

NAMES = ("person", "hard hat")
BOX = "0 0.5 0.5 0.2 0.1"
PERSON = Annotation("person", (0.5, 0.5, 0.2, 0.1))


def read(text: str, classes: tuple[str, ...] = NAMES) -> Labels:
    """Read text as the sidecar of a picture."""
    return read_sidecar("belt.txt", text.encode(), classes=classes, width=640, height=480)


@pytest.mark.parametrize(
    ("line", "geometry", "confidence"),
    [
        ("1 0.5 0.5 0.2 0.1", (0.5, 0.5, 0.2, 0.1), None),
        ("1\t.5 5e-1  +0.2 1e-1 ", (0.5, 0.5, 0.2, 0.1), None),
        ("1 0.5 0.5 0.2 0.1 0.87", (0.5, 0.5, 0.2, 0.1), 0.87),
        ("1 0.5 0.5 0.2 0.1 1.0", (0.5, 0.5, 0.2, 0.1), 1.0),
        ("1 0.5 0.5 0.2 0.1 17", (0.5, 0.5, 0.2, 0.1), None),
        ("1 0.5 0.5 0.2 0.1 1", (0.5, 0.5, 0.2, 0.1), None),
        ("1 0.5 0.5 0.2 0.1 0.87 17", (0.5, 0.5, 0.2, 0.1), 0.87),
        ("1 0.5 0.5 0.2 0.1 0.87 1", (0.5, 0.5, 0.2, 0.1), 0.87),
        ("1 0.2 0.2 0.4 0.2 0.3 0.6", (0.3, 0.4, 0.2, 0.4), None),
        ("1 0.2 0.2 0.4 0.2 0.3 0.6 0.5", (0.3, 0.4, 0.2, 0.4), 0.5),
        ("1 0.2 0.2 0.4 0.2 0.3 0.6 0.5 9", (0.3, 0.4, 0.2, 0.4), 0.5),
        ("1 0.3 0.1 0.5 0.3 0.3 0.5 0.1 0.3", (0.3, 0.3, 0.4, 0.4), None),
        ("1 0.8 0.8 1 0.8 1 1 0.8 1", (0.9, 0.9, 0.2, 0.2), None),
        ("1 0.3 0.1 0.5 0.3 0.3 0.5 0.1 0.3 0.9", (0.3, 0.3, 0.4, 0.4), 0.9),
        ("1 0.3 0.1 0.5 0.3 0.3 0.5 0.1 0.3 12", (0.3, 0.3, 0.4, 0.4), None),
        ("1 0.3 0.1 0.5 0.3 0.3 0.5 0.1 0.3 0.9 1", (0.3, 0.3, 0.4, 0.4), 0.9),
        ("1 0.3 0 0.5 0.3 0.3 0.5 0.1 0.3 0.2 0", (0.3, 0.25, 0.4, 0.5), None),
        ("1 -0.1 0.5 0.4 0.2", (0.05, 0.5, 0.1, 0.2), None),
    ],
)
def test_a_line_is_told_by_how_much_stands_in_it(
    line: str, geometry: tuple[float, float, float, float], confidence: float | None
) -> None:
    """Boxes, rotated boxes and polygons, with and without confidence and track id, each as its box."""
    assert read(line) == Labels((Annotation("hard hat", geometry, confidence),))


@pytest.mark.parametrize("text", ["", "\n", " \r\n\t\n", "\ufeff"])
def test_an_empty_file_says_that_nothing_was_found(text: str) -> None:
    """The model ran: that is an empty list, and not the absence of one."""
    assert read(text) == Labels(())


def test_a_second_run_of_the_program_doubles_no_box() -> None:
    """Lines are appended to the file; the same line twice is one object, in the place of the first."""
    other = "1 0.1 0.1 0.1 0.1"
    labels = read(f"{BOX}\r\n{other}\n{BOX}\n {other} \n")
    assert labels == Labels((PERSON, Annotation("hard hat", (0.1, 0.1, 0.1, 0.1))))


def test_boxes_outside_of_the_picture_are_dropped_and_counted() -> None:
    """What has no area within the picture is left out, and the number of those is kept."""
    assert read(f"{BOX}\n0 1.5 0.5 0.2 0.1\n0 0.5 0.5 0 0.1\n0 0.5 0.5 0.1 -0.1") == Labels((PERSON,), dropped=3)


def test_without_names_the_index_is_the_class_and_is_counted() -> None:
    """Who configured no names keeps the boxes, under their index; the caller can say how many."""
    assert read(f"{BOX}\n07 0.5 0.5 0.2 0.1", classes=()) == Labels(
        (Annotation("0", PERSON.geometry), Annotation("7", PERSON.geometry)), unnamed=2
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.2 0.1", "line 3, class: index 2 has no name, `classes` of this [[watch]] has 2. List the names"),
        ("person 0.5 0.5 0.2 0.1", "line 3, class: must be an index such as 0, not 'person'"),
        ("-1 0.5 0.5 0.2 0.1", "line 3, class: must be an index such as 0, not '-1'"),
        ("٣ 0.5 0.5 0.2 0.1", "line 3, class: must be an index such as 0"),
        ("0", "line 3: 0 values behind the class, a box has 4"),
        ("0 0.5 0.5 0.2", "line 3: 3 values behind the class, a box has 4"),
        ("0 0.5 nan 0.2 0.1", "line 3, y_center: must be a number, not 'nan'"),
        ("0 0.5 0.5 inf 0.1", "line 3, width: must be a number, not 'inf'"),
        ("0 0.5 0.5 0.2 1_0", "line 3, height: must be a number, not '1_0'"),
        ("0 0.5 0.5 0.2 True", "line 3, height: must be a number, not 'True'"),
        ("0 320 240 50 20", "line 3, x_center: must be within 0..1, not '320'. Are these pixels?"),
        ("0 0.5 0.5 0.2 1e400", "line 3, height: must be a finite number, not '1e400'"),
        ("0 0.5 0.5 0.2 0.1 1.5", "line 3, confidence: must be within 0..1, not '1.5'"),
        ("0 0.5 0.5 0.2 0.1 -0.5 3", "line 3, confidence: must be within 0..1, not '-0.5'"),
        ("0 0.2 0.2 0.4 x 0.3 0.6", "line 3, value 4: must be a number, not 'x'"),
        ("Car 0.0 0 0.0 10 20 30 40 0 0 0 0 0 0 0", "line 3, class: must be an index such as 0, not 'Car'"),
        ("0 " + "0.1 " * 60_000, "line 3: longer than 200000 characters"),
    ],
)
def test_every_complaint_names_file_line_and_field(line: str, message: str) -> None:
    """One line says where in which file something else was expected."""
    with pytest.raises(BadSidecar) as caught:
        read(f"{BOX}\n\n{line}\n")
    assert str(caught.value).startswith(f"belt.txt, {message}")


def test_a_file_of_endless_lines_is_refused() -> None:
    """No picture has ten thousand objects."""
    with pytest.raises(BadSidecar, match="more than 10000 annotations"):
        read("".join(f"0 0.5 0.5 0.2 {number}e-6\n" for number in range(10_001)))

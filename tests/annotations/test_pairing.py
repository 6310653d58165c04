from __future__ import annotations

import pytest

from agent.annotations.pairing import is_sidecar, sidecar_names, sister_names, sister_of


@pytest.mark.parametrize(
    ("picture", "names"),
    [
        ("belt.jpg", ("belt.annotations.json", "belt.jpg.json", "belt.json", "belt.txt", "belt.xml", "belt.csv")),
        ("a.b.PNG", ("a.b.annotations.json", "a.b.PNG.json", "a.b.json", "a.b.txt", "a.b.xml", "a.b.csv")),
        ("bare", ("bare.annotations.json", "bare.json", "bare.json", "bare.txt", "bare.xml", "bare.csv")),
    ],
)
def test_a_picture_names_its_sidecars_by_precedence(picture: str, names: tuple[str, ...]) -> None:
    """What can only be meant for this picture comes before what other pictures may share."""
    assert sidecar_names(picture) == names


@pytest.mark.parametrize("picture", ["belt.jpg", "belt.annotations.png", ".jpg", "belt..webp", "bél t.tiff"])
def test_whatever_a_picture_looks_for_is_a_sidecar(picture: str) -> None:
    """The two functions agree, and no picture is taken for a sidecar."""
    assert all(is_sidecar(name) for name in sidecar_names(picture))
    assert not is_sidecar(picture)


@pytest.mark.parametrize(
    ("formats", "names"),
    [
        (("yolo",), ("belt.txt",)),
        (("voc",), ("belt.xml",)),
        (("coco",), ("belt.annotations.json", "belt.jpg.json", "belt.json")),
        (("supervision",), ("belt.annotations.json", "belt.jpg.json", "belt.json", "belt.csv")),
        (("yolo", "kitti", "voc"), ("belt.txt", "belt.xml")),
    ],
)
def test_only_the_endings_of_the_named_formats_are_looked_for(formats: tuple[str, ...], names: tuple[str, ...]) -> None:
    """What cannot be read is not looked for."""
    assert sidecar_names("belt.jpg", formats) == names
    assert set(sister_names("belt.jpg", formats)) <= set(names)


@pytest.mark.parametrize(
    ("folder", "sister"),
    [
        ("images", "labels"),
        ("/data/images", "/data/labels"),
        ("/data/images/train", "/data/labels/train"),
        ("images/images/a", "images/labels/a"),
        ("/data/my images", None),
        ("", None),
    ],
)
def test_a_folder_of_images_has_one_of_labels(folder: str, sister: str | None) -> None:
    """The last part of a path that is called `images` becomes `labels`."""
    assert sister_of(folder) == sister

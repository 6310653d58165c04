from __future__ import annotations

import pytest

from agent.annotations.pairing import is_sidecar, sidecar_names


@pytest.mark.parametrize(
    ("picture", "names"),
    [
        ("belt.jpg", ("belt.annotations.json", "belt.jpg.json", "belt.json", "belt.txt")),
        ("a.b.PNG", ("a.b.annotations.json", "a.b.PNG.json", "a.b.json", "a.b.txt")),
        ("bare", ("bare.annotations.json", "bare.json", "bare.json", "bare.txt")),
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

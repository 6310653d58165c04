from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.shelf import CURRENT, Model, ModelShelf, file_name, folder_name

if TYPE_CHECKING:
    from pathlib import Path

MODEL = Model("mdl_77", "1.0", "mdl_77/1.0", "model.onnx", 5, "ab", ("scratch", "dent"))


def put(shelf: ModelShelf, version: str, content: bytes = b"12345") -> Model:
    """Put a model on the shelf, as a deployment does."""
    model = replace(MODEL, version=version, folder=f"mdl_77/{folder_name(version)}", size=len(content))
    staged = shelf.begin(version) / "part"
    staged.write_bytes(content)
    shelf.put(staged, model)
    shelf.prune()
    return model


def lies(folder: Path) -> list[str]:
    """Return the files on a shelf."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_model_lies_with_its_labels(tmp_path: Path) -> None:
    """In a folder of its model and version, with what is known of it; and it is in force."""
    shelf = ModelShelf(tmp_path)
    assert shelf.current() is None
    model = put(shelf, "1.0")
    assert lies(tmp_path) == [CURRENT, "mdl_77/1.0/labels.txt", "mdl_77/1.0/model.json", "mdl_77/1.0/model.onnx"]
    assert (tmp_path / "mdl_77/1.0/labels.txt").read_text(encoding="utf-8") == "scratch\ndent\n"
    assert json.loads((tmp_path / "mdl_77/1.0/model.json").read_bytes())["sha256"] == "ab"
    assert ModelShelf(tmp_path).current() == model
    assert shelf.path(model).read_bytes() == b"12345"


def test_the_one_before_is_kept_and_older_ones_go(tmp_path: Path) -> None:
    """There is always one to go back to, and the disk does not fill."""
    shelf = ModelShelf(tmp_path)
    for version in ("1.0", "2.0", "3.0"):
        put(shelf, version)
    assert {path.split("/")[1] for path in lies(tmp_path) if "/" in path} == {"2.0", "3.0"}


def test_it_goes_back_where_the_file_is_gone(tmp_path: Path) -> None:
    """A model that somebody removed, or that a broken disk cut short, gives way to the one before."""
    shelf = ModelShelf(tmp_path)
    first, second = put(shelf, "1.0"), put(shelf, "2.0")
    shelf.path(second).write_bytes(b"1")
    assert shelf.current() == first
    shelf.path(first).unlink()
    assert shelf.current() is None


def test_a_version_may_come_again(tmp_path: Path) -> None:
    """Other bytes under the same name take its place whole."""
    shelf = ModelShelf(tmp_path)
    put(shelf, "1.0")
    model = put(shelf, "1.0", b"123456789")
    assert shelf.path(model).read_bytes() == b"123456789"
    assert len(lies(tmp_path)) == 4


def test_what_was_on_its_way_is_bounded(tmp_path: Path) -> None:
    """One download at a time: what is left of others goes, what came of this one stays."""
    shelf = ModelShelf(tmp_path)
    (shelf.begin("a") / "part").write_bytes(b"1")
    assert (shelf.begin("a") / "part").exists()
    shelf.begin("b")
    assert lies(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", '{"models": [{"folder": 1}]}', '{"models": 3}', "\0"])
def test_a_broken_record_is_no_model(tmp_path: Path, text: str) -> None:
    """Then the configuration's own model counts."""
    (tmp_path / CURRENT).write_text(text, encoding="utf-8")
    assert ModelShelf(tmp_path).current() is None


@pytest.mark.parametrize(("text", "name"), [("2.1.0", "2.1.0"), ("mdl_77", "mdl_77"), ("7", "7")])
def test_plain_names_stay(text: str, name: str) -> None:
    """People find what they know."""
    assert folder_name(text) == name


@given(st.text(max_size=300) | st.sampled_from(["..", ".", "../../etc", "/etc", "a/b", ".incoming", "a\0b", "~", ""]))
def test_no_name_leads_out_of_the_shelf(text: str) -> None:
    """Whatever the platform calls a model, its folder is one plain name, never hidden."""
    name = folder_name(text)
    assert name.replace("-", "").replace("_", "").replace(".", "").isalnum() or set(name) <= set("-_.")
    assert not name.startswith(".")
    assert "/" not in name
    assert 0 < len(name) <= 64


def test_different_names_get_different_folders() -> None:
    """What is left out of them is in the digest."""
    assert folder_name("a/b") != folder_name("a?b")


@pytest.mark.parametrize(
    ("extension", "name"),
    [
        (".onnx", "model.onnx"),
        ("ONNX", "model.onnx"),
        ("", "model.bin"),
        ("../x", "model.bin"),
        ("a" * 11, "model.bin"),
    ],
)
def test_an_extension_is_a_plain_word(extension: str, name: str) -> None:
    """Else it is left out."""
    assert file_name(extension) == name

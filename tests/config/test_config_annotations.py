from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.annotations.formats import NAMES
from agent.annotations.plan import SHARED_NAMES, AnnotationPlan
from agent.config.class_names import read_classes
from agent.config.environment import parse_environment
from agent.config.load import check, load
from agent.config.sources import WatchSettings
from agent.errors import ConfigError
from agent.plans import annotation_plan


def plan(**keys: Any) -> AnnotationPlan:  # noqa: ANN401 (any setting)
    """Return the plan of a watched folder."""
    return annotation_plan(WatchSettings.model_validate({"path": "/a", **keys}))


def test_by_default_the_content_decides() -> None:
    """Every format, boxes as the picture is shown, and a bad sidecar costs the boxes alone."""
    assert plan() == AnnotationPlan(shared=SHARED_NAMES)
    assert plan(annotations="auto") == plan(annotations=["auto"]) == plan()


def test_every_setting_reaches_the_plan() -> None:
    """What is written is what is done."""
    assert plan(
        annotations=["yolo", "coco"],
        classes=["dent"],
        box_space="stored",
        box_size=[1920, 1080],
        min_confidence=0.25,
        shapes="skip",
        on_bad_sidecar="quarantine",
        shared_sidecars=["all.json"],
    ) == AnnotationPlan(("yolo", "coco"), ("dent",), "stored", (1920, 1080), 0.25, "skip", "quarantine", ("all.json",))
    assert plan(annotations="kitti").formats == ("kitti",)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"annotations": ["yol"]}, "'yol' is no format; did you mean 'yolo'?"),
        ({"annotations": "zzz"}, "'zzz' is no format; known are \"auto\" alone, or some of coco,"),
        ({"annotations": ["auto", "yolo"]}, "'auto' is no format"),
        ({"annotations": []}, 'must be "auto" or a list of formats'),
        ({"annotations": 3}, 'must be "auto" or a list of formats'),
        ({"classes": 3}, "must be a list of names"),
        ({"classes": ["a", ""]}, "must be a list of names"),
        ({"classes": "a\0b"}, "NUL"),
        ({"box_space": "exif"}, "'displayed' or 'stored'"),
        ({"box_size": [0, 10]}, "greater than 0"),
        ({"min_confidence": 50}, "less than or equal to 1"),
        ({"on_bad_sidecar": "drop"}, "'send_without', 'wait' or 'quarantine'"),
        ({"shared_sidecars": ["labels/all.json"]}, "without folders"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], message: str) -> None:
    """Each with what to write instead."""
    with pytest.raises(ValidationError) as caught:
        plan(**keys)
    (error,) = caught.value.errors()
    assert message in error["msg"]


def test_every_format_can_be_named() -> None:
    """The names in the configuration are those of the readers."""
    assert plan(annotations=list(NAMES)).formats == NAMES


@pytest.mark.parametrize(
    ("name", "text", "classes"),
    [
        ("a.txt", "person\r\n hard hat \n\nforklift\n", ("person", "hard hat", "forklift")),
        ("a.names", "\ufeffMütze\n", ("Mütze",)),
        ("a.json", '["a", "b"]', ("a", "b")),
        ("a.json", '{"0": "a", "2": "c"}', ("a", "", "c")),
        ("a.json", '[{"id": 1, "name": "a", "supercategory": ""}, {"id": 3, "name": "c"}]', ("", "a", "", "c")),
        ("data.yaml", "train: ../x\nnc: 2\nnames: ['a', \"b c\"]  # two\nroboflow:\n  url: y\n", ("a", "b c")),
        ("data.yaml", "names: [a, b,\n  'it''s']\nnc: 3\n", ("a", "b", "it's")),
        (
            "data.yml",
            "path: x\nnames:\n  0: person\n  1: hard hat # worn\n  5: 'a: b'\n",
            ("person", "hard hat", "", "", "", "a: b"),
        ),
        ("data.yaml", "names:\n- a\n- b\nnc: 2\n", ("a", "b")),
        ("data.yaml", 'names:\n  - a\n\n  # more\n  - "b\\u00e9"\n', ("a", "bé")),
        ("data.yaml", "names: {0: a, 1: b}\n", ("a", "b")),
    ],
)
def test_classes_come_from_files_as_tools_write_them(
    tmp_path: Path, name: str, text: str, classes: tuple[str, ...]
) -> None:
    """A name a line, the simple forms of `names` in YAML, JSON lists, objects and COCO categories."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_classes(path) == classes


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "holds no names"),
        ("a.json", "[1]", "1 is no name"),
        ("a.json", '[{"name": "a"}]', "entry 0 is no name, and no category with an id"),
        ("a.json", '{"x": "a"}', "invalid literal"),
        ("a.json", '{"70000": "a"}', "index 70000 is beyond 10000"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("data.yaml", "nc: 3\n", "it has no `names`"),
        ("data.yaml", "names: []\n", "holds no names"),
    ],
)
def test_a_file_without_classes_is_told(tmp_path: Path, name: str, text: str, message: str) -> None:
    """One sentence, with the file and what is wrong with it."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        read_classes(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ConfigError, match="is not there"):
        read_classes(tmp_path / "gone")


@given(st.text(max_size=60), st.sampled_from([".txt", ".json", ".yaml"]))
def test_any_file_of_classes_is_judged(tmp_path_factory: pytest.TempPathFactory, text: str, suffix: str) -> None:
    """No file brings another error."""
    path = tmp_path_factory.getbasetemp() / f"classes{suffix}"
    path.write_bytes((("names: " if suffix == ".yaml" else "") + text).encode("utf-8", "replace"))
    try:
        assert any(read_classes(path))
    except ConfigError:
        return


def test_the_file_is_found_beside_the_configuration_and_checked_with_it(tmp_path: Path) -> None:
    """Its path starts at the configuration, and what is wrong with it has the line of `classes`."""
    environment = parse_environment({"HOME": str(tmp_path)}, working_directory=Path("/"))
    config = tmp_path / "config.toml"
    config.write_text('[[watch]]\npath = "pictures"\nclasses = "model/data.yaml"\n')
    (problem,) = check(config, environment)
    assert str(problem).startswith(
        f"{config}:3: watch[0].classes: the file of classes {tmp_path}/model/data.yaml is not"
    )
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "data.yaml").write_text("names: [a, b]\n")
    (watch,) = load(config, environment).settings.watch
    assert annotation_plan(watch).classes == ("a", "b")
    assert json.dumps(str(watch.classes))

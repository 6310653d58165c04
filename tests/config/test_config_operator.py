from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.app.deployed import deployed, models_dir
from agent.config.environment import Environment
from agent.config.load import check, load
from agent.models.shelf import Model, ModelShelf

Write = Callable[..., Path]
DETECTOR = '[annotator]\nkind = "cv2dnn"\nmodel_file = "own.onnx"\nclasses = ["a", "b"]\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[models]\naccept = true\n", "cv2dnn"),
        (f"[checkin]\nenabled = false\n{DETECTOR}[models]\naccept = true\n", "checkin.enabled"),
        ("[checkin]\ninterval_s = 0.5\n", "checkin.interval_s"),
        ("[models]\nmax_bytes = 0\n", "models.max_bytes"),
    ],
)
def test_what_cannot_work_is_said(write: Write, text: str, complaint: str) -> None:
    """A model that nothing would use, or that nobody could ask for, is a mistake."""
    (problem,) = check(write(text), Environment())
    assert complaint in str(problem)


def test_nothing_is_accepted_unasked(write: Write) -> None:
    """The check-in is on, models are off."""
    settings = load(write(""), Environment()).settings
    assert (settings.checkin.enabled, settings.checkin.heartbeat, settings.models.accept) == (True, False, False)


@pytest.mark.parametrize(("accept", "names"), [(True, ("x",)), (True, ()), (False, ("x",))])
def test_the_model_in_force_takes_the_place_of_the_configurations(
    write: Write, tmp_path: Path, names: tuple[str, ...], *, accept: bool
) -> None:
    """Where models are accepted: its file, names, id and version; without names of its own, those that were given."""
    text = f"{DETECTOR}[model]\nid = 'own'\n[models]\naccept = {str(accept).lower()}\ndir = 'models'\n"
    settings = load(write(text), Environment()).settings
    shelf = ModelShelf(models_dir(settings, tmp_path / "spool"))
    assert deployed(settings, tmp_path / "spool") == settings
    (shelf.begin("1") / "part").write_bytes(b"12345")
    shelf.put(shelf.begin("1") / "part", Model("m", "2", "m/2", "model.onnx", 5, "ab", names))
    used = deployed(settings, tmp_path / "spool")
    if not accept:
        assert used == settings
        return
    assert used.annotator.model_file == tmp_path / "models/m/2/model.onnx"
    assert used.annotator.classes == (names or ("a", "b"))
    assert (used.annotator.model_id, used.annotator.model_version) == ("m", "2")
    assert (used.model.id, used.model.version) == ("m", "2")

"""A model that the platform deploys, with the whole agent, a real platform and real ONNX models around it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pytest
from annotator_house import arrived, seen
from house_rig import House, arrive, until

sys.path.append(str(Path(__file__).parents[1] / "annotators"))  # which has the models

from models import SIDE, cell_finder, spotted

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS: dict[str, Any] = {
    "annotator": {
        "kind": "cv2dnn",
        "model_file": "own.onnx",
        "classes": ["light", "dark"],
        "input_size": SIDE,
        "min_confidence": 0.6,
    },
    "model": {"id": "own", "version": "1"},
    "checkin": {"enabled": True, "interval_s": 1},
    "models": {"accept": True},
}
LABELS = json.dumps({"0": "lamp", "1": "shade"})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a house with a detector of its own, that takes models from the platform."""
    with House(tmp_path) as made:
        cell_finder(made.root / "own.onnx")
        made.configure(**SETTINGS)
        yield made


def deployment(number: int, url: str, version: str) -> dict[str, Any]:
    """Make the action that the platform sends."""
    model = {"model_id": "mdl_77", "model_name": "lamps", "version": version, "download_url": url}
    return {"id": number, "type": "deploy", **model, "file_ext": ".onnx", "label_map": LABELS}


def deploy(house: House) -> None:
    """Have the platform deploy a model that calls the lights lamps."""
    url = house.sandbox.offer("lamps.onnx", cell_finder(house.root / "new.onnx", head="v5").read_bytes())
    house.sandbox.ask(deployment(1, url, "2.0"))


def picture(house: House, name: str, column: int) -> str:
    """Let a picture arrive with a light in one place; return its digest."""
    return arrive(house.watched / name, cv2.imencode(".png", spotted(column, 0))[1].tobytes())


def outcomes(house: House) -> dict[str, tuple[str, str]]:
    """Return what became of the actions."""
    told = json.loads(house.call("status", "--json").stdout)
    return {action["id"]: (action["outcome"], action["reason"]) for action in told["actions"]}


def test_a_deployed_model_is_used_whatever_the_file_says_by_then(house: House) -> None:
    """With a configuration that is refused the old one goes on, and with it the new model."""
    agent = house.run()
    picture(house, "a.png", 0)
    house.settled(1)
    house.config.write_text("[upload]\nworkers = 0\n", encoding="ascii")
    deploy(house)
    agent.until("configuration_refused")
    agent.until("started", 2)
    digest = picture(house, "b.png", 1)
    house.settled(2)
    assert arrived(house)[digest]["model_id"] == "mdl_77"
    agent.stop()


def test_a_deployed_model_looks_at_the_next_pictures(house: House) -> None:
    """It is fetched with the key, tried and used without a restart; one that does not work changes nothing."""
    agent = house.run()
    before = picture(house, "a.png", 0)
    house.settled(1)
    deploy(house)
    agent.until("model_fetched")
    agent.until("started", 2)
    after = picture(house, "b.png", 1)
    house.settled(2)
    bad = house.sandbox.offer("bad.onnx", b"no model at all")
    house.sandbox.ask(deployment(2, bad, "../../3.0"))
    agent.until("action_settled", 2)
    last = picture(house, "c.png", 2)
    house.settled(3)
    found = arrived(house)
    assert [(seen(found[digest]), found[digest]["model_id"]) for digest in (before, after, last)] == [
        (["light"], "own"),
        (["lamp"], "mdl_77"),
        (["lamp"], "mdl_77"),
    ]
    assert found[after]["model_version"] == "2.0"
    assert outcomes(house)["1"][0] == "deployed"
    assert outcomes(house)["2"][0] == "failed"
    assert "cannot be loaded" in outcomes(house)["2"][1]
    assert "model     mdl_77 2.0, deployed by the platform" in house.call("status").stdout
    models = sorted(
        path.relative_to(house.spool / "models").as_posix() for path in house.spool.glob("models/*/*/*.onnx")
    )
    assert models == ["mdl_77/2.0/model.onnx"]
    agent.stop()
    house.check([before, after, last])


def test_a_deployed_model_outlives_a_kill(house: House) -> None:
    """What was in force is in force again; a download that was cut off is taken up by the next run."""
    house.sandbox.set_faults({"fault": [{"route": "model", "delay_s": 20, "count": 1}]})
    url = house.sandbox.offer("lamps.onnx", cell_finder(house.root / "new.onnx").read_bytes())
    house.sandbox.ask(deployment(1, url, "2.0"))
    agent = house.run()
    until(lambda: "fetching" in house.call("status").stdout)
    agent.kill()
    agent = house.run()
    agent.until("model_fetched")
    agent.until("started", 2)
    agent.kill()
    agent = house.run()
    digest = picture(house, "a.png", 0)
    house.settled(1)
    assert seen(arrived(house)[digest]) == ["lamp"]
    assert agent.stop() < 3


def test_a_deployed_model_looks_at_a_cameras_frames(house: House) -> None:
    """A detector in a camera's child is another one from the next run on, as a folder's is."""

    def film(name: str, column: int) -> None:
        writer = cv2.VideoWriter(str(house.root / "new.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (128, 64))
        writer.write(spotted(column, 0))
        writer.release()
        (house.root / "new.avi").rename(house.root / name)

    film("0.avi", 0)
    house.configure(**SETTINGS, camera=[{"name": "belt", "source": "*.avi", "interval_s": 0}])
    agent = house.run()
    house.settled(1)
    film("1.avi", 1)
    deploy(house)
    agent.until("model_fetched")
    agent.until("started", 2)
    house.settled(2)
    agent.stop()
    assert sorted((seen(found), found["model_id"]) for found in arrived(house).values()) == [
        (["lamp"], "mdl_77"),
        (["light"], "own"),
    ]

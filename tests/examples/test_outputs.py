from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING

import click
import pytest
from example_rig import COMMANDS
from output_rig import DEFINITIONS, REFERENCE, faults_of

from agent.sources.devices import VideoDevice

if TYPE_CHECKING:
    from world_rig import World

# A call of each command that prints JSON; ids and files are those of the world, which the last ones change.
CALLS = {
    "version": "version",
    "status": "status",
    "queue list": "queue list",
    "queue show": "queue show 17",
    "queue flush": "queue flush",
    "queue pause": "queue pause",
    "queue resume": "queue resume",
    "queue export": "queue export 17 --to look",
    "receipt": "receipt captures/part-17.jpg",
    "reconcile": "reconcile --all .",
    "explain": "explain captures/part-17.jpg",
    "select report": "select report captures",
    "annotations check": "annotations check belt.txt --image belt.jpg --classes data.yaml",
    "camera list": "camera list",
    "camera probe": "camera probe belt-west",
    "camera snapshot": "camera snapshot belt-west now.jpg",
    "doctor": "doctor",
    "upload": "upload part.jpg belt.json",
    "queue retry": "queue retry 17 9999",
    "queue drop": "queue drop 18 --yes",
    "provision": "provision --token-file token.txt --renew",
}
FREE = {"config show"}  # the keys are those of the configuration, which has a schema of its own


def speakers() -> set[str]:
    """Return the commands that have `--json`."""
    return {
        path.removeprefix("acusight-agent ")
        for path, command in COMMANDS.items()
        if any(isinstance(one, click.Option) and "--json" in one.opts for one in command.params)
    }


def rows() -> dict[str, str]:
    """Return what the page says of each command."""
    text = (REFERENCE / "json.md").read_text(encoding="utf-8")
    return {found[1]: found[2] for found in re.finditer(r"^\| `([a-z ]+)` \| (.*) \|$", text, re.MULTILINE)}


def test_every_command_that_prints_json_has_a_definition_and_a_row() -> None:
    """Page, schema and commands name the same, and each is called here."""
    assert speakers() - FREE == set(rows()) == set(CALLS)
    assert {name.replace(" ", "-") for name in CALLS} | {"item"} == set(DEFINITIONS)


@pytest.mark.parametrize("name", CALLS)
def test_the_page_names_every_key(name: str) -> None:
    """A definition's keys are those of the row in the page, or of the row that it refers to."""
    told = rows()[name]
    for other in re.findall(r"as (?:an item )?(?:in )?`([a-z ]+)`", told):
        told += rows()[other]
    keys = set(DEFINITIONS[name.replace(" ", "-")]["properties"]) - {"schema"}
    missing = {key for key in keys if f"`{key}`" not in told}
    assert not missing or "what the text shows" in told


@pytest.mark.parametrize(("running", "names"), [(True, list(CALLS)), (False, ["status", "queue list", "doctor"])])
def test_what_is_printed_is_as_the_schema_says(world: World, names: list[str], *, running: bool) -> None:
    """Every command's document, to the last key, with an agent beside it and without."""
    agent = world.start("run") if running else None
    try:
        if agent is not None:
            world.until_it_runs(agent)
        for name in names:
            words = [world.names.get(word, word) for word in CALLS[name].split()]
            ended = world.call(*words, "--json")
            assert "Traceback" not in ended.err, ended
            assert not faults_of(json.loads(ended.out), name.replace(" ", "-"))
    finally:
        if agent is not None:
            world.finish(agent)


def test_a_camera_is_as_the_schema_says() -> None:
    """There may be none on the machine that tests."""
    cameras = [VideoDevice("/dev/video0", "USB Camera").as_json()]
    assert not faults_of({"schema": 1, "cameras": cameras}, "camera-list")


def test_a_difference_is_found() -> None:
    """What is missing, unknown, or of another kind."""
    right = {"schema": 1, "version": "1", "python": "3", "machine": "x"}
    assert not faults_of(right, "version")
    for key, value in (("version", 1), ("schema", 2), ("more", ""), ("python", None)):
        assert faults_of({**deepcopy(right), key: value}, "version")
    assert faults_of({"schema": 1, "version": "1", "python": "3"}, "version")

"""What the house tests of annotators share: programs that look at pictures, and what arrived with which boxes."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from house_rig import House

STREAM = """
import json, os, struct, sys, time
def pictures():
    while head := sys.stdin.buffer.read(4):
        yield sys.stdin.buffer.read(struct.unpack(">I", head)[0])
def answer(name):
    box = {"class_value": name, "geometry": [0.5, 0.5, 0.2, 0.1], "confidence": 0.9}
    print(json.dumps({"model": {"id": "mdl-seen"}, "annotations": [box]}), flush=True)
"""


def command(house: House, body: str, *, head: str = STREAM) -> str:
    """Write a program; return how `[annotator] command` names it."""
    script = house.root / "annotator.py"
    script.write_text(head + body, encoding="utf-8")
    return shlex.join([sys.executable, "-S", str(script)])


def arrived(house: House) -> dict[str, dict[str, Any]]:
    """Return the metadata that the platform got, by the digests of the pictures."""
    lines = (house.sandbox.folder / "uploads.jsonl").read_text(encoding="utf-8").splitlines()
    return {said["sha256"]: said["metadata"] for said in map(json.loads, lines)}


def seen(metadata: dict[str, Any]) -> list[str] | None:
    """Return the classes that a metadata tells of; None where it tells of none at all."""
    found = metadata.get("annotations")
    return None if found is None else [box["class_value"] for box in found]

"""Holds what `--json` prints against the schema in the reference, more strictly than a reader has to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference"
SCHEMA: dict[str, Any] = json.loads((REFERENCE / "output.schema.json").read_text(encoding="utf-8"))
DEFINITIONS: dict[str, dict[str, Any]] = SCHEMA["$defs"]
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
WORDS = {"$ref", "additionalProperties", "const", "description", "enum", "items", "properties", "required", "type"}


def faults_of(document: object, name: str) -> list[str]:
    """Return what differs from a definition; a key that it does not know is a fault here, as it is nowhere told."""
    return list(_faults(document, DEFINITIONS[name], name))


def _faults(value: object, schema: dict[str, Any], place: str) -> Iterator[str]:
    assert set(schema) <= WORDS, f"{place}: this test does not know {set(schema) - WORDS}"
    if "$ref" in schema:
        schema = DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{place}: {value!r} is none of {kinds}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{place}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is none of {schema['enum']}"
    if isinstance(value, dict):
        yield from _members(value, schema, place)
    if isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _faults(entry, schema["items"], f"{place}[{number}]")


def _members(value: dict[str, Any], schema: dict[str, Any], place: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    yield from (f"{place}: {name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, entry in value.items():
        if name in known:
            yield from _faults(entry, known[name], f"{place}.{name}")
        elif others is not None:
            yield from _faults(entry, others, f"{place}.{name}")
        elif known:
            yield f"{place}: {name} is not told of"


def _is(value: object, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))

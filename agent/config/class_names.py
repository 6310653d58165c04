"""Class names from a file: one a line, the `names` of a YOLO data.yaml, or JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from agent.config.regular import read_regular
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGEST = 1_000_000
_MOST = 10_000
_ENTRY = re.compile(
    r"(?:(?P<index>\d{1,5})\s*:\s*)?(?P<name>'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"|[^,\[\]{}'\"#\s][^,\[\]{}#]*)"
)


def read_classes(path: Path) -> tuple[str, ...]:
    """Return class names by index, with empty texts where an index has none; raises `ConfigError`.

    JSON is a list of names, an object of names by index, or a list of COCO categories. Of a YAML file only `names` is
    read, as a list or by index.
    """
    found = read_regular(path, "file of classes", largest=_LARGEST)
    if found is None:
        raise ConfigError(f"the file of classes {path} is not there")
    try:
        text = found[0].decode("utf-8-sig")
        names = _names(text, is_yaml=path.suffix in (".yaml", ".yml"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the file of classes {path} cannot be read: {error}") from None
    if not any(names):
        raise ConfigError(f"the file of classes {path} holds no names")
    return names


def _names(text: str, *, is_yaml: bool) -> tuple[str, ...]:
    if text.lstrip()[:1] in ("[", "{"):
        return _by_index(_from_json(json.loads(text)))
    if is_yaml:
        return _by_index(_from_yaml(text))
    return _by_index(enumerate(line for line in map(str.strip, text.splitlines()) if line))


def _by_index(pairs: Iterator[tuple[int, str]] | enumerate[str]) -> tuple[str, ...]:
    found: dict[int, str] = {}
    for index, name in pairs:
        if not 0 <= index < _MOST:
            raise ValueError(f"index {index} is beyond {_MOST}")
        found[index] = name
    return tuple(found.get(index, "") for index in range(max(found, default=-1) + 1))


def _from_json(document: object) -> Iterator[tuple[int, str]]:
    if isinstance(document, dict):
        yield from ((int(index), _text(name)) for index, name in document.items())
        return
    for index, entry in enumerate(document if isinstance(document, list) else ()):
        if isinstance(entry, dict):
            if type(entry.get("id")) is not int:
                raise ValueError(f"entry {index} is no name, and no category with an id")
            yield entry["id"], _text(entry.get("name"))
        else:
            yield index, _text(entry)


def _text(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{name!r} is no name")
    return name


def _from_yaml(text: str) -> Iterator[tuple[int, str]]:
    """Yield what stands under `names`: in brackets or braces, or a line each, with or without indices."""
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise ValueError("it has no `names`")
    rest = lines[start].partition(":")[2].split(" #")[0].strip()
    below = _below(lines[start + 1 :])
    if rest[:1] in ("[", "{"):
        inline = " ".join((rest, *below))
        entries = _ENTRY.finditer(re.split(r"[\]}]\s*(?:#.*)?$", inline)[0][1:])
    else:
        entries = (found for line in below if (found := _ENTRY.match(line.removeprefix("-").strip())))
    for number, entry in enumerate(entries):
        yield int(entry["index"] or number), _plain(entry["name"])


def _below(lines: list[str]) -> list[str]:
    """Return the lines that belong to the key above: indented ones, or items of a list."""
    found = []
    for line in lines:
        bare = line.strip()
        if bare.startswith("#") or not bare:
            continue
        if not line[0].isspace() and not line.startswith(("-", "]", "}")):
            break
        found.append(bare)
    return found


def _plain(name: str) -> str:
    name = name.strip()
    if name[:1] == "'":
        return name[1:-1].replace("''", "'")
    return str(json.loads(name)) if name[:1] == '"' else name

"""Which line of a TOML text a key stands on.

`tomllib` does not tell. Here the text is cut into its statements (the shortest runs of lines that are valid TOML
alone), so tomllib itself resolves quoted and dotted keys and strings over several lines. What cannot be told is left
out: there is no line rather than a wrong one.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

KeyPath = tuple[str | int, ...]

_LONGEST_STATEMENT = 100  # lines; each adds one more attempt to parse what came so far


def key_lines(text: str) -> dict[KeyPath, int]:
    """Map key paths, such as `("watch", 0, "path")`, to line numbers from 1, for a text that is valid TOML."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, statement, parsed in _statements(text):
        if statement.startswith("["):
            table = _header(parsed, counts)
            lines.setdefault(table, number)
            continue
        for path in _paths(parsed):
            lines.setdefault(table + path, number)
    return lines


def line_of(path: KeyPath, lines: dict[KeyPath, int]) -> int | None:
    """Return the line of `path`, or that of the nearest table or list that it belongs to."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield (first line, text, parsed) of each statement, up to one that cannot be told apart."""
    pending: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        pending.append(line)
        statement = "\n".join(pending)
        try:
            parsed = tomllib.loads(statement)
        except (ValueError, RecursionError):
            if len(pending) >= _LONGEST_STATEMENT:
                return
            continue
        if parsed:
            yield number - len(pending) + 1, statement.lstrip(" \t"), parsed
        pending.clear()


def _header(parsed: dict[str, Any], counts: dict[KeyPath, int]) -> KeyPath:
    """Return the full path of a table header; `counts` holds how many tables each array of tables has so far."""
    path: KeyPath = ()
    node: object = parsed
    while isinstance(node, dict) and node:
        (name, node), *_ = node.items()
        path += (name,)
        if isinstance(node, list):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path += (counts[path] - 1,)
    return path


def _paths(parsed: dict[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield every key path in the tables of a statement; what is inside a list belongs to the list's line."""
    for name, value in parsed.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _paths(value, (*above, name))

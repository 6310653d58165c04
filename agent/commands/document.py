"""A JSON document whose one long list is written as it is found, so that its length costs no memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SCHEMA = 1


def pieces(
    name: str, entries: Iterable[dict[str, Any]], *, tail: Callable[[], dict[str, Any]] = dict, **head: object
) -> Iterator[str]:
    """Yield a document line by line: `head`, the list under `name`, and what `tail` says once the list is done."""
    yield f'{json.dumps({"schema": SCHEMA, **head})[:-1]}, "{name}": ['
    before = ""
    for entry in entries:
        if before:
            yield f"{before},"
        before = f"  {json.dumps(entry)}"
    if before:
        yield before
    rest = json.dumps(tail())[1:]
    yield f"]{'' if rest == '}' else ', '}{rest}"


def text(**fields: object) -> str:
    """Return a short document at once."""
    return json.dumps({"schema": SCHEMA, **fields}, indent=2)

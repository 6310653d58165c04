"""What is wrong with a configuration, in sentences that say where and what to do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from agent.config.redaction import printable, redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from agent.config.lines import KeyPath

_PLAINER = {
    "tuple_type": "must be a list; where it is a list of tables, write their names in double brackets: [[watch]]",
    "model_type": "must be a table",
    "string_pattern_mismatch": "must be exactly four characters",
}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: `place` is a file or a variable, `line` and `column` count from 1 where they are known.

    The message is cleaned when the problem is made: keys and URLs that people mistype hold secrets.
    """

    place: str
    message: str
    line: int | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(redacted(self.message)))

    def __str__(self) -> str:
        """Return `config.toml:12: upload.workers: must be …`, on one line."""
        position = [str(number) for number in (self.line, self.column) if number is not None]
        return ": ".join(filter(None, (printable(":".join([self.place, *position])), self.message)))


def sentence(error: ErrorDetails, root: type[BaseModel]) -> str:
    """Turn one of pydantic's errors into `key: what is wrong and what to do`."""
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        return f"{key_text(path)}: {unknown_key(str(path[-1]), key_names(root, path[:-1]))}"
    if error["type"] == "missing":
        return f"{key_text(path)}: is required"
    message = error["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
    return f"{key_text(path)}: {_PLAINER.get(error['type'], message)}"


def unknown_key(name: str, known: Sequence[str]) -> str:
    """Say that `name` is no key, and which of the known ones was probably meant."""
    close = get_close_matches(name, known, n=1)
    return f"unknown key; did you mean {close[0]!r}?" if close else f"unknown key; known here: {', '.join(known)}"


def key_names(root: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that a table at `path` may have."""
    model: Any = root
    for name in path:
        if isinstance(name, str):
            field = model.model_fields[name].annotation
            model = next((part for part in (field, *get_args(field)) if _is_model(part)), None)
    return list(model.model_fields)


def key_text(path: KeyPath) -> str:
    """Write a key path as a person would: `watch[0].path`."""
    text = ""
    for name in path:
        if isinstance(name, int):
            text += f"[{name}]"
        else:
            bare = name if _BARE_KEY.fullmatch(name) else json.dumps(name)
            text += f".{bare}" if text else bare
    return text


def _is_model(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)

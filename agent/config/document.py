"""The configuration file: read within limits, parsed, and asked where its keys stand."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agent.config.device_key import open_to_others
from agent.config.lines import KeyPath, key_lines, line_of
from agent.config.mark import LARGEST
from agent.config.problems import Problem
from agent.config.regular import read_regular
from agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_POSITION = re.compile(r" \((?:at line (?P<line>\d+), column (?P<column>\d+)|at end of document)\)")


@dataclass(frozen=True)
class Document:
    """A parsed configuration file; without a path, the empty one that stands for no file at all."""

    path: Path | None = None
    text: str = ""
    mode: int = 0
    tables: dict[str, Any] = field(default_factory=dict, repr=False)

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Place `message` at the line of `path`, or of the table it belongs to."""
        return Problem(str(self.path or ""), message, line_of(path, self._lines))

    def exposure(self) -> Problem | None:
        """Return the problem that others can read a device key in this file, if so."""
        server = self.tables.get("server")
        if self.path is None or not (isinstance(server, dict) and server.get("device_key")):
            return None
        fault = open_to_others(self.path, self.mode)
        return self.problem(("server", "device_key"), f"server.device_key: this file {fault}") if fault else None

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return key_lines(self.text)


def read_document(path: Path) -> Document | Problem:
    """Read and parse the file at `path`; return the problem where it is no TOML. ConfigError: it cannot be read."""
    found = read_regular(path, "configuration", largest=LARGEST)
    if found is None:
        raise ConfigError(f"there is no configuration {path}", remedy=f"Write one: acusight-agent config init {path}")
    raw, mode = found
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Problem(str(path), "is no UTF-8 text", raw[: error.start].count(b"\n") + 1)
    try:
        return Document(path, text, mode, tomllib.loads(text))
    except RecursionError:
        return Problem(str(path), "is nested too deeply")
    except ValueError as error:
        return _syntax_problem(path, text, str(error))


def _syntax_problem(path: Path, text: str, message: str) -> Problem:
    where = _POSITION.search(message)
    message = f"is no valid TOML: {_POSITION.sub('', message)}"
    if where is None:
        return Problem(str(path), message)
    if where["line"] is None:
        return Problem(str(path), message, max(1, len(text.splitlines())))
    return Problem(str(path), message, int(where["line"]), int(where["column"]))

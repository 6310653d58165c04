"""The mark of a configuration, by which one that was checked is known again without a second check.

It is made of everything that the checked configuration was made of: the release, the settings as they were written, and
how the files look that hold a key. No pydantic here: that is the point.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.config.paths import SYSTEM_CONFIG, anchored, find_config, spool_dir, state_file
from agent.config.regular import read_regular
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.environment import Environment

LARGEST = 256 * 1024  # bytes of a configuration file; a real one has some 5,000


@dataclass(frozen=True, slots=True)
class Trace:
    """The mark of the configuration that is in force now, and where the agent that it is for keeps things."""

    mark: str
    spool_dir: Path
    state_file: Path


def mark_of(tables: Mapping[str, Any], mode: int) -> str:
    """Return the mark of settings with absolute paths, from a file of this mode."""
    made_of = [__version__, mode, _key_file(tables), tables]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()


def trace(given: Path | None, environment: Environment) -> Trace | None:
    """Return the trace of the configuration that `load` would read; None where only `load` can tell.

    That is so where the environment sets something, and wherever something is wrong: `load` has the words for it.
    """
    if any(environment.overrides.values()):
        return None
    try:
        path = find_config(given, environment)
        tables, mode = ({}, 0) if path is None else _read(path)
        folder = environment.working_directory / (path.parent if path else "")
        tables = anchored(tables, folder, environment.home)
        configured = tables.get("spool", {}).get("dir")
        system = path == SYSTEM_CONFIG
        spool = spool_dir(Path(configured) if configured else None, environment, system=system)
        return Trace(mark_of(tables, mode), spool, state_file(spool, environment, system=system))
    except (ConfigError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _read(path: Path) -> tuple[dict[str, Any], int]:
    found = read_regular(path, "configuration", largest=LARGEST)
    if found is None:
        raise ConfigError(f"there is no configuration {path}")
    raw, mode = found
    return tomllib.loads(raw.decode("utf-8-sig")), mode


def _key_file(tables: Mapping[str, Any]) -> list[int] | None:
    """Return what tells whether the key's file is still the one that was read; None where there is none."""
    server = tables.get("server")
    path = server.get("device_key_file") if isinstance(server, dict) else None
    try:
        seen = Path(path).stat() if isinstance(path, str) else None
    except (OSError, ValueError):
        seen = None
    return None if seen is None else [seen.st_mode, seen.st_size, seen.st_mtime_ns]

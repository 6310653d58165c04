"""Settings given by environment variables: `ACUSIGHT_AGENT_UPLOAD__WORKERS=4`.

Two underscores stand between section and key, lists and whole sections are JSON, an empty variable counts as unset.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.config.environment import PREFIX
from agent.config.problems import Problem, key_names, unknown_key
from agent.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.lines import KeyPath

_LISTS = {"watch": '[{"path": "/srv/pictures"}]', "camera": '[{"name": "dock", "source": "/dev/video0"}]'}


class Overrides:
    """The environment's part of the settings.

    `tree` is what pydantic-settings makes of the valid variables; `problems` says what is wrong with the others,
    which it would ignore.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        named = {name.lower(): (name, value) for name, value in variables.items() if value}
        self._names: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        valid: dict[str, str] = {}
        for key, (name, value) in named.items():
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            if fault := _fault(path, value):
                self.problems.append(Problem(name, fault))
                continue
            self._names[path] = name
            valid[key] = value
        self.tree = _decoded(valid)

    def variable(self, path: KeyPath) -> str | None:
        """Return the variable that set what is at `path`, or None where the file or a default did."""
        part = self.tree.get(str(path[0]))
        if isinstance(part, dict) and len(path) > 1 and path[1] not in part:
            return None
        return self._names.get(path[:2]) or self._names.get(path[:1])


def _decoded(variables: Mapping[str, str]) -> dict[str, Any]:
    if not variables:
        return {}
    # Imported when it is needed: pydantic-settings costs 9 MB, and most devices have a file alone.
    from agent.config.variables import Variables  # noqa: PLC0415 (see above)

    return Variables(variables)()


def _fault(path: tuple[str, ...], value: str) -> str | None:
    section, *keys = path
    if section not in Settings.model_fields:
        return unknown_key(section, key_names(Settings, ()))
    if not keys:
        return None if _is_json(value) else f"must be JSON, such as {_LISTS.get(section, '{…}')}"
    if section in _LISTS:
        return f"a list is set as a whole: {PREFIX}{section.upper()}='{_LISTS[section]}'"
    key = "__".join(keys)
    known = key_names(Settings, (section,))
    return None if key in known else unknown_key(key, known)


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True

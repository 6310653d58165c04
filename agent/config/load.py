"""Read the configuration: find the file, lay the environment over it, check the whole, say what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agent.config.configuration import Configuration
from agent.config.conflicts import conflicts
from agent.config.device_key import DeviceKeySource, read_device_key
from agent.config.document import Document, read_document
from agent.config.fields import plain
from agent.config.mark import mark_of
from agent.config.overrides import Overrides
from agent.config.paths import SYSTEM_CONFIG, anchored, find_config, spool_dir, state_file
from agent.config.problems import Problem, key_text, sentence
from agent.config.settings import Settings
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.config.environment import Environment
    from agent.config.lines import KeyPath

_ECHOES = {"default_factory_not_called"}  # of an error in the key that the default is made of


def load(path: Path | None, environment: Environment) -> Configuration:
    """Return the configuration of `path`, else of the file that is found, else of the environment alone.

    Raises ConfigError, which names the first problem and counts the others.
    """
    outcome = _examined(path, environment)
    if isinstance(outcome, Configuration):
        return outcome
    first, *others = outcome
    more = f" (and {len(others)} more; see: acusight-agent config check)" if others else ""
    raise ConfigError(f"{first}{more}")


def check(path: Path | None, environment: Environment) -> list[Problem]:
    """Return everything that is wrong with the configuration that `load` would read; empty when it is sound."""
    outcome = _examined(path, environment)
    return [] if isinstance(outcome, Configuration) else outcome


def _examined(given: Path | None, environment: Environment) -> Configuration | list[Problem]:
    try:
        path = find_config(given, environment)
        document = Document() if path is None else read_document(path)
    except ConfigError as error:
        return [Problem("", str(error))]
    if isinstance(document, Problem):
        return [document]
    overrides = Overrides(environment.overrides)
    problems = [*overrides.problems, *filter(None, [document.exposure()])]
    tables = _merged(document, overrides, environment)
    mark = mark_of(tables, document.mode)  # before anything is read that it stands for
    settings, faults = _settings(tables)
    for key, message in faults:
        variable = overrides.variable(key)
        problems.append(Problem(variable, message) if variable else document.problem(key, message))
    if settings is None or problems:
        return sorted(problems, key=lambda problem: problem.line or 0)
    try:
        return replace(_resolved(settings, document, overrides, environment), mark=mark)
    except ConfigError as error:
        return [Problem("", str(error))]


def _merged(document: Document, overrides: Overrides, environment: Environment) -> dict[str, Any]:
    """Lay the environment over the file, each with its relative paths made absolute from where it stands."""
    here = environment.working_directory
    folder = here if document.path is None else here / document.path.parent
    base = anchored(document.tables, folder, environment.home)
    return _overlaid(base, anchored(overrides.tree, here, environment.home))


def _overlaid(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _overlaid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _settings(tables: dict[str, Any]) -> tuple[Settings | None, list[tuple[KeyPath, str]]]:
    try:
        settings = Settings.model_validate(tables)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [
            (detail["loc"], sentence(detail, Settings)) for detail in details if detail["type"] not in _ECHOES
        ]
    return settings, [(key, f"{key_text(key)}: {message}") for key, message in conflicts(settings)]


def _resolved(settings: Settings, document: Document, overrides: Overrides, environment: Environment) -> Configuration:
    system = document.path == SYSTEM_CONFIG
    spool = spool_dir(settings.spool.dir, environment, system=system)
    place = overrides.variable(("server", "device_key")) or str(document.path)
    credentials = environment.credentials_directory
    source = DeviceKeySource(
        inline=settings.server.device_key,
        inline_place=place,
        file=settings.server.device_key_file,
        credential=credentials / "device_key" if credentials else None,
    )
    return Configuration(
        settings=plain(settings),
        path=document.path,
        device_key=read_device_key(source),
        device_key_source=source,
        spool_dir=spool,
        state_file=state_file(spool, environment, system=system),
    )

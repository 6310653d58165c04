"""The configuration and the device key: whether they can be used as they are."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config.device_key import DeviceKeySource, read_device_key
from agent.config.load import check, load
from agent.config.paths import SYSTEM_CONFIG, find_config
from agent.doctor.finding import Finding, ok, problem
from agent.errors import ConfigError
from agent.tls import secured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.config.configuration import Configuration
    from agent.config.environment import Environment
    from agent.config.secret import Secret
    from agent.doctor.guide import Section

SYSTEM_KEY = Path("/etc/acusight-agent/device_key")
"""What the unit hands to the service as its credential; a command beside it has to look for itself."""

WHY = "The key is this device's only proof of who it is."
_KEY_FAULTS: tuple[tuple[str, Section, str], ...] = (
    ("can be read by other users", "key-can-be-read-by-others", ""),
    ("may not be read by this user", "key-may-not-be-read", "sudo acusight-agent doctor"),
    ("provisioning token", "key-is-a-token", "acusight-agent provision --help"),
    ("holds no device key", "key-is-none", "acusight-agent config show"),
)
"""What the error says, where the guide has it, and the command; empty where the error itself ends with it."""


@dataclass(frozen=True, slots=True)
class Read:
    """What reading the configuration brought: itself or what is wrong with it, and the key that the service has."""

    path: Path | None
    configuration: Configuration | None = None
    problems: tuple[str, ...] = ()
    key: Secret | None = None
    key_source: str = ""
    key_problem: str = ""


def read(given: Path | None, environment: Environment) -> Read:
    """Read what the daemon would read."""
    problems = check(given, environment)
    try:
        path = find_config(given, environment)
    except ConfigError:
        path = given
    if problems:
        return Read(path, problems=tuple(map(str, problems)))
    configuration = load(given, environment)
    source = configuration.device_key_source
    if configuration.device_key is None and configuration.path == SYSTEM_CONFIG and source.file is None:
        return _with_the_units_key(configuration)
    return Read(path, configuration, key=configuration.device_key, key_source=str(source))


def _with_the_units_key(configuration: Configuration) -> Read:
    source = DeviceKeySource(file=SYSTEM_KEY)
    try:
        key = read_device_key(source)
    except ConfigError as error:
        return Read(configuration.path, configuration, key_source=str(source), key_problem=str(error))
    return Read(configuration.path, configuration, key=key, key_source=str(source))


def findings(found: Read) -> Iterator[Finding]:
    """Judge configuration and key."""
    yield _configuration(found)
    if found.configuration is not None:
        yield _key(found)
        yield from _certificates(found.configuration)


def _configuration(found: Read) -> Finding:
    if found.problems:
        return _refused(found.problems)
    settings = found.configuration.settings if found.configuration else None
    if settings is None or not (settings.watch or settings.camera):
        return problem(
            "configuration",
            f"no [[watch]] and no [[camera]]: there is nothing to run ({found.path or 'no configuration file'})",
            "Without a source there are no pictures to send.",
            f"sudo editor {shlex.quote(str(found.path))}" if found.path else "acusight-agent config init",
            "nothing-to-run",
        )
    counted = f"{len(settings.watch)} folders, {len(settings.camera)} cameras"
    return ok("configuration", f"{found.path or 'the environment alone'}: {counted}")


def _refused(problems: Sequence[str]) -> Finding:
    first, more = problems[0], len(problems) - 1
    return _key_fault(first) or problem(
        "configuration",
        first + (f" (and {more} more)" if more else ""),
        "A configuration is refused whole, so that a typing error costs no picture.",
        "acusight-agent config check",
        "configuration-is-invalid",
    )


def _key(found: Read) -> Finding:
    if found.key_problem:
        return _key_fault(found.key_problem) or problem(
            "key", found.key_problem, WHY, "acusight-agent config show", "key-is-none"
        )
    if found.key is None:
        place = str(SYSTEM_KEY) if found.key_source == "nowhere" else found.key_source
        return problem(
            "key",
            f"there is no device key (looked in: {found.key_source})",
            "Without it the platform takes no picture; they would wait on the disk.",
            f"sudo install -m 600 /dev/stdin {shlex.quote(place)}",
            "there-is-no-device-key",
        )
    return ok("key", f"from {found.key_source}")


def _key_fault(what: str) -> Finding | None:
    for text, section, command in _KEY_FAULTS:
        if text in what:
            return problem("key", what, WHY, command or what.rpartition("run: ")[2], section)
    return None


def _certificates(configuration: Configuration) -> Iterator[Finding]:
    try:
        secured(configuration.settings.server)
    except ConfigError as error:
        command = error.what.rpartition("run: ")[2] if "run: " in error.what else "acusight-agent config show"
        why = error.remedy or "The server is not spoken to without them."
        yield problem("certificates", error.what, why, command, "a-certificate-file-cannot-be-used")

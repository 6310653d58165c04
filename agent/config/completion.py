"""A configuration completed by a program: some keys of `[server]` set, everything else left as a person wrote it."""

from __future__ import annotations

import json
import os
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent.config.example import example_text
from agent.config.lines import key_lines
from agent.config.regular import read_regular
from agent.config.schema import write_schema
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST = 256 * 1024
AFTER = "url"


def complete(path: Path, values: Mapping[str, str | None]) -> bool:
    """Set keys of `[server]`, take away those that are None; return false where the file says so already.

    A file that is not there begins as the commented example. The new file replaces the old one whole, keeping its
    mode and owner. Raises ConfigError where that cannot be done; the file is then as it was.
    """
    path = path.resolve()  # a link that somebody manages stays one
    found = read_regular(path, "configuration", largest=LARGEST)
    text = found[0].decode("utf-8-sig") if found else example_text()
    completed = completed_text(text, values)
    if found and completed == text:
        return False
    _replace(path, completed.encode())
    if not found:
        write_schema(path.parent)
    return True


def completed_text(text: str, values: Mapping[str, str | None]) -> str:
    """Return the text of a configuration with those keys of `[server]`, its comments and its order kept."""
    wanted = _expected(text, values)
    if tomllib.loads(text) == wanted:
        return text
    changed, missing = _changed(text, values)
    # What a person wrote is worth a second look: the file must say the same as before, but for these keys.
    for completed in (_with_lines(changed, missing), _changed(_with_section(changed), missing, add=True)[0]):
        with suppress(ValueError):
            if tomllib.loads(completed) == wanted:
                return completed
    what = "the configuration is written in a way that cannot be completed by a program"
    raise ConfigError(what, remedy=_by_hand(values))


def _changed(text: str, values: Mapping[str, str | None], *, add: bool = False) -> tuple[str, dict[str, str]]:
    """Change the keys that are there, or all where `add`; return those that are still missing too."""
    # Imported when it is needed: only provisioning writes.
    import tomlkit  # noqa: PLC0415 (see above)

    document = tomlkit.parse(text)
    server: Any = document.get("server", {})
    missing: dict[str, str] = {}
    for key, value in values.items():
        if value is None:
            server.pop(key, None)
        elif add or key in server:
            server[key] = value
        else:
            missing[key] = value
    return tomlkit.dumps(document), missing


def _with_section(text: str) -> str:
    return text if "server" in tomllib.loads(text) else f"{text.rstrip()}\n\n[server]\n".lstrip()


def _with_lines(text: str, missing: Mapping[str, str]) -> str:
    """Put the missing keys below the URL's line, else below the header: what ends a section may be about the next."""
    places = key_lines(text)
    at = places.get(("server", AFTER)) or places.get(("server",)) or 0
    lines = text.splitlines(keepends=True)
    prefix = "server." if at and lines[at - 1].lstrip().startswith("server.") else ""
    new = [f"{prefix}{key} = {json.dumps(value)}\n" for key, value in missing.items()]
    return "".join([*lines[:at], *new, *lines[at:]])


def _expected(text: str, values: Mapping[str, str | None]) -> dict[str, Any]:
    tables = tomllib.loads(text)
    server = dict(tables.get("server", {}))
    for key, value in values.items():
        if value is None:
            server.pop(key, None)
        else:
            server[key] = value
    return {**tables, "server": server}


def _by_hand(values: Mapping[str, str | None]) -> str:
    lines = ", ".join(f'{key} = "{value}"' for key, value in values.items() if value is not None)
    return f"Write into its [server]: {lines}"


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123 (a descriptor)
                with suppress(FileNotFoundError):
                    before = path.stat()
                    os.fchmod(file.fileno(), before.st_mode & 0o7777)
                    with suppress(PermissionError):
                        os.fchown(file.fileno(), before.st_uid, before.st_gid)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(f"cannot write the configuration {path}: {error.strerror}") from error

"""The configuration in effect, as it may be shown: without the device key and without passwords in URLs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.redaction import printable, redacted
from agent.config.secret import Secret
from agent.config.values import Values

if TYPE_CHECKING:
    from agent.config.configuration import Configuration


def effective(configuration: Configuration) -> dict[str, Any]:
    """Return everything in effect as plain JSON values; instead of the key, where it comes from."""
    shown: dict[str, Any] = _shown(
        {
            "path": str(configuration.path) if configuration.path else None,
            "device_key": {
                "present": configuration.device_key is not None,
                "source": str(configuration.device_key_source),
            },
            "spool_dir": str(configuration.spool_dir),
            "state_file": str(configuration.state_file),
            "settings": configuration.settings,
        }
    )
    del shown["settings"]["server"]["device_key"]
    return shown


def effective_text(configuration: Configuration) -> str:
    """Return the same for people, in the manner of the file; what is not set is left out."""
    shown = effective(configuration)
    key = shown["device_key"]
    lines = [
        f"# read from: {shown['path'] or 'the environment and defaults; there is no file'}",
        f"# device key: {'from ' + key['source'] if key['present'] else 'none yet'}",
        f"# spool: {shown['spool_dir']}",
        f"# state file: {shown['state_file']}",
    ]
    for section, value in shown["settings"].items():
        tables = value if isinstance(value, list) else [value]
        header = f"[[{section}]]" if isinstance(value, list) else f"[{section}]"
        for table in tables:
            lines += ["", header, *_pairs(table)]
    return "\n".join(map(printable, lines))


def _pairs(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in table.items() if value is not None]


def _toml(value: Any) -> str:  # noqa: ANN401 (JSON)
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(_pairs(value))}}}"
    return json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> Any:  # noqa: ANN401 (a setting's value)
    """Return what JSON has, with what is secret masked."""
    if isinstance(value, Values):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _shown(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(part) for part in value]
    return redacted(str(value)) if isinstance(value, str | Path | Secret) else value

"""What goes to the child that reads the configuration, and what comes back: plain values of JSON, each kind named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from agent.config.configuration import Configuration
from agent.config.device_key import DeviceKeySource
from agent.config.environment import Environment
from agent.config.secret import Secret
from agent.config.values import Values

_KINDS: dict[str, Callable[[Any], Any]] = {
    "secret": Secret,
    "path": Path,
    "tuple": tuple,
    "table": dict,
    "values": lambda content: Values(*content),
    "configuration": lambda content: Configuration(**content),
    "key source": lambda content: DeviceKeySource(**content),
    "environment": lambda content: Environment(**content),
}


def packed(value: object) -> bytes:
    """Return a value as one line of text."""
    return json.dumps(_packed(value)).encode("ascii")


def unpacked(data: bytes) -> Any:  # noqa: ANN401 (whatever was packed)
    """Return what was packed; raises `ValueError` for anything else."""
    try:
        return json.loads(data, object_hook=_made)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"nothing that was packed: {error}") from error


def _packed(value: object) -> object:
    """Return what JSON has: for all that it has not, an object of one member, which names the kind."""
    kind, content = "", value
    match value:
        case list():
            return [_packed(one) for one in value]
        case Secret():
            kind, content = "secret", value.get_secret_value()
        case Path():
            kind, content = "path", str(value)
        case tuple():
            kind, content = "tuple", _packed(list(value))
        case Mapping():
            kind, content = "table", [[name, _packed(one)] for name, one in value.items()]
        case Values():
            kind, content = "values", [_packed(vars(value)), sorted(value.model_fields_set)]
        case Configuration():
            kind, content = "configuration", _record(value)
        case DeviceKeySource():
            kind, content = "key source", _record(value)
        case Environment():
            kind, content = "environment", _record(value)
    return {kind: content} if kind else content


def _record(value: Configuration | DeviceKeySource | Environment) -> object:
    return _packed({one.name: getattr(value, one.name) for one in fields(value)})


def _made(parcel: dict[str, Any]) -> Any:  # noqa: ANN401 (see above)
    ((kind, content),) = parcel.items()
    return _KINDS[kind](content)

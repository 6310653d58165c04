"""The commented example: every key with its default, as `config init` writes it."""

from __future__ import annotations

import os
from pathlib import Path

from agent.config.schema import SCHEMA_NAME, write_schema
from agent.errors import ConfigError

EXAMPLE = Path(__file__).with_name("example.toml")


def example_text() -> str:
    """Return the example as it is written somewhere, where its first line names the schema that is put beside it."""
    first, _, rest = EXAMPLE.read_text(encoding="utf-8").partition("\n")
    return f"{first.split()[0]} ./{SCHEMA_NAME}\n{rest}"


def write_example(path: Path, *, replace: bool) -> None:
    """Write the example to `path`, readable by its owner alone: a device key may be added to it; the schema beside it.

    Raises ConfigError where it cannot, or where there is something at `path` and `replace` is false.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123 (a descriptor)
            os.fchmod(file.fileno(), 0o600)  # one that is replaced keeps its mode otherwise
            file.write(example_text().encode())
    except FileExistsError:
        raise ConfigError(f"{path} exists and was left as it is", remedy="Replace it with --force") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    write_schema(path.parent)

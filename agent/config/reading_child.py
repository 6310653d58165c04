"""The child that reads and checks the configuration, for the process that started it.

    python -P -m agent.config.reading_child PARENT_PID

On standard input there is what `parcel` made of the path and of the parent's environment; on standard output comes what
it makes of the configuration, or of the two parts of a `ConfigError`.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

from agent import collector
from agent.ceiling import lower
from agent.config.parcel import packed, unpacked
from agent.errors import ConfigError
from agent.tether import die_with

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config.environment import Environment


def main(parent: int) -> None:
    """Answer the one question that is on standard input."""
    die_with(parent)
    lower(resource.RLIMIT_CORE, 0)
    collector.put_off()
    answer = answered(*unpacked(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    os.close(1)  # the parent goes on, while the interpreter puts its things away


def answered(path: Path | None, environment: Environment) -> bytes:
    """Read a configuration, or find out what is wrong with it."""
    from agent.config.load import load  # noqa: PLC0415 (pydantic takes its time: by then nothing outlives the parent)

    try:
        return packed(load(path, environment))
    except ConfigError as error:
        return packed({"what": error.what, "remedy": error.remedy})


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The examples that help texts show, by command."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    import click

ROOT = Path(__file__).resolve().parents[1]


def generator() -> ModuleType:
    """Import the script that writes the reference."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()
COMMANDS: dict[str, click.Command] = {one.command_path: one.command for one in GENERATE.contexts()}


def examples(command: click.Command) -> list[str]:
    """Return the command lines that a command's help shows."""
    lines = (line.strip() for line in (command.epilog or "").splitlines())
    shown = [line for line in lines if re.match(r"(?:[A-Z_]+=\S+ )*acusight-agent ", line)]
    return [part.strip() for line in shown for part in line.split("&&")]

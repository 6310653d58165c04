from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RUN = """
import gc, sys
usual = gc.get_threshold()
from agent import commands, daemon
seen = []
daemon.Daemon.run = lambda self: seen.append((gc.get_threshold() == usual, gc.get_freeze_count())) or 0
try:
    commands.main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
print(gc.get_threshold() == usual, seen)
"""
CONFIG = """
[server]
url = "http://127.0.0.1:9"
device_key = "adk_0123456789abcdef0123456789abcdef"
[[watch]]
path = "."
"""


def said(*arguments: str) -> str:
    """Return what a fresh process says of its collector after a command whose daemon does nothing."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_a_command_does_not_look_for_garbage_while_it_starts() -> None:
    """A short command ends before the collector would have been of use."""
    assert said("version") == "False []"


def test_a_daemon_has_its_collector_back(tmp_path: Path) -> None:
    """What runs for years collects as usual, but does not look through what its start made."""
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    verdict = said("-c", str(config), "run")
    assert verdict.startswith("True [(True, ")
    assert int(verdict.partition("(True, ")[2].strip(")]")) > 50_000

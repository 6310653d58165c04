"""The scripts in `boot`, each of which boots a machine and tries what it has to keep, as tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")

SCRIPTS = Path(__file__).parent / "boot"
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter", "setpriv")
SPARE_S = 30


def boots(*tools: str, patience_s: int) -> Callable[[F], F]:
    """Return what marks a test that boots a machine, for which it needs these tools as well."""
    missing = [tool for tool in (*TOOLS, *tools) if not shutil.which(tool)]
    marks = (
        pytest.mark.timeout(patience_s + SPARE_S),
        pytest.mark.skipif(
            os.environ.get("ACUSIGHT_TEST_BOOT") != "1", reason="takes minutes; set ACUSIGHT_TEST_BOOT=1"
        ),
        pytest.mark.skipif(os.geteuid() != 0, reason="only root can boot a machine"),
        pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    )

    def marked(test: F) -> F:
        for mark in marks:
            test = mark(test)
        return test

    return marked


def keeps_its_promises(script: str, *, patience_s: int) -> None:
    """Run a script to its end; all that it tries has to hold."""
    ended = subprocess.run(
        [sys.executable, SCRIPTS / script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
    )
    assert ended.returncode == 0, f"\n{ended.stdout}\n{ended.stderr}"

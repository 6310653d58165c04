from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "boot" / "fleet.py"
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter", "setpriv", "ansible-playbook")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]
PATIENCE_S = 600


@pytest.mark.timeout(PATIENCE_S + 30)
@pytest.mark.skipif(os.environ.get("ACUSIGHT_TEST_BOOT") != "1", reason="takes minutes; set ACUSIGHT_TEST_BOOT=1")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can boot a machine")
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_playbook_keeps_its_promises_on_a_booted_debian() -> None:
    """Played on a bare Debian it sets the agent up, changes nothing the second time, and takes changes and upgrades."""
    ended = subprocess.run(
        [sys.executable, SCRIPT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, f"\n{ended.stdout}\n{ended.stderr}"

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "boot" / "package.py"
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter", "setpriv", "dpkg-deb")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]
PATIENCE_S = 900


@pytest.mark.timeout(PATIENCE_S + 30)
@pytest.mark.skipif(os.environ.get("ACUSIGHT_TEST_BOOT") != "1", reason="takes minutes; set ACUSIGHT_TEST_BOOT=1")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can boot a machine")
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_package_keeps_its_promises_on_a_booted_debian() -> None:
    """The package installs, starts, upgrades and purges on a real Debian as documented, and so does install.sh."""
    ended = subprocess.run(
        [sys.executable, SCRIPT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, f"\n{ended.stdout}\n{ended.stderr}"

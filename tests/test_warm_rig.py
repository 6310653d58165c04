from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import warm_rig

if TYPE_CHECKING:
    from pathlib import Path


def test_a_warm_start_is_a_process_of_its_own(tmp_path: Path) -> None:
    """Arguments, environment, folder, streams and exit code are those of `python -m agent` on its own."""
    (tmp_path / "config.toml").write_text("[server]\nspeed = 1\n", encoding="utf-8")
    environment = {**os.environ, "ACUSIGHT_AGENT_SERVER__URL": "https://from.the.environment", "NO_COLOR": "1"}
    for verb, code in ((["version"], 0), (["config", "check"], 78), (["status", "--no-such"], 2)):
        cold = subprocess.run(
            [sys.executable, "-m", "agent", *verb],
            capture_output=True,
            check=False,
            text=True,
            env=environment,
            cwd=tmp_path,
        )
        warm = warm_rig.run(["agent", *verb], environment, tmp_path, 20)
        assert (warm.returncode, warm.stdout, warm.stderr) == (cold.returncode, cold.stdout, cold.stderr)
        assert warm.returncode == code


def test_a_warm_process_that_is_killed_says_so(tmp_path: Path) -> None:
    """It waits as long as it is told to, and tells the signal that ended it."""
    with warm_rig.WarmSandbox(tmp_path) as sandbox:
        assert sandbox.status is None
        child = sandbox._child
        assert child
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        assert sandbox.kill() == -signal.SIGKILL

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from house_rig import House, until

from agent.commands.screen import frame

if TYPE_CHECKING:
    from pathlib import Path


def test_a_frame_covers_the_one_before_and_fits() -> None:
    """It begins at the top and clears only what lines and the end leave over: nothing flickers."""
    drawn = frame("verdict\n" + "x" * 50 + "\nthird\nfourth", 10, 4)
    assert drawn == "\x1b[Hverdict\x1b[K\n" + "x" * 10 + "\x1b[K\nthird\x1b[K\n\x1b[J"
    assert "\x1b[2J" not in drawn


def test_watching_redraws_on_a_terminal_until_ctrl_c(tmp_path: Path) -> None:
    """The screen is given back as it was, and Ctrl-C is a good end."""
    with House(tmp_path, online=False) as house:
        ours, theirs = pty.openpty()
        watching = subprocess.Popen(
            [sys.executable, "-m", "agent", "-c", str(house.config), "status", "--watch", "--every", "0.2"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=house.environment,
            start_new_session=True,
        )
        os.close(theirs)
        seen = b""
        while seen.count(b"ERROR: no agent runs") < 2:
            seen += os.read(ours, 65_536)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
        rest = os.read(ours, 65_536)
        os.close(ours)
        assert seen.startswith(b"\x1b[?1049h")
        assert (seen + rest).rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
        assert b"Traceback" not in seen + rest


def test_watching_as_json_is_a_document_a_line(tmp_path: Path) -> None:
    """Programs read line by line, and end it by closing their end."""
    with House(tmp_path, online=False) as house:
        watching = subprocess.Popen(
            [sys.executable, "-m", "agent", "-c", str(house.config), "status", "--watch", "--json", "--every", "0.2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=house.environment,
        )
        assert watching.stdout is not None
        assert watching.stderr is not None
        documents = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.stdout.close()
        until(lambda: watching.poll() is not None)
        assert watching.returncode == 0
        assert watching.stderr.read() == b""
        watching.stderr.close()
        assert [one["verdict"]["health"] for one in documents] == ["error", "error"]

"""A demo as a person starts it: in a session of its own, watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 20.0
GONE_S = 5.0


def until(claim: Callable[[], object], seconds: float = PATIENCE_S, said: Callable[[], object] = str) -> None:
    """Wait until a claim holds; fail with what `said` tells where it does not in time."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {said()}"
        time.sleep(0.02)


class Demo:
    """One running demo; leaving it ends all that it started."""

    def __init__(self, root: Path, *options: str, **environment: str) -> None:
        self.root = root
        self._mark = f"DEMO_TEST={root}:{time.monotonic_ns()}"
        self.output = root / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "demo", "--dir", str(root), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, "HOME": str(root), "DEMO_TEST": self._mark.partition("=")[2]},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        for pid in self.living():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def said(self) -> str:
        """Return all that was printed, by the demo and the agent."""
        return self.output.read_text(encoding="utf-8")

    def until(self, text: str) -> None:
        """Wait until something was printed."""
        until(lambda: re.search(text, self.said()) or self.process.poll() is not None, said=self.said)
        assert re.search(text, self.said()), self.said()

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Return the exit code once the demo has ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s: {self.said()}") from None

    def living(self) -> dict[int, str]:
        """Return the command lines of all its processes that are there, by their ids."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def child(self, words: str) -> int:
        """Return the id of the one process whose command line has these words."""
        (pid,) = [pid for pid, line in self.living().items() if words in line]
        return pid

    def uploads(self) -> list[dict[str, Any]]:
        """Return what the sandbox lists."""
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.said())
        assert found, self.said()
        with contextlib.closing(HTTPConnection("127.0.0.1", int(found[1]), timeout=5)) as connection:
            connection.request("GET", "/_sandbox/uploads")
            uploads: list[dict[str, Any]] = json.load(connection.getresponse())["uploads"]
            return uploads

"""A booted machine: systemd as its first process, in namespaces of its own, with a network of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

BOOT_S = 30.0
STOP_S = 15.0
COMMAND_S = 60.0


class Broken(Exception):
    """A promise does not hold; says which, and what was seen instead."""


class Machine:
    """`systemd-nspawn --boot` on a root directory, inside a `with`; dies with this process, however that ends."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.boot_s = 0.0
        self._console = root.parent / "console.log"
        self._leader = 0

    def __enter__(self) -> Self:
        began = time.monotonic()
        with self._console.open("wb") as console:
            self._nspawn = subprocess.Popen(
                [*_WITH_US, *_NSPAWN, f"--directory={self.root}", f"--machine=acusight-{os.getpid()}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                # Device policies are BPF programs on cgroup v2; with v1 they would not be enforced inside.
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        try:
            until(self._is_up, BOOT_S, lambda: f"the machine did not boot: {self._said()}")
        except BaseException:
            self._kill()
            raise
        self.boot_s = time.monotonic() - began
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            self.run("systemctl", "--no-block", "poweroff", check=False)
            self._nspawn.wait(STOP_S)
        self._kill()

    def run(self, *command: str, check: bool = True, stdin: str = "") -> str:
        """Run a command inside, as root, and return its output; raises Broken where it fails and `check` is set."""
        result = subprocess.run(
            ["nsenter", f"--target={self._leader}", *_NAMESPACES, "--", *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        if check and result.returncode:
            raise Broken(f"{' '.join(command)[:200]} ended with {result.returncode}: {result.stderr.strip()[-800:]}")
        return result.stdout

    def path(self, inside: str) -> Path:
        """Return where a file of the machine is from here."""
        return self.root / inside.lstrip("/")

    def _is_up(self) -> bool:
        if self._nspawn.poll() is not None:
            raise Broken(f"the machine ended with {self._nspawn.returncode}: {self._said()}")
        if not self._leader:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text(encoding="ascii")
            self._leader = int(children.split()[0]) if children.split() else 0
            return False
        return self.run("systemctl", "is-system-running", check=False).strip() in {"running", "degraded"}

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._nspawn.kill()  # its first process is bound to it, and takes all others along
        self._nspawn.wait(STOP_S)

    def _said(self) -> str:
        return self._console.read_text(encoding="utf-8", errors="replace")[-1500:]


def until(holds: Callable[[], bool], seconds: float, missing: Callable[[], str]) -> float:
    """Wait until something holds and return how long that took; raises Broken with `missing()` when time is up."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise Broken(f"not within {seconds:g} s: {missing()}")
        time.sleep(0.05)
    return time.monotonic() - began


_WITH_US = ("setpriv", "--pdeathsig=KILL", "--")
_NSPAWN = (
    "systemd-nspawn",
    "--boot",
    "--quiet",
    "--settings=no",
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--link-journal=no",
    "--resolv-conf=off",
    "--timezone=off",
    "--system-call-filter=bpf",
)
_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")

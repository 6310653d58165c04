"""A booted machine: systemd as its first process, in namespaces of its own, with a network of its own."""

from __future__ import annotations

import contextlib
import os
import signal
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
        self._cgroups = [folder / f"acusight-boot-{os.getpid()}" for folder in own_cgroups()]
        self._leader = 0

    def __enter__(self) -> Self:
        began = time.monotonic()
        self._cgroups[0].mkdir()
        with self._console.open("wb") as console:
            self._nspawn = subprocess.Popen(
                [*_WITH_US, *_INTO, str(self._cgroups[0]), *_NSPAWN, f"--directory={self.root}"],
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

    def run(self, *command: str, check: bool = True, stdin: str = "", seconds: float = COMMAND_S) -> str:
        """Run a command inside, as root, and return its output; raises Broken where it fails and `check` is set."""
        result = subprocess.run(
            [*self.entered, "--", *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and result.returncode:
            raise Broken(f"{' '.join(command)[:200]} ended with {result.returncode}: {result.stderr.strip()[-800:]}")
        return result.stdout

    @property
    def entered(self) -> tuple[str, ...]:
        """The command that runs another one inside."""
        return ("nsenter", f"--target={self._leader}", *_NAMESPACES)

    def path(self, inside: str) -> Path:
        """Return where a file of the machine is from here."""
        return self.root / inside.lstrip("/")

    def _is_up(self) -> bool:
        if self._nspawn.poll() is not None:
            raise Broken(f"the machine ended with {self._nspawn.returncode}: {self._said()}")
        self._leader = self._child()
        state = self.run("systemctl", "is-system-running", check=False).strip() if self._leader else ""
        return state in {"running", "degraded"}

    def _child(self) -> int:
        """Return the machine's first process, as seen from here; while it starts also 0, or a helper that soon goes."""
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return int(children[0]) if children else 0

    def _kill(self) -> None:
        if self._nspawn.poll() is None:  # it has not gone by itself
            if leader := self._child():
                os.kill(leader, signal.SIGKILL)  # and with it everything in its PID namespace
            self._nspawn.kill()
        self._nspawn.wait(STOP_S)
        with contextlib.suppress(OSError):  # what is left of it is empty, and in nobody's way
            for cgroup in self._cgroups:
                for folder, _, _ in os.walk(cgroup, topdown=False):
                    Path(folder).rmdir()

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


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (reads as the sentence that it is)
    """Raise Broken with what was seen where the promise does not hold."""
    if not holds:
        raise Broken(otherwise)


def own_cgroups() -> list[Path]:
    """Return where this process's cgroup (v2) is, then where systemd mirrors it on a machine that also has v1."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    v2, v1 = ([Path(mount[1]) for mount in mounts if mount[2] == kind] for kind in ("cgroup2", "cgroup"))
    if own is None or not v2:
        raise Broken("this machine has no cgroup v2")
    return [place / own for place in (*v2, *v1)]


# Told so, systemd-nspawn shuts the machine down; killed, it would leave it running.
_WITH_US = ("setpriv", "--pdeathsig=TERM", "--")
# A cgroup of its own: two machines in one would take each other's services for their own.
_INTO = ("sh", "-ec", 'echo $$ > "$0/cgroup.procs"; exec "$@"')
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

"""What a contestant costs: processor, memory, bytes to the device, flushes. It runs as a process group of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVERY_S = 0.03
PATIENCE_S = 180.0
PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A contestant did not do its work: a failure, not a figure."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time, the most memory of all its processes at once, and bytes written to the device."""

    cpu_s: float
    peak_mb: float
    written: int


class Contestant:
    """A running command and what it costs until it has ended."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command, self._log = command, log
        self._written = _written_by_us()
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
            )
        self._peak = 0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def said(self) -> str:
        """Return what it said so far."""
        return self._log.read_text(errors="replace")

    def alive(self) -> bool:
        """Tell whether it runs still, without collecting it."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def await_said(self, text: str) -> None:
        """Wait until it said something."""
        deadline = time.monotonic() + 20
        while text not in self.said():
            if not self.alive() or time.monotonic() > deadline:
                self.kill()
                raise Failed(f"{self._command[0]} did not come up:\n{self.said()[-2000:]}")
            time.sleep(0.02)

    def end(self, name: str = "") -> None:
        """Ask it to end, or the process of that name below it whose end is its own."""
        below = [pid for pid in family(self.process.pid) if name and _comm(pid) == name]
        for pid in below or [self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """End all of it at once, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._ended.set()
        self._sampler.join()

    def result(self, *, sound: bool = True) -> Usage:
        """Wait for its end and return what it cost."""
        deadline = time.monotonic() + PATIENCE_S
        while self.alive():
            if time.monotonic() > deadline:
                self.kill()
                raise Failed(f"{self._command[0]} did not end within {PATIENCE_S:g} s:\n{self.said()[-2000:]}")
            time.sleep(0.005)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()
        self._sampler.join()
        if sound and self.process.returncode != 0:
            raise Failed(f"{self._command[0]} ended with {self.process.returncode}:\n{self.said()[-2000:]}")
        cpu_s = usage.ru_utime + usage.ru_stime
        return Usage(cpu_s, self._peak * PAGE / 1e6, _written_by_us() - self._written)

    def _sample(self) -> None:
        while not self._ended.wait(EVERY_S):
            pages = 0
            for pid in family(self.process.pid):
                with suppress(OSError, IndexError):
                    pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            self._peak = max(self._peak, pages)


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        with suppress(OSError):
            for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
                queue += map(int, children.read_text().split())
    return found


def _comm(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _written_by_us() -> int:
    """Return what this process and all that it has collected caused to be written to devices."""
    text = Path("/proc/self/io").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("write_bytes"))


FLUSHES = "fsync,fdatasync,sync,syncfs,msync,sync_file_range"


def traced(command: Sequence[str], out: Path, calls: str = FLUSHES) -> list[str]:
    """Return the command that counts system calls of another one."""
    only = [f"--trace={calls}", "--seccomp-bpf"] if calls else []
    return ["strace", "-f", "-qq", "-c", *only, "-o", str(out), *command]


def calls_in(out: Path) -> dict[str, int]:
    """Return how often each system call was made; without any, strace writes nothing."""
    pattern = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?([a-z_0-9]+)$", re.MULTILINE)
    found = {name: int(count) for count, name in pattern.findall(out.read_text() if out.exists() else "")}
    found.pop("total", None)
    return found

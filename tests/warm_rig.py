"""Python programs that start warm: forked from a process that has imported the agent already, one for each worker.

Each is a process with arguments, environment, folder and standard streams of its own, as `python -m MODULE` starts it,
save for what the kernel shows of its beginning (/proc/PID/cmdline and environ) and a third of a second of a processor
for its imports. For verbs and for the sandbox, which the suite starts hundreds of times; daemons start cold.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

from agent.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_BYTES = 150_000
"""Of a request: names and environment."""
WARM = (
    "agent.app.house",
    "agent.app.surgery",
    "agent.commands.run",
    "agent.commands.sandbox",
    "agent.commands.screen",
    "agent.commands.summary",
    "agent.config.effective",
    "agent.page.metrics",
    "agent.sandbox.serving",
)
_MOUNTS = Path("/proc/thread-self/ns/mnt")
_HOME = _MOUNTS.readlink()


class WarmProcess:
    """As much of a `subprocess.Popen` as is needed here."""

    def __init__(self, status: int, stdout: IO[bytes] | None) -> None:
        self.stdout = stdout
        self.returncode: int | None = None
        self._status = status
        self._said = b""
        while b"\n" not in self._said:
            assert self._hear(None), "the process that forks has died"
        self.pid = int(self._said.split()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.stdout:
            self.stdout.close()
        self.wait()

    def _hear(self, seconds: float | None) -> bool:
        """Wait for more of what is said about the process; tell whether there was anything."""
        if not select.select([self._status], [], [], seconds)[0]:
            return False
        piece = os.read(self._status, 100)
        self._said += piece
        return bool(piece)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended; raises TimeoutExpired where that is not in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            heard = self._hear(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if self._said.count(b"\n") == 2:
                self.returncode = int(self._said.split()[1])
                os.close(self._status)
            elif not heard:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class WarmSandbox(SandboxProcess):
    """A sandbox that listens at once."""

    def _spawn(self) -> subprocess.Popen[bytes]:
        if not at_home():
            return super()._spawn()
        with open(os.devnull, "r+b") as null:  # noqa: PTH123 (no path)
            stderr = null if self._stderr in {None, subprocess.DEVNULL} else cast("IO[bytes]", self._stderr)
            reading, writing = os.pipe()
            line = ["agent.sandbox", *self._arguments()]
            try:
                child = start(line, dict(os.environ), os.getcwd(), writing, stderr.fileno(), os.fdopen(reading, "rb"))  # noqa: PTH109 (a child's)
            finally:
                os.close(writing)
        return cast("subprocess.Popen[bytes]", child)


def at_home() -> bool:
    """Tell whether this thread sees the file systems that warm processes see: those that a test mounts they do not."""
    return _MOUNTS.readlink() == _HOME


def start(
    line: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    stdout: int,
    stderr: int,
    reading: IO[bytes] | None = None,
) -> WarmProcess:
    """Start a module with arguments; its output is read from `reading`, if that is a pipe."""
    request = json.dumps([line, environment, folder]).encode()
    assert len(request) < MOST_BYTES
    listening, telling = os.pipe()
    try:
        socket.send_fds(_forking(), [request], [stdout, stderr, telling])
    finally:
        os.close(telling)
    return WarmProcess(listening, reading)


def run(
    line: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a module with arguments to its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = start(line, environment, str(folder), out.fileno(), err.fileno())
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(["python", "-m", *line], code, *said)


@cache
def _forking() -> socket.socket:
    """Start the process that forks, and return what it listens to; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line = [sys.executable, "-P", __file__, str(theirs.fileno())]
    with theirs:
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    @atexit.register
    def end() -> None:
        ours.close()
        child.wait()

    return ours


def _serve(requests: socket.socket) -> str:
    """Fork on request; return in each fork, with the name of the module that it is to run."""
    for name in WARM:
        importlib.import_module(name)
    gc.freeze()  # what is there stays, so that no fork has to look through it
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, MOST_BYTES, 3)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            requests.close()
            return _fork(*json.loads(request), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _fork(line: list[str], environment: dict[str, str], folder: str, stdout: int, stderr: int, telling: int) -> str:
    """Watch over a child and tell of it; return in that child."""
    child = os.fork()
    if child:
        os.close(stdout)
        os.close(stderr)
        os.write(telling, b"%d\n" % child)
        os.write(telling, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    os.close(telling)
    for theirs, own in ((stdout, 1), (stderr, 2)):
        os.dup2(theirs, own)
        os.close(theirs)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[1:] = line[1:]
    return line[0]


if __name__ == "__main__":
    runpy.run_module(_serve(socket.socket(fileno=int(sys.argv[1]))), run_name="__main__", alter_sys=True)

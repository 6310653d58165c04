"""The sandbox as a child process, for whoever needs an opponent: the tour, and the tests of the whole."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import time
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from agent.errors import Halt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_S = 20.0
STOP_S = 5.0
ANSWER_S = 10.0
_READY = re.compile(r"Sandbox ready at (?P<url>https?://\S+:(?P<port>\d+)) ")


class SandboxProcess:
    """A sandbox on a port of its own, running inside a `with`; errors, also of its requests, are Halts.

    `faults` is a script file read at each start; `set_faults` replaces the script of the running process. What the
    child says on standard error goes where `stderr` says (default: this process's own). `prefix` is a program that
    becomes the child, given the child's command line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        device_key: str | None = None,
        device_key_file: Path | None = None,
        faults: Path | None = None,
        duplicates: str = "reject",
        stderr: int | IO[bytes] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.port = port
        self.url = ""
        self._options = ["--dir", str(folder), "--duplicates", duplicates]
        self._options += ["--device-key", device_key] if device_key else []
        self._options += ["--device-key-file", str(device_key_file)] if device_key_file else []
        self._options += ["--faults", str(faults)] if faults else []
        self._stderr = stderr
        self._prefix = prefix
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The child's process id while it is there."""
        return self._child.pid if self._child else None

    @property
    def status(self) -> int | None:
        """The status of a child that has ended by itself; None while it runs, and where there is none."""
        return self._child.poll() if self._child else None

    def start(self) -> None:
        """Start the child and wait until it listens; the port it got the first time stays the same."""
        self._child = self._spawn()
        ready = _READY.match(_first_line(self._child, START_S))
        if ready is None:
            status = self.kill()
            raise Halt(f"the sandbox on port {self.port} did not start (status {status})")
        self.url, self.port = ready["url"], int(ready["port"])

    def stop(self) -> int | None:
        """End the child politely, else by force; return its status, None where none was running."""
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                return self.kill()
        return self._reap()

    def kill(self) -> int | None:
        """End the child as a power cut would; return its status, None where none was running."""
        if self._child is not None:
            self._child.kill()
        return self._reap()

    def restart(self) -> None:
        """Stop and start again: same port, same folder."""
        self.stop()
        self.start()

    def uploads(self) -> list[dict[str, Any]]:
        """Return all that is kept, oldest first."""
        found: list[dict[str, Any]] = []
        while page := self._ask(f"/_sandbox/uploads?since={found[-1]['id'] if found else 0}")["uploads"]:
            found += page
        return found

    def count(self) -> int:
        """Return how many uploads are kept."""
        return int(self._ask("/_sandbox/uploads?limit=0")["count"])

    def image(self, upload_id: int) -> bytes:
        """Return the bytes of one upload."""
        return self._fetch(f"/_sandbox/images/{upload_id}")

    def requests(self) -> dict[str, dict[str, int]]:
        """Return how many requests each route answered, by status, `dropped` or `gone`."""
        return self._ask("/_sandbox/requests")

    def checkins(self) -> list[dict[str, Any]]:
        """Return the latest check-ins, oldest first."""
        found: list[dict[str, Any]] = self._ask("/_sandbox/checkins")["checkins"]
        return found

    def ask(self, action: Mapping[str, object]) -> None:
        """Have check-ins ask the device for this action."""
        self._fetch("/_sandbox/actions", "POST", json.dumps(action).encode())

    def offer(self, name: str, content: bytes) -> str:
        """Leave a model for devices; return the address that an action gives for it."""
        models = self.folder / "models"
        models.mkdir(exist_ok=True)
        (models / name).write_bytes(content)
        return f"{self.url}/device/models/{name}"

    def set_faults(self, script: Mapping[str, object]) -> None:
        """Replace the fault script; `{}` ends all faults."""
        self._fetch("/_sandbox/faults", "PUT", json.dumps(script).encode())

    def clear(self) -> None:
        """Delete all uploads."""
        self._fetch("/_sandbox/uploads", "DELETE")

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._prefix, sys.executable, "-m", "agent.sandbox", *self._arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )

    def _arguments(self) -> list[str]:
        return ["--port", str(self.port), *self._options]

    def _reap(self) -> int | None:
        if self._child is None:
            return None
        child, self._child = self._child, None
        with child:
            return child.wait()

    def _ask(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._fetch(path))
        return answer

    def _fetch(self, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
        request = Request(self.url + path, body, method=method)  # noqa: S310 (the URL is the child's own)
        try:
            # No proxy, whatever the environment says: the child is on this machine.
            with build_opener(ProxyHandler({})).open(request, timeout=ANSWER_S) as answer:
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            with error:
                raise Halt(f"the sandbox refused {method} {path}: {error.read().decode()}") from error
        except (OSError, HTTPException) as error:
            raise Halt(f"the sandbox at {self.url} does not answer: {error}") from error


def _first_line(child: subprocess.Popen[bytes], patience_s: float) -> str:
    """Return the first line that the child prints, or what there is of it when it ends or the time is up."""
    assert child.stdout is not None  # noqa: S101 (it was started with a pipe)
    deadline = time.monotonic() + patience_s
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(child.stdout.fileno(), 4096)
            if not piece:
                break
            line += piece
    return line.decode(errors="replace")

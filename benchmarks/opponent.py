"""The receiving end: the sink as a process of its own, behind a made-up authority where it speaks TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import trustme

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Authority:
    """The files of an authority and of the certificate that it gave the sink."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def made(cls, folder: Path) -> Authority:
        """Make up an authority."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        made = cls(folder / "ca.pem", folder / "sink.pem", folder / "sink.key")
        authority.cert_pem.write_to_path(str(made.ca))
        made.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(made.key))
        return made


class Sink:
    """A running sink; leaving it ends it."""

    def __init__(self, delay_s: float = 0.0, authority: Authority | None = None) -> None:
        command = [sys.executable, str(HERE / "sink.py"), "0", "--delay", str(delay_s)]
        if authority is not None:
            command += ["--tls", str(authority.certificate), str(authority.key)]
        self.ca = None if authority is None else authority.ca
        self._context = None if authority is None else ssl.create_default_context(cafile=str(authority.ca))
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def figures(self) -> dict[str, Any]:
        """Return what came in since the last call."""
        found: dict[str, Any] = json.loads(self._asked("figures"))
        return found

    def count(self) -> int:
        """Return how many came in since the figures were asked for."""
        return int(self._asked("count"))

    def await_count(self, count: int, timeout_s: float, alive: Callable[[], bool] = lambda: True) -> int:
        """Wait until so many came in, or nobody lives who would send them, or in vain; return how many it were."""
        deadline = time.monotonic() + timeout_s
        while (came := self.count()) < count and time.monotonic() < deadline and alive():
            time.sleep(0.02)
        return came

    def await_quiet(self, quiet_s: float, timeout_s: float) -> None:
        """Wait until nothing came for a while."""
        deadline, came, since = time.monotonic() + timeout_s, -1, 0.0
        while time.monotonic() < deadline:
            now = self.count()
            if now != came:
                came, since = now, time.monotonic()
            elif time.monotonic() - since >= quiet_s:
                return
            time.sleep(0.1)

    def _asked(self, what: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/{what}", timeout=10, context=self._context) as answer:  # noqa: S310 (our own child)
            said: bytes = answer.read()
            return said

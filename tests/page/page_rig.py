"""What the page's tests share: the page as a process of its own, beside a house."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from house_rig import House

PATIENCE_S = 20.0


class Page:
    """A running page; `ask` goes past every proxy."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, path: str = "/", method: str = "GET", **options: object) -> requests.Response:
        """Send a request and return its answer, redirects not followed."""
        call = {"timeout": PATIENCE_S, "allow_redirects": False, **options}
        return self._session.request(method, self.url.rstrip("/") + path, **call)  # type: ignore[arg-type]

    def order(self, name: str, **form: object) -> requests.Response:
        """Press a button, as a browser does."""
        return self.ask(f"/{name}", "POST", data=form, headers={"origin": self.url.rstrip("/")})

    def close(self) -> None:
        """Close the connection that was kept."""
        self._session.close()


@contextmanager
def page(house: House, listen: str = "127.0.0.1:0") -> Iterator[Page]:
    """Run the page beside a house until the block ends; it ends well on SIGTERM."""
    environment = house.environment | {"ACUSIGHT_AGENT_PAGE__LISTEN": listen}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "-c", str(house.config), "page"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("The page is at "), line + process.stderr.read()
        running = Page(process, line.removeprefix("The page is at ").strip())
        yield running
        running.close()
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()

"""The two programs of a demonstration, bound to it: the sandbox and the agent."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Self

from agent.demo.leash import leash
from agent.demo.premises import disk
from agent.errors import AgentError, Halt
from agent.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.demo.premises import Premises

STOP_S = 3.2  # the agent's grace is 2 s and it ends within one more; the sandbox needs the rest of the 5 s


class AgentProcess:
    """An agent at work on the premises, inside a `with`; `stderr` is where its log goes, by default to the terminal."""

    def __init__(
        self, premises: Premises, environment: Mapping[str, str], *, stderr: int | IO[bytes] | None = None
    ) -> None:
        self._command = [*leash(), sys.executable, "-m", "agent", "-c", str(premises.config_file), "run"]
        self._environment = environment
        self._stderr = stderr
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._child = self._started()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def status(self) -> int | None:
        """The exit status of an agent that has ended by itself; None while it runs."""
        return self._child.poll() if self._child else None

    def stop(self) -> None:
        """End the agent politely, else by force."""
        if self._child is None:
            return
        with self._child as child:
            self._child = None
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()

    def finish(self, patience_s: float) -> None:
        """Stop the agent, and have it run once more to send what it took and has not sent yet; Halt if that hangs."""
        self.stop()
        with self._started("--once") as child:
            try:
                child.wait(patience_s)
            except subprocess.TimeoutExpired:
                child.kill()
                raise Halt(f"the agent did not send the rest within {patience_s:g} s") from None

    def _started(self, *options: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, *options], stdin=subprocess.DEVNULL, stderr=self._stderr, env=self._environment
        )


@contextmanager
def platform(premises: Premises, port: int) -> Iterator[SandboxProcess]:
    """Run a sandbox on the premises; one that cannot start is a Halt in the sandbox's own words."""
    with disk(premises.sandbox_log):
        log = premises.sandbox_log.open("w+b")
    with log:
        sandbox = SandboxProcess(
            premises.platform, port=port, device_key_file=premises.key_file, stderr=log, prefix=leash()
        )
        try:
            sandbox.start()
        except Halt as error:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            words = log.read().decode(errors="replace").strip().splitlines()
            raise (Halt(words[-1].removeprefix("Error: ")) if words else error) from None
        try:
            yield sandbox
        finally:
            sandbox.stop()


def check_alive(premises: Premises, sandbox: SandboxProcess, agent: AgentProcess) -> None:
    """Raise an AgentError that names a program which has ended by itself."""
    if agent.status is not None:
        raise AgentError(f"the agent ended by itself, with status {agent.status}")
    if sandbox.status is not None:
        raise AgentError(
            f"the sandbox ended by itself, with status {sandbox.status}",
            remedy=f"What it said is in {premises.sandbox_log}",
        )

"""The two programs of a demonstration, bound to it: the sandbox and the agent."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Self

from agent.demo.leash import leash
from agent.demo.premises import disk
from agent.errors import AgentError, Halt
from agent.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.demo.premises import Premises

STOP_S = 3.2  # the agent's grace is 2 s and it ends within one more; the sandbox needs the rest of the 5 s


class AgentProcess:
    """An agent at work on the premises, inside a `with`; its log goes to the terminal, or `quietly` into a file."""

    def __init__(self, premises: Premises, environment: Mapping[str, str], *, quietly: bool = False) -> None:
        self._log = premises.agent_log
        self._quietly = quietly
        self._command = [*leash(), sys.executable, "-m", "agent", "-c", str(premises.config_file), "run"]
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def status(self) -> int | None:
        """The exit status of an agent that has ended by itself; None while it runs."""
        return self._child.poll() if self._child else None

    @property
    def words(self) -> str:
        """Where to read what the agent said."""
        return f"What it said is in {self._log}" if self._quietly else "Its last lines above say why"

    def start(self, *options: str) -> None:
        """Start an agent; `options` are those of its verb `run`."""
        with disk(self._log), self._log.open("ab") if self._quietly else nullcontext() as stderr:
            self._child = subprocess.Popen(
                [*self._command, *options], stdin=subprocess.DEVNULL, stderr=stderr, env=self._environment
            )

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
        raise AgentError(f"the agent ended by itself, with status {agent.status}", remedy=agent.words)
    if sandbox.status is not None:
        raise AgentError(
            f"the sandbox ended by itself, with status {sandbox.status}",
            remedy=f"What it said is in {premises.sandbox_log}",
        )

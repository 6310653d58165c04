"""How long a person or a service manager waits: `status`, with and without a running agent, and the start to READY=1.

    python benchmarks/moments.py [--rounds 9]

Each figure is the shortest and the median of the rounds, of the time that passed and of the processor's, that of the
child included which checks the configuration. The commands run as they are when installed: with their modules compiled.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AGENT = [sys.executable, "-m", "agent"]
TEXT = """
[server]
url = "http://127.0.0.1:9"
device_key_file = "key"
[spool]
dir = "spool"
[[watch]]
path = "captures"
"""
Took = tuple[float, float]


class Place:
    """A configuration in a folder of its own, and a service manager's end of the notify socket."""

    def __init__(self, folder: Path) -> None:
        (folder / "captures").mkdir()
        key = folder / "key"
        key.write_text("adk_0123456789abcdef", encoding="ascii")
        key.chmod(0o600)
        (folder / "config.toml").write_text(TEXT, encoding="utf-8")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ACUSIGHT_", "XDG_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        compiled = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "NOTIFY_SOCKET": str(folder / "notify")}
        self._environment, self._folder = kept | compiled, folder

    def start(self) -> tuple[subprocess.Popen[bytes], Took]:
        """Start an agent; return it when it is ready, and what that took."""
        before = time.perf_counter()
        agent = self._popen("run")
        while b"READY=1" not in self._socket.recv(4096).splitlines():
            pass
        took = time.perf_counter() - before
        fields = Path(f"/proc/{agent.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return agent, (took, sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK"))

    def status(self) -> Took:
        """Ask once how the agent is."""
        before, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        self._popen("status").wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter() - before, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime

    def _popen(self, verb: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*AGENT, verb],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def end(agent: subprocess.Popen[bytes]) -> None:
    """Stop an agent."""
    agent.terminate()
    agent.wait()


def told(name: str, took: list[Took]) -> str:
    """Return a line of figures."""
    walls, processors = zip(*took, strict=True)
    figures = (f"{min(one):.2f} / {statistics.median(one):.2f}" for one in (walls, processors))
    return f"| {name} | {' | '.join(figures)} |"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = range(parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.status()  # compiles what it needs, and the next line the rest
        end(place.start()[0])
        starts = []
        for _ in rounds:
            agent, took = place.start()
            starts.append(took)
            end(agent)
        down = [place.status() for _ in rounds]
        agent, _ = place.start()
        up = [place.status() for _ in rounds]
        end(agent)
    print("| seconds, shortest / median | passed | processor |\n|---|---|---|")
    print(told("`run` until READY=1", starts), told("`status`, running", up), told("`status`, down", down), sep="\n")


if __name__ == "__main__":
    main()

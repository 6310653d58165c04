"""A real agent, a real sandbox, and everything that goes wrong around them, in an order that a seed decides."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

import flaky_proxy
import traced
from house_rig import House, until
from torture_feed import Feed, camera

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from house_rig import Agent, Table

DISK_BYTES = 96 * 2**20
READY_S = 60.0
DRAIN_S = 180.0
ANSWERS: dict[str, Table] = {
    "request dropped": {"drop": "before"},
    "answer dropped": {"drop": "after"},
    "500": {"status": 500},
    "503 with Retry-After": {"status": 503, "retry_after": 1},
    "answer late": {"delay_s": 3.0},
    "login page": {"portal": True},
    "redirect": {"redirect": "http://127.0.0.1:9/"},
}
BROKEN_CALLS = "fsync,fdatasync,pwrite64"


class TortureHouse:
    """The house, and what is done to it; leaving it ends and unmounts everything."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.faults: Counter[str] = Counter()
        self.ready_s: list[float] = []
        self.died: list[str] = []
        self._rng = rng
        self.disk = root / "disk"
        self.disk.mkdir()
        self._is_small = os.geteuid() == 0
        if self._is_small:
            options = f"size={DISK_BYTES}"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.disk)], check=True)
        self.house = House(root / "house")
        self._proxy = flaky_proxy.FlakyProxy(lambda: self.house.sandbox.port)
        kept, spent = self.disk / "kept", self.disk / "spent"
        for folder in (kept, spent):
            folder.mkdir()
        self.feed = Feed(kept, spent, rng)
        self.house.spool = self.disk / "spool"
        self._configure(live=True)

    def __enter__(self) -> Self:
        self._proxy.__enter__()
        self._agent = self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.house.__exit__()
        self._proxy.__exit__()
        if self._is_small:
            subprocess.run(["umount", str(self.disk)], check=True)

    def run(self, seconds: float) -> None:
        """Let pictures come and things go wrong for so long."""
        actions = self._actions()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _ in range(self._rng.randrange(2, 9)):
                self.feed.step()
                time.sleep(0.02)
            action = self._rng.choice(actions)
            action()
            self._look_after()
            if self._rng.random() < 0.3:
                self.house.call("queue", "flush")  # else the link, rightly, rests most of the time

    def heal(self) -> None:
        """Put everything right, and wait until all is delivered; the live camera ends before."""
        self.feed.finish()
        self._proxy.disarm()
        self.house.fault()
        self._agent.kill()
        self._configure(live=False)
        self._agent = self._start()
        deadline = time.monotonic() + DRAIN_S
        while not self._is_drained() and time.monotonic() < deadline:
            self.house.call("queue", "retry", "--all")
            self.house.call("queue", "flush")
            time.sleep(1.0)
            self._look_after()
        self._agent.stop()

    def _configure(self, *, live: bool) -> None:
        watches = [
            {"name": "kept", "path": str(self.disk / "kept")},
            {"name": "spent", "path": str(self.disk / "spent"), "after_delivery": "delete"},
        ]
        cameras = {"camera": [{"name": "live", "source": camera(self.house.root), "interval_s": 0}]} if live else {}
        self.house.configure(
            server={"url": self._proxy.url}, watch=watches, upload={"timeout_s": 2, "workers": 3}, **cameras
        )

    def _start(self) -> Agent:
        """Start the agent, again where a disk or another one is in its way, and note how long it took."""
        began = time.monotonic()
        while True:
            agent = self.house.start("run")
            if _comes_up(agent):
                self.ready_s.append(time.monotonic() - began)
                return agent
            self.died.append(agent.tail())
            assert time.monotonic() < began + READY_S, agent.tail()
            time.sleep(0.3)

    def _look_after(self) -> None:
        """Start again what has ended by itself, as systemd does."""
        if self._agent.process.poll() is not None:
            self.died.append(self._agent.tail())
            self._agent = self._start()

    def _is_drained(self) -> bool:
        receipts = {row["sha256"] for row in self.house.rows("SELECT sha256 FROM receipt")}
        waiting = self.house.rows("SELECT count(*) AS n FROM item WHERE state = 'waiting'")[0]["n"]
        return waiting == 0 and set(self.feed.last.values()) <= receipts

    def _actions(self) -> list[Callable[[], None]]:
        actions = [
            *(self._kill_agent, self._kill_agent, self._stop_agent, self._freeze_agent, self._second_agent),
            *(self._kill_sandbox, self._freeze_sandbox, self._bad_answers, self._bad_answers),
            *(self._bad_link, self._bad_link, self._nothing, self._nothing),
        ]
        if self._is_small:
            actions += [self._fill_disk]
        if not traced.missing():
            actions += [self._break_disk]
        return actions

    def _nothing(self) -> None:
        time.sleep(0.5)

    def _kill_agent(self) -> None:
        self._agent.kill()
        self.faults["agent killed"] += 1
        self._agent = self._start()

    def _stop_agent(self) -> None:
        self._agent.stop()
        self.faults["agent stopped"] += 1
        self._agent = self._start()

    def _freeze_agent(self) -> None:
        self._agent.signal(signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.2, 2.5))
        self._agent.signal(signal.SIGCONT)
        self.faults["agent frozen"] += 1

    def _second_agent(self) -> None:
        second = self.house.start("run")
        assert second.wait() == 1, second.tail()
        self.faults["second agent on the spool"] += 1

    def _kill_sandbox(self) -> None:
        self.house.sandbox.kill()
        self.faults["sandbox killed"] += 1
        time.sleep(self._rng.uniform(0.0, 1.5))
        self.house.sandbox.start()

    def _freeze_sandbox(self) -> None:
        pid = self.house.sandbox.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.5, 3.0))
        os.kill(pid, signal.SIGCONT)
        self.faults["sandbox frozen"] += 1

    def _bad_answers(self) -> None:
        """Have the next uploads answered badly; whether any came is counted by who answers."""
        name, rule = self._rng.choice(list(ANSWERS.items()))
        before = self.house.sandbox.requests()
        self.house.fault(**rule, count=self._rng.randrange(1, 4))
        time.sleep(self._rng.uniform(0.3, 1.5))
        if self.house.sandbox.requests() != before:
            self.faults[f"sandbox: {name}"] += 1

    def _bad_link(self) -> None:
        self._proxy.arm(self._rng.choice(flaky_proxy.ALL))
        time.sleep(self._rng.uniform(0.1, 1.0))

    def link_faults(self) -> Counter[str]:
        """Return what the proxy did."""
        return Counter({f"link: {name}": number for name, number in self._proxy.fired.items()})

    def _fill_disk(self) -> None:
        """Fill the disk to its last byte; half of the time the agent is killed on it, and comes up on it."""
        ballast = self.disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(2**20)) == 2**20:
                pass
        try:
            for _ in range(self._rng.randrange(2, 20)):
                self.feed.step()
                time.sleep(0.05)
            if self._rng.random() < 0.5:
                self._kill_agent()
        finally:
            ballast.unlink()
        self.faults["disk full"] += 1

    def _break_disk(self) -> None:
        """Have all of the agent's writes and flushes fail for a moment."""
        with self._broken_calls() as trace:
            for _ in range(self._rng.randrange(5, 20)):
                self.feed.step()
                time.sleep(0.05)
        if "(INJECTED)" in trace.read_text(encoding="utf-8", errors="replace"):
            self.faults["disk errors"] += 1

    @contextmanager
    def _broken_calls(self) -> Iterator[Path]:
        trace = self.house.root / "trace"
        inject = f"inject={BROKEN_CALLS}:error=EIO"
        line = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={BROKEN_CALLS}", "-e", inject]
        tracer = subprocess.Popen([*line, "-p", str(self._agent.pid)])
        try:
            yield trace
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()


def _comes_up(agent: Agent) -> bool:
    """Wait until an agent works; false where it ended before."""
    until(lambda: agent.events("started") or agent.process.poll() is not None, READY_S, agent.tail)
    return agent.process.poll() is None

"""What the house tests share: a real agent, a real sandbox, and a checker that counts what became of every picture."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np
import warm_rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

KEY = "adk_c0ffee0badc0de42"
NOBODY = "http://127.0.0.1:9"
PATIENCE_S = 20.0
Table = dict[str, Any]


def until(claim: Callable[[], object], seconds: float = PATIENCE_S, said: Callable[[], object] = str) -> None:
    """Wait until a claim holds; fail with what `said` tells where it does not in time."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {said()}"
        time.sleep(0.02)


def sha256(data: bytes) -> str:
    """Return the digest of some bytes."""
    return hashlib.sha256(data).hexdigest()


def photograph(seed: int, *, suffix: str = ".jpg", width: int = 320, height: int = 240) -> bytes:
    """Return a picture like a photograph's: smooth light, edges, and a sensor's noise; each seed has its own."""
    rng = np.random.default_rng(seed)
    light = cv2.resize(rng.integers(40, 216, (4, 5, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.circle(light, (seed * 37 % width, height // 2), height // 5, (30, 60, 200), -1)
    noisy = np.clip(light.astype(np.int16) + rng.integers(-12, 13, light.shape), 0, 255).astype(np.uint8)
    done, data = cv2.imencode(suffix, noisy)
    assert done
    return data.tobytes()


def video(path: Path, frames: int, *, seed: int = 1) -> list[str]:
    """Write an MJPG AVI of noisy frames, and return the digests of the JPEGs that the agent makes of them."""
    rng = np.random.default_rng(seed)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 120))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8) // 4 + np.uint8(index % 150))
    writer.release()
    reader, digests = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (read := reader.read())[0]:
        digests.append(sha256(cv2.imencode(".jpg", read[1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()))
    reader.release()
    assert len(set(digests)) == frames
    return digests


def arrive(path: Path, data: bytes) -> str:
    """Put a file in place as a careful program does, whole at once; return its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.rename(path)
    return sha256(data)


def toml(tables: Mapping[str, Any]) -> str:
    """Write tables, and lists of tables, as TOML."""
    lines = []
    for name, value in tables.items():
        for table in value if isinstance(value, list) else [value]:
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{key} = {_inline(entry)}" for key, entry in table.items()]
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:  # noqa: ANN401 (TOML's own values)
    """Write a value in one line; plain ones are the same in JSON."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_inline(entry)}' for key, entry in value.items())}}}"
    return f"[{', '.join(map(_inline, value))}]" if isinstance(value, list) else json.dumps(value)


class Manager:
    """A service manager's end of the notify socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def listen(self) -> list[str]:
        """Return all that was said so far."""
        while True:
            try:
                self.heard += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard


class Agent:
    """One agent in a process group of its own, with what it said."""

    def __init__(self, arguments: Iterable[str], environment: Mapping[str, str], folder: Path, number: int) -> None:
        self.out, self.err = folder / f"{number}.out", folder / f"{number}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def events(self, name: str = "") -> list[Table]:
        """Return what it logged so far, all of it or one kind of event."""
        found = []
        for line in self.err.read_text(encoding="utf-8").splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):  # a line that is being written
                    found.append(json.loads(line))
        return [event for event in found if not name or event["event"] == name]

    def said(self) -> list[str]:
        """Return the lines on standard error that are no log events."""
        return [line for line in self.err.read_text(encoding="utf-8").splitlines() if not line.startswith("{")]

    def until(self, event: str, count: int = 1, seconds: float = PATIENCE_S) -> list[Table]:
        """Wait until it has logged an event so often."""
        until(lambda: len(self.events(event)) >= count, seconds, lambda: f"{count} {event}: {self.tail()}")
        return self.events(event)

    def tail(self) -> str:
        """Return the end of what it said, for a failure's message."""
        return self.err.read_text(encoding="utf-8")[-3000:]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Return its exit code once it has ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s: {self.tail()}") from None

    def stop(self) -> float:
        """Ask it to end; return how many seconds that took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.tail()
        return time.monotonic() - began

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


class House:
    """A directory with a configuration, a sandbox, and the agents that run on them; leaving it ends them all."""

    def __init__(self, root: Path, *, online: bool = True) -> None:
        self.root = root
        self.watched = root / "captures"
        self.spool = root / "spool"
        self.config = root / "config.toml"
        self.agents: list[Agent] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ACUSIGHT_", "XDG_"))},
            "HOME": str(root),
            "XDG_RUNTIME_DIR": str(root / "run"),
            "NO_COLOR": "1",
        }
        for folder in (self.watched, root / "run"):
            folder.mkdir(parents=True)
        self.key_file = root / "key"
        self.key_file.write_text(KEY, encoding="ascii")
        self.key_file.chmod(0o600)
        self.sandbox = warm_rig.WarmSandbox(root / "platform", stderr=subprocess.DEVNULL)
        if online:
            self.sandbox.start()
        self.configure()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for agent in self.agents:
            if agent.process.poll() is None:
                agent.kill()
        self.sandbox.kill()
        for pid in self.living():  # cameras' programs, which have sessions of their own
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def configure(self, **tables: Any) -> None:  # noqa: ANN401 (TOML's own values)
        """Write a configuration: quick, on one watched directory; tables that are given add to it."""
        default: Table = {
            "server": {"url": self.sandbox.url or NOBODY, "device_key_file": str(self.key_file)},
            "spool": {"dir": str(self.spool), "min_free_bytes": 0},
            "upload": {"start_jitter_s": 0, "timeout_s": 5, "grace_s": 2},
            "checkin": {"enabled": False},
            "log": {"format": "json"},
        }
        if "watch" not in tables:
            tables["watch"] = [{}]
        if "camera" in tables:
            default["camera"] = tables.pop("camera")
        quick = {"path": str(self.watched), "settle_s": 0.1, "sidecar_wait_s": 0.1, "rescan_s": 1}
        default["watch"] = [quick | watch for watch in tables.pop("watch")]
        for name, table in tables.items():
            default[name] = default.get(name, {}) | table
        text = toml({name: value for name, value in default.items() if value})
        self.config.write_text(text, encoding="utf-8")

    def start(self, *arguments: str, **environment: str) -> Agent:
        """Start an agent with this configuration."""
        line = ["-c", str(self.config), *arguments]
        agent = Agent(line, self.environment | environment, self.root / "run", len(self.agents))
        self.agents.append(agent)
        return agent

    def run(self, **environment: str) -> Agent:
        """Start the daemon and wait until it works."""
        agent = self.start("run", **environment)
        until(lambda: agent.events("started") or agent.process.poll() is not None, said=agent.tail)
        assert agent.process.poll() is None, agent.tail()
        return agent

    def once(self, expected: int = 0) -> Agent:
        """Run until everything is taken and sent."""
        agent = self.start("run", "--once")
        assert agent.wait(60) == expected, agent.tail()
        return agent

    def call(self, *arguments: str, cold: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end; `cold` where its start-up is the point."""
        line = ["agent", "-c", str(self.config), *arguments]
        if warm_rig.at_home() and not cold:
            return warm_rig.run(line, self.environment, self.root, PATIENCE_S)
        return subprocess.run(
            [sys.executable, "-m", *line],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=self.environment,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
        )

    def says(self, text: str) -> None:
        """Wait until `status` says something: what the daemon knows is written down a moment later."""
        until(lambda: text in self.call("status").stdout, said=lambda: self.call("status"))

    def fault(self, **rule: Any) -> None:  # noqa: ANN401 (the script's own values)
        """Have the sandbox misbehave by one rule; without one, behave."""
        self.sandbox.set_faults({"fault": [rule]} if rule else {})

    def arrived(self, count: int, seconds: float = PATIENCE_S) -> None:
        """Wait until the sandbox keeps so many pictures."""
        until(
            lambda: self.sandbox.count() >= count,
            seconds,
            lambda: f"{count} pictures; {[agent.tail() for agent in self.agents[-1:]]}",
        )

    def rows(self, statement: str) -> list[Table]:
        """Ask the spool's index, as anybody may who has sqlite3."""
        with contextlib.closing(sqlite3.connect(f"file:{self.spool}/index.sqlite3?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement)]

    def settled(self, count: int, seconds: float = PATIENCE_S) -> None:
        """Wait until so many pictures have their receipt."""
        until(
            lambda: self.rows("SELECT count(*) AS n FROM receipt")[0]["n"] >= count,
            seconds,
            lambda: f"{count} receipts; {[agent.tail() for agent in self.agents[-1:]]}",
        )

    def living(self) -> dict[int, str]:
        """Return the command lines of all processes that this house started, by their ids."""
        found, mark = {}, f"HOME={self.root}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def check(self, captured: Iterable[str], *, delivered: int | None = None) -> Counter[str]:
        """Hold the law of conservation against every picture, by the rows and by the tally, and the bytes (I2, I3).

        `captured` are the digests of all that was captured, each once. `delivered` is how many arrived, by default
        all of them. A frame whose put a kill cut off may be there twice: adopted from its file, and read again; the
        platform takes it once. Returns what the receipts say.
        """
        expected = Counter(list(captured))
        items, receipts = self.rows("SELECT * FROM item"), self.rows("SELECT * FROM receipt")
        states, results = Counter(row["state"] for row in items), Counter(row["result"] for row in receipts)
        told: Counter[str] = Counter()
        for row in (tally := self.rows("SELECT * FROM tally")):
            told[row["what"]] += row["items"]
        held = Counter(row["sha256"] for row in (*items, *receipts))
        twice = (held - expected).total()
        assert twice <= sum(len(agent.events("orphan_adopted")) for agent in self.agents), "captured twice"
        assert told["captured"] == expected.total() + twice, (told, twice, self.agents[-1].tail())
        assert told["captured"] == results.total() + states.total() + told["dropped"], told
        assert told["delivered"] == results.total(), (told, results)
        assert told["quarantined"] == states["quarantined"], (told, states)
        assert (expected - held).total() == told["dropped"], "something was lost"
        assert all(row["reason"] for row in tally if row["what"] == "dropped")
        assert results.total() - twice == (expected.total() if delivered is None else delivered), told
        self._check_shelf(items, tally)
        self._check_platform({row["sha256"] for row in receipts}, set(expected))
        return results

    def _check_shelf(self, items: list[Table], tally: list[Table]) -> None:
        """Every item has its bytes, and their sum is what the tally says."""
        for row in items:
            data = (self.spool / os.fsdecode(row["path"])).read_bytes()
            assert (len(data), sha256(data)) == (row["size"], row["sha256"]), row["filename"]
        signs = {"captured": 1, "delivered": -1, "dropped": -1, "quarantined": 0}
        assert sum(signs[row["what"]] * row["bytes"] for row in tally) == sum(row["size"] for row in items)

    def _check_platform(self, receipts: set[str], captured: set[str]) -> None:
        """Check that the platform keeps what has a receipt, whole and once, and nothing that was not captured."""
        if not self.sandbox.url:
            assert not receipts
            return
        stored = {path.stem: path.read_bytes() for path in (self.sandbox.folder / "images").iterdir()}
        assert all(sha256(data) == name for name, data in stored.items())
        assert receipts <= stored.keys() <= captured
        lines = (self.sandbox.folder / "uploads.jsonl").read_text(encoding="utf-8").splitlines()
        assert Counter(json.loads(line)["sha256"] for line in lines) == Counter(stored.keys())

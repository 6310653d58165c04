"""The world that the examples of help texts and documents are about: a spool with a past, files to try, a platform."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import warm_rig
from house_rig import KEY, photograph, toml, until, video

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.sandbox.process import SandboxProcess

PATIENCE_S = 60.0
TOKEN = "apt_00c0ffee00c0ffee"
COCO = {
    "images": [{"id": 1, "file_name": "frame-17.jpg", "width": 320, "height": 240}],
    "categories": [{"id": 1, "name": "scratch"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]}],
}
NATIVE = {"annotations": [{"class_value": "dent", "geometry": [0.5, 0.5, 0.25, 0.25]}]}
SCRIPT = '[[fault]]\nroute = "upload"\ncount = 2\nstatus = 503\n'


@dataclass(frozen=True)
class Ended:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


@dataclass
class World:
    """A folder as somebody has it who has used the agent for a while; `names` is what examples call things."""

    root: Path
    sandbox: SandboxProcess
    names: dict[str, str] = field(default_factory=dict)
    _count: int = 0
    _said_in: list[Path] = field(default_factory=list)

    def prepare(self) -> None:
        """Make the configuration and the files, have two pictures refused and two delivered, and one wait."""
        (self.root / "captures").mkdir()
        self._write("key", KEY, 0o600)
        self._write("token.txt", TOKEN, 0o600)
        video(self.root / "belt.avi", 12)
        with_camera = tables(self.sandbox.url)
        # The camera comes later: which of its frames would be refused is anybody's guess.
        self._write("config.toml", toml({**with_camera, "camera": []}), 0o600)
        for number, name in enumerate(("captures/first.jpg", "captures/second.jpg")):
            self._picture(name, number)
        refusal = {"route": "upload", "count": 2, "status": 422, "body": '{"success": false, "error": "no part"}'}
        self.sandbox.set_faults({"fault": [refusal]})
        assert self.call("run", "--once").code == 4
        self.sandbox.set_faults({})
        self._write("config.toml", toml(with_camera), 0o600)
        delivered = [self._picture(f"captures/{name}", 10 + n) for n, name in enumerate(("part-17.jpg", "belt.jpg"))]
        assert self.call("run", "--once").code == 0
        for number, name in enumerate(("part.jpg", "belt.jpg", "frame-17.jpg")):
            self._picture(name, 20 + number)
        self._write("belt.txt", "0 0.5 0.5 0.2 0.1\n1 0.25 0.25 0.1 0.1\n")
        self._write("belt.json", json.dumps(NATIVE))
        self._write("data.yaml", "names: [scratch, dent]\n")
        self._write("_annotations.coco.json", json.dumps(COCO))
        self._write("outage.toml", SCRIPT)
        refused = [str(row[0]) for row in self._ask("SELECT id FROM item WHERE state = 'quarantined' ORDER BY id")]
        self.names = {"17": refused[0], "18": refused[1], "2c26b46b68ffc68f…": delivered[0]}

    def copy(self, root: Path) -> World:
        """Return the same world in another folder, to be changed at will."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return World(root, self.sandbox, self.names)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command in this world."""
        self._said_in = [self.root / f".{self._count}.{name}" for name in ("out", "err")]
        self._count += 1
        with self._said_in[0].open("w", encoding="utf-8") as out, self._said_in[1].open("w", encoding="utf-8") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "agent", *words],
                cwd=self.root,
                env=self._environment() | environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )

    def call(self, *words: str, stdin: str = "", **environment: str) -> Ended:
        """Run a command to its end; warm, as a beginning from nothing costs more than most of them do."""
        if not stdin:
            done = warm_rig.run(["agent", *words], self._environment() | environment, self.root, PATIENCE_S)
            return Ended(done.returncode, done.stdout, done.stderr)
        child = self.start(*words, **environment)
        try:
            child.communicate(stdin, timeout=PATIENCE_S)
        finally:
            self.finish(child)
        return Ended(child.returncode, *self._said())

    def watch(self, sign: str, *words: str, ends: signal.Signals = signal.SIGINT, **environment: str) -> Ended:
        """Run a command that goes on until it is stopped; stop it once it has given a sign of its work."""
        child = self.start(*words, **environment)
        try:
            until(lambda: sign in self._all() or child.poll() is not None, PATIENCE_S, self._all)
            child.send_signal(ends)
            child.communicate(timeout=PATIENCE_S)
        finally:
            self.finish(child)
        assert sign in self._all(), self._all()
        return Ended(child.returncode, *self._said())

    def until_it_runs(self, daemon: subprocess.Popen[str]) -> None:
        """Wait until a daemon is ready, and lay what it says aside."""
        until(lambda: '"started"' in self._all() or daemon.poll() is not None, PATIENCE_S, self._all)
        assert daemon.poll() is None, self._all()

    def finish(self, child: subprocess.Popen[str]) -> None:
        """End whatever is left of a command, and of what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()

    def _all(self) -> str:
        return "".join(self._said())

    def _said(self) -> tuple[str, str]:
        out, err = (path.read_text(encoding="utf-8") for path in self._said_in)
        return out, err

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ACUSIGHT_", "XDG_"))}
        return kept | {"HOME": str(self.root), "NO_COLOR": "1", "COLUMNS": "100"}

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def _picture(self, name: str, seed: int) -> str:
        data = photograph(seed)
        (self.root / name).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def _ask(self, statement: str) -> Sequence[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.root / "spool/index.sqlite3")) as connection:
            return connection.execute(statement).fetchall()


def tables(url: str) -> dict[str, Any]:
    """Return the configuration, with paths that hold in a copy too."""
    return {
        "server": {"url": url, "device_key_file": "key"},
        "spool": {"dir": "spool", "min_free_bytes": 0},
        "watch": [{"path": "captures", "settle_s": 0.1, "sidecar_wait_s": 0.1, "rescan_s": 1}],
        "camera": [{"name": "belt-west", "source": "belt.avi", "interval_s": 0}],
        "upload": {"start_jitter_s": 0, "workers": 1},
        "checkin": {"enabled": False},
        "page": {"listen": "127.0.0.1:0"},
    }

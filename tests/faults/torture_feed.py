"""What produces pictures in the torture: programs that are no more careful than they are in the field."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from house_rig import photograph, sha256

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

BASES = tuple(photograph(seed, width=160 * side, height=120 * side) for seed, side in enumerate((1, 2, 4)))
NUMBER = 12  # digits in the comment that makes a picture unlike all others
COMMENT = b"\xff\xfe\x00\x0e"
SIDECAR = "0 0.5 0.5 0.25 0.25\n"

# A live camera: the same picture under another number, ten times a second, until somebody ends it.
CAMERA = f"""
import sys, time
base = open(sys.argv[1], "rb").read()
while True:
    number = b"%0{NUMBER}d" % (time.time_ns() // 1000 % 10**{NUMBER})
    sys.stdout.buffer.write(base[:2] + {COMMENT!r} + number + base[2:])
    sys.stdout.buffer.flush()
    time.sleep(0.1)
"""


def numbered(base: bytes, number: int) -> bytes:
    """Return a whole JPEG that is like no other."""
    return base[:2] + COMMENT + b"%0*d" % (NUMBER, number) + base[2:]


def is_genuine(data: bytes) -> bool:
    """Tell whether bytes are one of our pictures, whole, whatever its number."""
    rest = 2 + len(COMMENT) + NUMBER
    return data[2 : 2 + len(COMMENT)] == COMMENT and data[:2] + data[rest:] in BASES


def camera(root: Path) -> str:
    """Return the `source` of a live camera."""
    program, base = root / "camera.py", root / "camera.jpg"
    program.write_text(CAMERA, encoding="ascii")
    base.write_bytes(BASES[0])
    return f"cmd:{shlex.join([sys.executable, str(program), str(base)])}"


class Feed:
    """Writes into two watched folders: in `kept` the originals stay, from `spent` they go once they are delivered.

    `last` has the digest of each file's last whole version: those are owed. A version that was replaced before the
    agent saw it is not.
    """

    def __init__(self, kept: Path, spent: Path, rng: random.Random) -> None:
        self._kept = kept
        self._spent = spent
        self._rng = rng
        self._number = 0
        self.last: dict[Path, str] = {}
        self.ever: set[str] = set()
        self.written = 0
        self._pending: list[Callable[[], None]] = []  # second halves, sidecars that come late

    def step(self) -> None:
        """Do one thing that producers do; on a full disk it may fail, as theirs does."""
        pending, self._pending = self._pending, []
        for finish in pending:
            finish()
        actions = (self._whole, self._slow, self._half, self._replace, self._rewrite)
        self._rng.choices(actions, weights=(6, 2, 1, 1, 1))[0]()

    def finish(self) -> None:
        """Finish what was begun."""
        while self._pending:
            pending, self._pending = self._pending, []
            for finish in pending:
                finish()

    def _new(self) -> tuple[Path, bytes]:
        self._number += 1
        folder = self._rng.choice((self._kept, self._spent))
        return folder / f"{self._number}.jpg", self._picture()

    def _picture(self) -> bytes:
        self.written += 1
        return numbered(self._rng.choice(BASES), self.written)

    def _whole(self) -> None:
        path, data = self._new()
        if self._rng.random() < 0.5:
            self._label(path)
        else:
            self._pending.append(lambda: self._label(path))
        self._put(path, data)

    def _slow(self) -> None:
        """Write one half now, the other one at the next step."""
        path, data = self._new()
        if self._write(path, data[: len(data) // 2]):
            self._pending.append(lambda: self._owe(path, data, mode="ab", rest=data[len(data) // 2 :]))

    def _half(self) -> None:
        path, data = self._new()
        self._write(path, data[: self._rng.randrange(len(data))])

    def _replace(self) -> None:
        if self.last:
            self._put(self._rng.choice(sorted(self.last)), self._picture())

    def _rewrite(self) -> None:
        """Write over a file in place: only where the agent deletes nothing, or the two race for the file."""
        kept = sorted(path for path in self.last if path.parent == self._kept)
        if kept:
            path, data = self._rng.choice(kept), self._picture()
            self._owe(path, data, mode="wb", rest=data)

    def _put(self, path: Path, data: bytes) -> None:
        part = path.with_name(f".{path.name}.part")
        if self._write(part, data):
            part.rename(path)
            self._note(path, data)

    def _owe(self, path: Path, data: bytes, *, mode: str, rest: bytes) -> None:
        self.last.pop(path, None)
        if self._write(path, rest, mode):
            self._note(path, data)

    def _note(self, path: Path, data: bytes) -> None:
        self.last[path] = sha256(data)
        self.ever.add(sha256(data))

    def _label(self, path: Path) -> None:
        self._write(path.with_suffix(".txt"), SIDECAR.encode())

    def _write(self, path: Path, data: bytes, mode: str = "wb") -> bool:
        try:
            with path.open(mode) as file:
                file.write(data)
        except OSError:
            path.unlink(missing_ok=True)
            return False
        return True

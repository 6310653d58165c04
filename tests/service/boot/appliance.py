"""The device as its owner sets it up: the agent as documented, a camera program, and a platform to talk to."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import zlib
from typing import TYPE_CHECKING, Any

from debian_root import AGENT, REPOSITORY
from machine import expect, until

if TYPE_CHECKING:
    from machine import Machine

KEY = "adk_b007b007b007b007"
UNIT = "acusight-agent.service"
CONFIG = "/etc/acusight-agent/config.toml"
KEY_FILE = "/etc/acusight-agent/device_key"
PICTURES = "/srv/pictures"
READ_ONLY = "/srv/readable"
PORT = 8600
PATIENCE_S = 40.0

SURROUNDINGS = f"""\
useradd --system producer
install -d -o producer {PICTURES} {READ_ONLY}
setfacl -R -m u:acusight:rwX -m d:u:acusight:rwX {PICTURES}
"""
PLATFORM = f"""\
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart={AGENT}/bin/acusight-agent sandbox --dir /var/lib/platform --port {PORT} \\
    --device-key-file /root/platform_key --duplicates accept
"""
CONFIGURATION = f"""\
[server]
url = "http://127.0.0.1:{PORT}"
[[watch]]
path = "{PICTURES}"
settle_s = 0.2
rescan_s = 2
[[watch]]
path = "{READ_ONLY}"
settle_s = 0.2
rescan_s = 2
[upload]
start_jitter_s = 0
"""


class Appliance:
    """The installed agent, its folder of pictures and the platform that it delivers to."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.run = machine.run
        self.delivered: dict[str, str] = {}  # sha256 → file name of every picture that was put in place
        self._twice = 0

    def install(self) -> None:
        """Do what the head of the unit file says, but for the last line, which starts it; add what is around it."""
        checkout = self.machine.path("/root/checkout/systemd")
        shutil.copytree(REPOSITORY / "systemd", checkout)
        self.steps(stdin=KEY)
        self.run("sh", "-ec", SURROUNDINGS)
        self.write("/etc/systemd/system/platform.service", PLATFORM, 0o644)
        self.write("/root/platform_key", KEY)
        self.configure(CONFIGURATION)

    def steps(self, stdin: str = "", unit: str = UNIT) -> None:
        """Run the commands that the head of a unit file shows, except those that start services."""
        shown = re.findall(r"^#   (\S.*)", (REPOSITORY / "systemd" / unit).read_text(encoding="utf-8"), re.MULTILINE)
        commands = [line for line in shown if line.startswith(("install ", "chown ", "/opt/"))]
        self.run("sh", "-ec", "\n".join(["cd /root/checkout", *commands]), stdin=stdin)

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """Replace a file of root's."""
        target = self.machine.path(path)
        temporary = target.with_name(f".{target.name}.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(mode)
        temporary.replace(target)

    def configure(self, text: str) -> None:
        """Replace the configuration file."""
        self.write(CONFIG, text, 0o644)

    def put_key(self, key: str) -> None:
        """Replace the key file, which only root can read."""
        self.write(KEY_FILE, key + "\n")

    def drop_in(self, name: str, text: str | None, unit: str = UNIT) -> None:
        """Add a drop-in to a unit, or take it away again."""
        path = self.machine.path(f"/etc/systemd/system/{unit}.d/{name}.conf")
        path.parent.mkdir(exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")
        self.run("systemctl", "daemon-reload")

    def show(self, name: str, unit: str = UNIT) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    @property
    def pid(self) -> int:
        """The agent's process id, as the machine counts; 0 while it does not run."""
        return int(self.show("MainPID"))

    def is_active(self) -> bool:
        """Tell whether systemd has heard that the agent is ready."""
        return self.show("ActiveState") == "active"

    def until_active_again(self, before: int, seconds: float) -> float:
        """Wait until another process than `before` is ready; return how long that took."""
        return until(lambda: self.pid not in {0, before} and self.is_active(), seconds, self.journal_tail)

    def signal(self, name: str) -> None:
        """Send the agent's main process a signal."""
        self.run("systemctl", "kill", "--kill-who=main", f"--signal={name}", UNIT)

    def journal(self) -> str:
        """Return all that the agent and systemd said about the unit."""
        return self.run("journalctl", "--boot", "--no-pager", "--output=cat", f"--unit={UNIT}")

    def journal_tail(self) -> str:
        """Return the end of it, for a failure's message."""
        return self.journal()[-1500:]

    def said(self, event: str) -> int:
        """Count how often the agent logged something."""
        return len(re.findall(rf"\b{re.escape(event)}\b", self.journal()))

    def until_said(self, event: str, count: int = 1) -> None:
        """Wait until the agent has logged something so often."""
        until(lambda: self.said(event) >= count, PATIENCE_S, lambda: f"{count} {event}: {self.journal_tail()}")

    def place(self, name: str, data: bytes, folder: str = PICTURES) -> None:
        """Put a picture in place, as the camera program does."""
        producer = self.machine.path(folder).stat().st_uid
        path = self.machine.path(f"{folder}/{name}")
        path.write_bytes(data)
        os.chown(path, producer, producer)
        self.delivered[hashlib.sha256(data).hexdigest()] = name

    def arrived(self) -> list[dict[str, Any]]:
        """Return what the platform has, oldest first."""
        path = self.machine.path("/var/lib/platform/uploads.jsonl")
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def until_all_arrived(self, *, answers_lost: bool = False) -> float:
        """Wait until the platform has every picture that was put in place, and return how long that took.

        Raises Broken where one came twice, unless the platform took it without being able to say so.
        """
        took = until(lambda: not self.missing(), PATIENCE_S, lambda: f"{self.missing()}: {self.journal_tail()}")
        before, self._twice = self._twice, sum(upload["duplicate"] for upload in self.arrived())
        expect(answers_lost or self._twice == before, f"{self._twice - before} pictures came twice")
        return took

    def missing(self) -> list[str]:
        """Return the names of the pictures that the platform has not."""
        there = {upload["sha256"] for upload in self.arrived()}
        return [name for digest, name in self.delivered.items() if digest not in there]

    def mend(self) -> None:
        """Put back what a promise that broke may have left, so that the next one is tried on its own."""
        self.run("systemctl", "kill", "--signal=CONT", "platform.service", check=False)
        self.platform("start")
        self.configure(CONFIGURATION)
        self.run("systemctl", "restart", UNIT, check=False)

    def platform(self, verb: str) -> None:
        """Start or stop the platform."""
        self.run("systemctl", verb, "platform.service")


def png(seed: int, side: int = 64) -> bytes:
    """Return a small picture that no other seed has."""
    row = b"\0" + bytes((seed * 37 + index) % 256 for index in range(side * 3))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    text = b"seed\0" + str(seed).encode()
    chunks = [(b"IHDR", header), (b"tEXt", text), (b"IDAT", zlib.compress(row * side)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def bmp(side: int = 64) -> bytes:
    """Return a picture that has to be converted."""
    pixels = bytes(index % 256 for index in range(side * 3)) * side
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54) + info + pixels


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

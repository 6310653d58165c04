"""The cameras that the kernel knows: V4L2 nodes from sysfs, each asked what it can do. Works without OpenCV.

A USB camera has several nodes, of which one gives pictures; the others carry metadata, and are no cameras.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SYSFS = Path("/sys/class/video4linux")
BY_ID = Path("/dev/v4l/by-id")
BY_PATH = Path("/dev/v4l/by-path")

# struct v4l2_capability: driver, card, bus, version, what the whole device can do, what this node can, and padding.
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_QUERYCAP = 0x8000_5600 | _CAPABILITY.size << 16
_NODE_SAYS = 0x8000_0000
_GIVES_PICTURES = 0x0000_0001 | 0x0000_1000  # in one plane or in several
_CONVERTS = 0x0000_8000 | 0x0000_4000  # a codec: it gives only what it was given
_RIBBON = {
    "unicam": "cmd:rpicam-vid -t 0 -n --codec mjpeg -o -",
    "rp1-cfe": "cmd:rpicam-vid -t 0 -n --codec mjpeg -o -",
    "tegra-video": "cmd:gst-launch-1.0 -q nvarguscamerasrc ! nvjpegenc ! fdsink",
}
"""What opens a sensor on a ribbon cable, by driver: its node gives raw data, of which OpenCV makes no picture."""


@dataclass(frozen=True, slots=True)
class VideoDevice:
    """One camera; `source` is what to write into the configuration, `problem` why it could not be asked."""

    node: str
    name: str
    by_id: str = ""
    by_path: str = ""
    driver: str = ""
    bus: str = ""
    problem: str = ""

    @property
    def source(self) -> str:
        """Return the name that outlives a reboot, where the kernel gave one."""
        return _RIBBON.get(self.driver) or self.by_id or self.by_path or self.node

    def as_json(self) -> dict[str, str]:
        """Return everything as plain values."""
        return {**asdict(self), "source": self.source}


@dataclass(frozen=True, slots=True)
class Capability:
    """What a node says of itself."""

    driver: str
    card: str
    bus: str
    device: int
    node: int

    @classmethod
    def read(cls, raw: bytes) -> Capability:
        """Return what the kernel's structure holds."""
        driver, card, bus, _, device, node = _CAPABILITY.unpack(raw)
        return cls(_text(driver), _text(card), _text(bus), device, node)

    @property
    def is_camera(self) -> bool:
        """Tell whether the node gives pictures of its own: no metadata, no radio, no codec, no output."""
        can = self.node if self.device & _NODE_SAYS else self.device
        return bool(can & _GIVES_PICTURES) and not can & _CONVERTS


def video_devices(
    *,
    sysfs: Path = SYSFS,
    links: tuple[Path, Path] = (BY_ID, BY_PATH),
    dev: Path = Path("/dev"),
    ask: Callable[[str], Capability] | None = None,
) -> list[VideoDevice]:
    """Return the cameras, by number; a node that may not be opened is among them, with its problem."""
    by_id, by_path = (_names(folder) for folder in links)
    found = [_looked_at(folder, dev, by_id, by_path, ask or asked) for folder in sorted(_nodes(sysfs), key=_number)]
    return [device for device in found if device is not None]


def _looked_at(
    folder: Path, dev: Path, by_id: Mapping[str, str], by_path: Mapping[str, str], ask: Callable[[str], Capability]
) -> VideoDevice | None:
    node = str(dev / folder.name)
    device = VideoDevice(node, _line(folder / "name"), by_id.get(folder.name, ""), by_path.get(folder.name, ""))
    try:
        can = ask(node)
    except OSError as error:
        problem = f"{node} cannot be opened: {error.strerror or error}"
        return VideoDevice(device.node, device.name, device.by_id, device.by_path, problem=problem)
    if not can.is_camera:
        return None
    return VideoDevice(node, can.card or device.name, device.by_id, device.by_path, can.driver, can.bus)


def asked(node: str) -> Capability:
    """Ask a node what it can do, which no running stream minds; raises `OSError`."""
    descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = bytearray(_CAPABILITY.size)
        fcntl.ioctl(descriptor, _QUERYCAP, answer)
        return Capability.read(bytes(answer))
    finally:
        os.close(descriptor)


def _nodes(sysfs: Path) -> list[Path]:
    try:
        return [folder for folder in sysfs.iterdir() if re.fullmatch(r"video\d+", folder.name)]
    except OSError:  # no driver has been loaded
        return []


def _names(folder: Path) -> dict[str, str]:
    """Return the lasting name of each node: the first, where one has several."""
    try:
        links = sorted(folder.iterdir(), reverse=True)
        return {link.readlink().name: str(link) for link in links if link.is_symlink()}
    except OSError:
        return {}


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix("video"))


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace").strip()

"""The list of cameras, on a tree like the kernel's; what a node answers is scripted in the kernel's own structure."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from agent.sources.devices import Capability, VideoDevice, asked, video_devices

CAPTURE, PLANES, METADATA, M2M, OUTPUT = 0x1, 0x1000, 0x00800000, 0x8000, 0x2
STREAMING, NODE_SAYS = 0x04000000, 0x80000000


def answer(card: str, node: int, *, driver: str = "uvcvideo", device: int = NODE_SAYS | CAPTURE | METADATA) -> bytes:
    """Return what VIDIOC_QUERYCAP fills in."""
    texts = [text.encode().ljust(length, b"\0") for text, length in ((driver, 16), (card, 32), ("usb-1.2", 32))]
    return b"".join(texts) + struct.pack("=III", 0x060100, device, node | STREAMING) + bytes(12)


class Kernel:
    """A sysfs, a /dev, and nodes that answer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.answers: dict[str, bytes | OSError] = {}
        for folder in ("sys", "dev", "by-id", "by-path"):
            (root / folder).mkdir()

    def node(self, number: int, raw: bytes | OSError, *, by_id: str = "", by_path: str = "") -> None:
        """Add a node, with its lasting names."""
        name = f"video{number}"
        (self.root / "sys" / name).mkdir()
        (self.root / "sys" / name / "name").write_text("from sysfs\n", encoding="ascii")
        self.answers[str(self.root / "dev" / name)] = raw
        for folder, link in (("by-id", by_id), ("by-path", by_path)):
            if link:
                (self.root / folder / link).symlink_to(f"../../{name}")

    def devices(self) -> list[VideoDevice]:
        """Return the list."""

        def ask(node: str) -> Capability:
            raw = self.answers[node]
            if isinstance(raw, OSError):
                raise raw
            return Capability.read(raw)

        root = self.root
        return video_devices(sysfs=root / "sys", links=(root / "by-id", root / "by-path"), dev=root / "dev", ask=ask)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Return a kernel without cameras."""
    return Kernel(tmp_path)


def test_a_usb_camera_is_listed_once_by_its_lasting_name(kernel: Kernel) -> None:
    """Of a camera's two nodes the one that gives pictures is listed, and what to configure is its by-id path."""
    kernel.node(0, answer("HD Pro Webcam", CAPTURE), by_id="usb-046d_0892-video-index0", by_path="pci-0-index0")
    kernel.node(1, answer("HD Pro Webcam", METADATA), by_id="usb-046d_0892-video-index1")
    (camera,) = kernel.devices()
    assert (camera.node, camera.name, camera.driver) == (f"{kernel.root}/dev/video0", "HD Pro Webcam", "uvcvideo")
    assert camera.source == camera.by_id == f"{kernel.root}/by-id/usb-046d_0892-video-index0"
    assert camera.as_json()["source"] == camera.source


@pytest.mark.parametrize(
    ("device", "node", "expected"),
    [
        (NODE_SAYS | CAPTURE | METADATA, CAPTURE, True),
        (NODE_SAYS | CAPTURE | METADATA, METADATA, False),
        (CAPTURE, 0, True),  # a driver that knows no capabilities of single nodes
        (METADATA, CAPTURE, False),
        (NODE_SAYS | PLANES, PLANES, True),
        (NODE_SAYS | M2M, M2M | CAPTURE | OUTPUT, False),  # a codec
        (NODE_SAYS | OUTPUT, OUTPUT, False),
    ],
)
def test_only_a_node_that_gives_pictures_is_a_camera(device: int, node: int, expected: bool) -> None:  # noqa: FBT001
    """The node's own capabilities count where the driver tells them, else the device's; a codec is no camera."""
    assert Capability.read(answer("x", node, device=device)).is_camera is expected


def test_a_node_that_may_not_be_opened_is_listed_with_its_problem(kernel: Kernel) -> None:
    """A camera that this user may not open is what a person looks for: it is shown, by its name in sysfs."""
    kernel.node(0, PermissionError(errno.EACCES, "Permission denied"))
    (camera,) = kernel.devices()
    assert camera.name == "from sysfs"
    assert camera.problem == f"{kernel.root}/dev/video0 cannot be opened: Permission denied"


def test_a_ribbon_cable_camera_is_told_with_the_program_that_opens_it(kernel: Kernel) -> None:
    """A CSI sensor's node gives raw data, so what to configure is the system's own program."""
    kernel.node(0, answer("unicam", CAPTURE, driver="unicam"))
    (camera,) = kernel.devices()
    assert camera.source.startswith("cmd:rpicam-vid ")


def test_cameras_come_in_the_order_of_their_numbers(kernel: Kernel) -> None:
    """video10 comes after video9, and what is no video node is passed over."""
    for number in (10, 9, 2):
        kernel.node(number, answer(f"camera {number}", CAPTURE))
    (kernel.root / "sys" / "v4l-subdev0").mkdir()
    assert [device.name for device in kernel.devices()] == ["camera 2", "camera 9", "camera 10"]
    assert kernel.devices()[0].source == f"{kernel.root}/dev/video2"


def test_a_machine_without_video_has_no_cameras(tmp_path: Path) -> None:
    """Where no driver was loaded there is no sysfs folder, and that is no error."""
    assert video_devices(sysfs=tmp_path / "none", links=(tmp_path / "a", tmp_path / "b")) == []


def test_the_question_reaches_the_kernel() -> None:
    """A node that is no camera refuses the real call with an error of the system, and leaves nothing open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="ioctl"):
        asked("/dev/null")
    assert len(list(Path("/proc/self/fd").iterdir())) == before

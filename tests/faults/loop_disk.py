"""A real ext4 or xfs in a file, and the power cut: what was not flushed is gone."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("ext4", "xfs")
SIZE = 320 * 2**20  # sparse; mkfs.xfs makes nothing smaller than 300 MB
CLONE_NEWNS = 0x20000
SHUTDOWN = 0x8004587D
WITHOUT_FLUSHING_THE_LOG = struct.pack("I", 2)
MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}


@cache
def missing(kind: str) -> str:
    """Say why there can be no such disk here; empty where there can."""
    if os.geteuid() != 0:
        return "needs root, to mount a file system"
    if shutil.which(MAKE[kind][0]) is None:
        return f"needs {MAKE[kind][0]}"
    if kind not in Path("/proc/filesystems").read_text(encoding="ascii").split():
        return f"needs a kernel with {kind}"
    return "" if Path("/dev/loop-control").exists() else "needs loop devices"


class LoopDisk:
    """A mounted file system whose power can be cut, again and again."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.point = folder / "disk"
        self.image = folder / "disk.img"
        self.point.mkdir(parents=True)
        with self.image.open("wb") as image:
            image.truncate(SIZE)
        subprocess.run([*MAKE[kind], str(self.image)], check=True)

    def mount(self) -> None:
        """Mount it; the journal of one that was cut off is replayed."""
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.point)], check=True)

    def unmount(self) -> None:
        """Unmount it; nobody may use it any more."""
        subprocess.run(["umount", str(self.point)], check=True)

    def flush(self) -> None:
        """Make durable all that is on it."""
        subprocess.run(["sync", "-f", str(self.point)], check=True)

    def cut(self) -> None:
        """Cut the power: from now on nothing is written any more, and what was not flushed is lost."""
        descriptor = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, WITHOUT_FLUSHING_THE_LOG)
        finally:
            os.close(descriptor)


@contextmanager
def own_mounts() -> Iterator[None]:
    """Give this thread mounts of its own for the block.

    A container that is started meanwhile copies the mounts that it finds, and would keep a disk alive that was cut off.
    """
    library = ctypes.CDLL(None, use_errno=True)
    here = Path.cwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if library.unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        yield
    finally:
        library.setns(before, CLONE_NEWNS)
        os.close(before)
        os.chdir(here)


def own_mounts_if_root() -> AbstractContextManager[None]:
    """Give this thread mounts of its own, where it may have them."""
    return own_mounts() if os.geteuid() == 0 else nullcontext()


@contextmanager
def loop_disk(kind: str, folder: Path) -> Iterator[LoopDisk]:
    """Make a disk and mount it; afterwards it is unmounted and gone."""
    with own_mounts():
        disk = LoopDisk(kind, folder)
        disk.mount()
        try:
            yield disk
        finally:
            disk.unmount()
            disk.image.unlink()

"""Runs inside the appliance, with the standard library alone: tries what a broken-in agent would, and notes the answer.

Usage: probe.py REPORT; writes a JSON object of attempt to the name of the error that it met, "" where it succeeded.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWUSER = 0x10000000
PER_LINUX32 = 0x0008
_LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Make a call of the C library; raises OSError where it says no."""
    if getattr(_LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def writable_code() -> None:
    """Ask for memory that can be written and run."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def reach_argus() -> None:
    """Connect to where a Jetson's camera daemon listens."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("/tmp/argus_socket")  # noqa: S108 (its name, which NVIDIA chose)


def hear_of_a_set_clock() -> None:
    """Arm a timer that is cancelled when somebody sets the clock, as the agent does."""
    timer = _LIBC.timerfd_create(0, os.O_CLOEXEC)
    if timer == -1:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    try:
        call("timerfd_settime", timer, 3, (ctypes.c_long * 4)(0, 0, 2**31 - 1, 0), None)
    finally:
        os.close(timer)


def setuid_file(folder: Path) -> None:
    """Leave a program that would run as its owner."""
    path = folder / "setuid"
    path.touch()
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()


def attempts(folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is tried; `folder` is one that the agent may write."""
    return {
        "write to /etc": lambda: Path("/etc/probe").write_text("", encoding="ascii"),
        "write to /usr": lambda: Path("/usr/probe").write_text("", encoding="ascii"),
        "write to /srv": lambda: Path("/srv/probe").write_text("", encoding="ascii"),
        "look into /home": lambda: os.listdir("/home"),  # noqa: PTH208 (the error is wanted, not the paths)
        "see other processes": lambda: Path("/proc/1/stat").read_bytes(),
        "open another device": lambda: os.close(os.open("/dev/probe", os.O_RDWR)),
        "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        "reach a socket in /tmp": reach_argus,
        "writable code": writable_code,
        "setuid file": lambda: setuid_file(folder),
        "realtime priority": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "other personality": lambda: call("personality", PER_LINUX32),
        "hear of a set clock": hear_of_a_set_clock,
        "open a camera": lambda: os.close(os.open("/dev/video99", os.O_RDWR)),
        "new namespace": lambda: call("unshare", CLONE_NEWUSER),  # the last: there it would have lost its rights
    }


def answer(attempt: Callable[[], object]) -> str:
    """Return the name of the error that an attempt met, "" where it succeeded."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def main() -> None:
    """Try everything once."""
    report = Path(sys.argv[1])
    answers = {name: answer(attempt) for name, attempt in attempts(report.parent).items()}
    report.write_text(json.dumps(answers), encoding="ascii")


if __name__ == "__main__":
    main()

"""The spool's disk: whether it can be written, what file system it is, and what is free on it."""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.doctor.finding import Finding, ok, problem, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.doctor.person import Access, Person
    from agent.spool.budget import Limits

MOUNTS = Path("/proc/self/mountinfo")
_FORGETFUL = frozenset({"tmpfs", "ramfs"})
_FAT = frozenset({"vfat", "msdos", "exfat", "fuseblk", "ntfs", "ntfs3"})
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"})
NEAR = 1.1
"""Free space below a tenth over the floor is soon used up."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a path's file system is mounted, what kind it is, and whether it may be written."""

    point: str
    kind: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """What was seen of the spool and its disk; `folder` is the nearest one that is there, `trial` the error of writing.

    `free_inodes` is None on a file system that makes them as they are needed.
    """

    spool: Path
    folder: Path
    person: Person
    access: Access | None
    trial: str
    mount: Mount | None
    free_bytes: int
    free_inodes: int | None
    held_bytes: int
    limits: Limits


def findings(disk: Disk) -> Iterator[Finding]:
    """Judge the spool and its disk."""
    yield _writable(disk)
    yield _file_system(disk)
    yield _space(disk)
    yield _inodes(disk)


def _writable(disk: Disk) -> Finding:
    why = "Pictures are stored there before they are sent."
    if disk.trial:
        what = f"the spool {disk.spool} cannot be written: {disk.trial}"
        return problem("spool", what, why, f"findmnt --target {_quoted(disk.folder)}", "the-spool-cannot-be-written")
    access, person = disk.access, disk.person
    if access is None or not person.reachable:
        return skipped("spool", f"only root or {person.name} can tell whether {disk.spool} can be written")
    # A service makes its state folder itself; only a spool that is there, or is to be made elsewhere, needs rights.
    if not access.write and disk.folder == disk.spool:
        return problem(
            "spool",
            f"{person.name} may not write into the spool {disk.spool}",
            why,
            f"sudo chown -R {person.name}: {_quoted(disk.spool)}",
            "the-spool-cannot-be-written",
        )
    there = "" if disk.folder == disk.spool else ", which will be made at the first start"
    return ok("spool", f"{disk.spool}{there}")


def _file_system(disk: Disk) -> Finding:
    mount = disk.mount
    if mount is None:
        return skipped("file system", f"nothing is known of the file system of {disk.folder}")
    what = f"the spool is on {mount.kind}, mounted at {mount.point}"
    move = f"df --output=fstype,target,avail {_quoted(disk.folder)} /var/lib"
    if mount.read_only:
        remount = f"sudo mount -o remount,rw {_quoted(mount.point)}"
        return problem("file system", f"{what}, read-only", "Nothing can be stored.", remount, "the-disk-is-read-only")
    if mount.kind in _FORGETFUL:
        why = "That is memory: what waits there is lost with the power. Set spool.dir to a folder on a disk."
        return warning("file system", what, why, move, "the-spool-is-in-memory")
    if mount.kind in _FAT:
        why = "It has no links, no owners and no journal: a power cut may cost pictures. Use ext4, xfs, btrfs or f2fs."
        return warning("file system", what, why, move, "the-spool-is-on-fat")
    if mount.kind in _NETWORK:
        why = "The queue's database needs a local disk; over a network it may be damaged. Set spool.dir to one."
        return warning("file system", what, why, move, "the-spool-is-on-a-network-disk")
    return ok("file system", what)


def _space(disk: Disk) -> Finding:
    floor, cap = disk.limits.min_free_bytes, disk.limits.max_bytes
    what = f"{_size(disk.free_bytes)} are free on the spool's disk"
    why = f"Below spool.min_free_bytes ({_size(floor)}) no picture is taken in."
    look = (
        f"sudo du --human-readable --max-depth=2 --one-file-system {_quoted(disk.mount.point if disk.mount else '/')}"
    )
    if disk.free_bytes < floor:
        return problem("space", f"only {what}", why, look, "the-disk-is-full")
    if disk.free_bytes < floor * NEAR:
        return warning("space", f"only {what}", why, look, "the-disk-is-full")
    room = disk.free_bytes - floor + disk.held_bytes
    if room < cap:
        why = f"The disk is full before the spool reaches spool.max_bytes ({_size(cap)}): it bears a shorter outage."
        return warning("space", what, why, look, "the-disk-is-smaller-than-the-cap")
    return ok("space", what)


def _inodes(disk: Disk) -> Finding:
    floor, free = disk.limits.min_free_inodes, disk.free_inodes
    if free is None:
        return ok("inodes", "the file system makes them as they are needed")
    what = f"{free} inodes are free on the spool's disk"
    if free < floor:
        why = f"Below spool.min_free_inodes ({floor}) no picture is taken in, however many bytes are free."
        point = _quoted(disk.mount.point if disk.mount else "/")
        look = f"sudo du --inodes --max-depth=2 --one-file-system {point}"
        return problem("inodes", f"only {what}", why, look, "the-disk-has-no-inodes")
    return ok("inodes", what)


def parse_mounts(text: str, device: str) -> Mount | None:
    """Find the mount of a device number (`8:1`) in `/proc/self/mountinfo`; the last one mounted counts."""
    found = None
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        own, kind = fields.split(), rest.split()
        if len(own) > 5 and len(kind) > 2 and own[2] == device:  # noqa: PLR2004 (the fields that are read)
            read_only = "ro" in own[5].split(",") or "ro" in kind[2].split(",")
            found = Mount(own[4].encode().decode("unicode_escape"), kind[0], read_only)
    return found


def existing(path: Path) -> Path:
    """Return the nearest folder on the way to a path that is there, and can be looked at."""
    for folder in (path, *path.parents):
        try:
            if folder.is_dir():
                return folder
        except OSError:
            continue
    return Path("/")


def write_trial(folder: Path) -> str:
    """Write, flush and remove a small file; return the error, empty where it went well or is not ours to try."""
    if not os.access(folder, os.W_OK):
        return ""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def mount_of(folder: Path) -> Mount | None:
    """Return a folder's mount; None where nobody says."""
    try:
        number = folder.stat().st_dev
        return parse_mounts(MOUNTS.read_text(encoding="utf-8"), f"{os.major(number)}:{os.minor(number)}")
    except OSError:
        return None


def free(folder: Path) -> tuple[int, int | None]:
    """Return the bytes and inodes that are free for plain users; None where inodes are made as they are needed."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"


def _quoted(path: Path | str) -> str:
    return shlex.quote(str(path))

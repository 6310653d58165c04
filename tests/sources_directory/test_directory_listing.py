from __future__ import annotations

import os
import socket
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from directory_rig import jpeg, names, without_privileges
from structlog.testing import capture_logs

from agent.errors import Wait
from agent.sources.listing import Listing, sighting

if TYPE_CHECKING:
    from pathlib import Path

PATTERNS = ("*.jpg", "*.PNG", "shot-*")


def found(root: Path, *, recursive: bool = False, patterns: tuple[str, ...] = PATTERNS) -> list[str]:
    """Return the names that a walk yields, sorted."""
    return sorted(name for name, _ in Listing(root, patterns, recursive=recursive).walk())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.jpg", True),
        ("A.JPG", True),
        ("b.png", True),
        ("B.PnG", True),
        ("shot-7", True),
        ("SHOT-7.raw", True),
        ("x.jpg", True),
        (".jpg", False),
        (".a.jpg", False),
        ("a.jpg.tmp", False),
        ("shot-7.tmp", False),
        ("shot-7.PART", False),
        ("shot-7.json", False),
        ("shot-7.txt", False),
        ("a.gif", False),
        ("ajpg", False),
        ("a\nb.jpg", True),
        ("a*[!.jpg", True),
        ("sub/a.jpg", False),
        ("", False),
    ],
)
def test_names_decide_first(tmp_path: Path, name: str, *, wanted: bool) -> None:
    """A name fits a pattern without regard to case, and is not hidden, unfinished, a sidecar or in a folder below."""
    assert Listing(tmp_path, PATTERNS, recursive=False).wants(name) is wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("sub/a.jpg", True), ("sub/deep/a.jpg", True), (".acusight-agent/a.jpg", False), ("sub/.hidden/a.jpg", False)],
)
def test_folders_below_count_where_they_are_asked_for(tmp_path: Path, name: str, *, wanted: bool) -> None:
    """A recursive listing wants names in folders, unless any of these is hidden."""
    assert Listing(tmp_path, PATTERNS, recursive=True).wants(name) is wanted


def test_only_plain_files_are_found(tmp_path: Path) -> None:
    """Links to anything, pipes, sockets, devices and folders are passed over, whatever they are called."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "plain.jpg").write_bytes(jpeg())
    (tmp_path / "outside.jpg").write_bytes(jpeg())
    (root / "out.jpg").symlink_to(tmp_path / "outside.jpg")
    (root / "in.jpg").symlink_to(root / "plain.jpg")
    (root / "nowhere.jpg").symlink_to(root / "missing")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    (root / "folder.jpg").mkdir()
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket.jpg"))
        assert found(root, recursive=True) == ["plain.jpg"]
    listing = Listing(root, PATTERNS, recursive=True)
    assert [listing.look(name) for name in ("out.jpg", "pipe.jpg", "folder.jpg", "missing.jpg")] == [None] * 4


@pytest.mark.skipif(os.geteuid() != 0, reason="device nodes are made by root alone")
def test_devices_are_passed_over(tmp_path: Path) -> None:
    """A device node of a picture's name is not listed."""
    try:
        os.mknod(tmp_path / "null.jpg", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mknod(tmp_path / "disk.jpg", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    except PermissionError:
        pytest.skip("this root may make no device nodes")
    assert found(tmp_path) == []


def test_a_tree_is_walked_without_its_hidden_parts(tmp_path: Path) -> None:
    """A recursive walk yields each file once, with its path below the root, and leaves hidden folders alone."""
    for name in ("a.jpg", "x/b.jpg", "x/y/c.jpg", "x.jpg/d.jpg", ".acusight-agent/000000/e.jpg", "x/.git/f.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert found(tmp_path) == ["a.jpg"]
    assert found(tmp_path, recursive=True) == ["a.jpg", "x.jpg/d.jpg", "x/b.jpg", "x/y/c.jpg"]


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.jpg", b"two\nlines.jpg", b"x" * 246 + b".jpg", "über.jpg".encode(), b"a b\t'\"\\.jpg", b"-rf.jpg"],
    ids=["no text", "newline", "250 bytes", "utf-8", "quotes", "option"],
)
def test_any_name_survives(tmp_path: Path, name: bytes) -> None:
    """A name is whatever bytes the file system has; a look at it finds the file."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"1")
    listing = Listing(tmp_path, ("*.jpg",), recursive=False)
    assert list(listing.walk()) == [(path.name, sighting(path.stat()))]
    assert listing.look(path.name) == sighting(path.stat())
    assert not listing.is_gone(path.name)


def test_names_of_two_bytes(tmp_path: Path) -> None:
    """The shortest names are names."""
    for name in ("ab", "é", ".j"):
        (tmp_path / name).write_bytes(b"1")
    assert found(tmp_path, patterns=("*",)) == ["ab", "é"]


def test_a_directory_that_cannot_be_listed_is_waited_for(tmp_path: Path) -> None:
    """A missing root, or a file in its place, is `Wait` with what to do."""
    (tmp_path / "file").write_bytes(b"")
    for name in ("missing", "file"):
        with pytest.raises(Wait, match=rf"cannot list .*/{name}: .*Create the directory"):
            found(tmp_path / name)


def test_a_closed_folder_costs_the_others_nothing(tmp_path: Path) -> None:
    """A folder that may not be read is said once, until it could be read again; the others are walked."""
    for name in ("a.jpg", "closed/b.jpg", "open/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listing = Listing(tmp_path, PATTERNS, recursive=True)
    closed = tmp_path / "closed"
    with capture_logs() as logs, without_privileges():
        for mode, seen in [(0, 2), (0, 2), (0o700, 3), (0, 2)]:
            closed.chmod(mode)
            assert len(list(listing.walk())) == seen
    closed.chmod(0o700)
    assert names(logs, "folder_unreadable") == [str(closed)] * 2


def test_a_bottomless_tree_is_walked(tmp_path: Path) -> None:
    """Folders may be nested deeper than Python nests its calls."""
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1100):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        assert found(tmp_path, recursive=True) == ["d/" * 1100 + "a.jpg"]
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_only_what_is_not_there_is_gone(tmp_path: Path) -> None:
    """A name below something that cannot be looked into is not known to be gone."""
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "link.jpg").symlink_to("missing")
    listing = Listing(tmp_path, PATTERNS, recursive=True)
    gone = {name: listing.is_gone(name) for name in ("a.jpg", "link.jpg", "b.jpg", "sub/b.jpg", "a.jpg/b", "x" * 300)}
    assert [name for name, is_gone in gone.items() if is_gone] == ["b.jpg", "sub/b.jpg"]


@pytest.mark.parametrize("seconds", [2**62, -(2**62), 2**33], ids=["far", "long ago", "soon"])
def test_any_file_time_can_be_indexed(seconds: int) -> None:
    """A file's time may be any number; a sighting holds one of 64 bits."""
    status = os.stat_result((stat.S_IFREG, 1, 1, 1, 0, 0, 1, 0, seconds, 0), {"st_mtime_ns": seconds * 10**9})
    assert -(2**63) <= sighting(status).mtime_ns < 2**63
    assert (sighting(status).mtime_ns == seconds * 10**9) is (seconds == 2**33)

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from agent.annotations.plan import AnnotationPlan
from agent.clock import SystemClock
from agent.sources import beneath
from agent.sources.opening import Vanished, open_below
from agent.sources.sidecars import Sidecars

LOOK = os.O_PATH | os.O_NOFOLLOW
HOWS = ["openat2", "walk"]


@pytest.fixture(params=HOWS)
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Open in one call of the kernel, and then as where there is no such call."""
    how: str = request.param
    if how == "walk":
        monkeypatch.setattr(beneath, "OPENAT2", 100_000)  # no system call has this number
    return how


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """Return a watched directory with a file in a folder; beside it lies what it must not lead to."""
    root = tmp_path / "watched"
    (root / "day/hour").mkdir(parents=True)
    (root / "day/hour/a.jpg").write_bytes(b"inside")
    (tmp_path / "secret/hour").mkdir(parents=True)
    (tmp_path / "secret/hour/a.jpg").write_bytes(b"outside")
    return root


def content(root: Path, name: str) -> bytes:
    """Read a file through the descriptor that the opening gave."""
    descriptor = beneath.open_beneath(root, name, os.O_RDONLY)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("name", ["day/hour/a.jpg", "day/./hour/a.jpg", "day//hour/a.jpg"])
def test_a_file_below_is_opened(watched: Path, name: str) -> None:
    """Whatever way leads to it without leaving."""
    assert content(watched, name) == b"inside"


@pytest.mark.usefixtures("how")
def test_the_directory_itself_may_be_a_link(watched: Path, tmp_path: Path) -> None:
    """Which directory is watched is the owner's word; only what is below is a stranger's."""
    (tmp_path / "link").symlink_to(watched)
    assert content(tmp_path / "link", "day/hour/a.jpg") == b"inside"


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("name", ["../secret/hour/a.jpg", "day/../../secret/hour/a.jpg", "{out}/hour/a.jpg"])
def test_no_name_leads_out(watched: Path, tmp_path: Path, name: str) -> None:
    """Neither `..` nor an absolute name, even to a file that is there."""
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        content(watched, name.format(out=tmp_path / "secret"))
    assert caught.value.errno == errno.EXDEV


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("target", ["../secret", "{out}", "/proc/self/cwd", "day"])
def test_no_link_on_the_way_is_followed(watched: Path, tmp_path: Path, target: str) -> None:
    """A folder that is a link is refused, wherever it leads: also to a folder beneath."""
    (watched / "link").symlink_to(target.format(out=tmp_path / "secret"))
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        content(watched, "link/hour/a.jpg")
    assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}


@pytest.mark.usefixtures("how")
def test_a_folder_that_is_swapped_for_a_link_leads_nowhere(watched: Path) -> None:
    """Between the scan and the opening a folder becomes a link to one outside: the file has vanished."""
    with open_below(watched, "day/hour/a.jpg") as (descriptor, _):
        assert os.pread(descriptor, 100, 0) == b"inside"
    (watched / "day").rename(watched / "aside")
    (watched / "day").symlink_to("../secret")
    assert (watched / "day/hour/a.jpg").read_bytes() == b"outside"
    with pytest.raises(Vanished), open_below(watched, "day/hour/a.jpg"):
        pass


@pytest.mark.usefixtures("how")
def test_a_sidecar_is_not_read_through_a_swapped_folder(watched: Path, tmp_path: Path) -> None:
    """What a link leads to is nobody's annotations."""
    (watched / "day/hour/a.txt").write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "secret/hour/a.txt").write_text("a secret")
    with Sidecars(watched, AnnotationPlan(), SystemClock()).open("day/hour/a.jpg") as sidecar:
        assert sidecar is not None
    (watched / "day").rename(watched / "aside")
    (watched / "day").symlink_to("../secret")
    with Sidecars(watched, AnnotationPlan(), SystemClock()).open("day/hour/a.jpg") as sidecar:
        assert sidecar is None


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "nothing"])
def test_what_is_no_regular_file_is_not_opened(watched: Path, kind: str) -> None:
    """A pipe holds nobody up, and a link at the end is not followed either."""
    path = watched / "day/b.jpg"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("hour/a.jpg")
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(Vanished), open_below(watched, "day/b.jpg"):
        pass


def test_a_sandbox_that_forbids_the_call_costs_nothing(watched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older sandboxes answer EPERM to system calls they do not know: then each folder is opened in turn."""
    asked = []

    def forbid(*arguments: object) -> int:
        asked.append(arguments)
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(beneath, "SYSCALL", forbid)
    assert content(watched, "day/hour/a.jpg") == b"inside"
    assert asked


@pytest.mark.usefixtures("how")
def test_no_descriptor_is_left_open(watched: Path) -> None:
    """Neither a success nor a refusal costs a descriptor."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("day/hour/a.jpg", "day/none/a.jpg", "../x", "day/hour/a.jpg/b"):
        for _ in range(3):
            try:
                content(watched, name)
            except OSError:
                continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before

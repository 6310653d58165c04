from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent.spool import flushing
from agent.spool.flushing import PROVEN, SHUNNED_S, Flushing, kind_of_file_system, tells_errors

if TYPE_CHECKING:
    from pathlib import Path


class Calls:
    """What was flushed, in order, on a clock of its own; a flush of the file system takes `takes_s`."""

    def __init__(self, patch: pytest.MonkeyPatch, *, kind: int = 0xEF53) -> None:
        self.said: list[str] = []
        self.now = 0.0
        self.takes_s = 0.0
        patch.setattr(flushing, "syncfs", self._syncfs)
        patch.setattr(flushing, "flush", lambda path: self.said.append(path.name))
        patch.setattr(flushing, "kind_of_file_system", lambda _: kind)

    def clock(self) -> float:
        """Return the present."""
        return self.now

    def _syncfs(self, _: int) -> None:
        self.now += self.takes_s
        self.said.append("all")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three pictures of one folder."""
    found = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in found:
        path.touch()
    return found


def test_what_comes_together_is_flushed_together(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """One flush of the file system stands for all pictures and for their folder."""
    calls = Calls(monkeypatch)
    assert Flushing(clock=calls.clock, release="6.1.0").run(pictures) == {pictures[0].parent}
    assert calls.said == ["all"]


def test_one_alone_is_flushed_by_itself(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A single picture does not pay for what others have written; its folder is left to the commit."""
    calls = Calls(monkeypatch)
    assert Flushing(clock=calls.clock, release="6.1.0").run(pictures[:1]) == set()
    assert Flushing(clock=calls.clock, release="6.1.0").run([]) == set()
    assert calls.said == ["0.jpg"]


@pytest.mark.parametrize(("release", "kind"), [("5.7.19", 0xEF53), ("4.19.0-rpi", 0xEF53), ("6.1.0", 0x65735546)])
def test_where_it_may_lie_it_is_not_asked(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch, release: str, kind: int
) -> None:
    """An old kernel keeps errors to itself and FUSE does not flush: there each picture has its own flush."""
    calls = Calls(monkeypatch, kind=kind)
    assert Flushing(clock=calls.clock, release=release).run(pictures) == set()
    assert calls.said == ["0.jpg", "1.jpg", "2.jpg"]


def test_a_disk_that_is_busy_for_others_is_shunned(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a flush of all took long, pictures are flushed one by one for a minute."""
    calls = Calls(monkeypatch)
    flushes = Flushing(clock=calls.clock, release="6.1.0")
    calls.takes_s = 0.6
    flushes.run(pictures)
    flushes.run(pictures[:2])
    calls.now += SHUNNED_S + 1
    flushes.run(pictures)
    assert calls.said == ["all", "0.jpg", "1.jpg", "all"]


@pytest.mark.parametrize(
    ("release", "answers"),
    [("5.8.0", True), ("5.7.99", False), ("6.12.34+rpt-rpi-v8", True), ("10.0", True), ("odd", False), ("", False)],
)
def test_the_kernels_release_decides(release: str, *, answers: bool) -> None:
    """From 5.8 on `syncfs` tells what it could not write; of what cannot be read nothing is expected."""
    assert tells_errors(release) is answers


def test_the_real_calls(tmp_path: Path) -> None:
    """The kernel names its file systems and flushes them; a descriptor that is none is an error."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    assert kind_of_file_system(descriptor) > 0
    assert PROVEN
    flushing.syncfs(descriptor)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        flushing.syncfs(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        kind_of_file_system(descriptor)

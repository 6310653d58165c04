from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from directory_rig import coded, jpeg, sha, until
from structlog.testing import capture_logs

from agent.clock import SystemClock
from agent.pictures.inspect import PictureLimits, inspect
from agent.sources.listing import sighting
from agent.sources.scout import DEADLINE_S, ENOUGH, MOST_BYTES, REST_S, Scout
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from directory_rig import MovedClock, YardMaker

    from agent.clock import Clock
    from agent.pictures.inspect import Picture
    from agent.sources.settle import Sighting

LIMITS = PictureLimits(max_bytes=1_000_000)
IDLE_S = 0.3


def forged(path: Path) -> None:
    """Put other bytes into a file that seems as before: only the kernel's own time tells."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(jpeg(99))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    """Put another file in its place."""
    path.with_suffix(".new").write_bytes(jpeg(99))
    path.with_suffix(".new").replace(path)


WAYS: dict[str, Callable[[Path], object]] = {
    "rewritten in place": lambda path: path.write_bytes(jpeg(99)),
    "rewritten as long, its time put back": forged,
    "replaced": replaced,
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "cut": lambda path: os.truncate(path, 40),
    "touched": lambda path: path.touch(),
    "linked": lambda path: path.with_suffix(".link").hardlink_to(path),
}


@dataclass
class Post:
    """A folder with its scout."""

    folder: Path
    clock: Clock
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        self.scout = Scout(
            self.folder, LIMITS, environment=dict(os.environ), clock=self.clock, stop=self.stop, idle_s=IDLE_S
        )

    def put(self, count: int = ENOUGH) -> list[tuple[str, Sighting]]:
        """Put so many pictures there, and return them as they come up."""
        for number in range(count):
            (self.folder / f"{number}.jpg").write_bytes(jpeg(number))
        return self.coming()

    def coming(self) -> list[tuple[str, Sighting]]:
        """Return all that lies there."""
        return [(path.name, sighting(path.lstat())) for path in sorted(self.folder.iterdir())]

    def reported(self, name: str) -> Picture | None:
        """Return what the scout says of a file as it is now."""
        return self.scout.report(name, (self.folder / name).stat())

    def look(self) -> None:
        """Have everything looked at, and hear of it."""
        self.scout.go_on(self.coming())
        self.scout.go_on(())

    @property
    def child(self) -> int:
        """The child's process id."""
        assert self.scout._child is not None
        return self.scout._child.pid


@pytest.fixture
def post(tmp_path: Path, clock: MovedClock) -> Iterator[Post]:
    """Return a folder and its scout."""
    made = Post(tmp_path / "watched", clock)
    made.folder.mkdir()
    yield made
    made.scout.close()


def in_line(path: Path) -> Picture:
    """Look at a file as the daemon does."""
    with path.open("rb") as file:
        return inspect(file.fileno(), LIMITS)


def test_a_report_says_what_the_daemon_would_have_found(post: Post) -> None:
    """Of a file that is still the same a report is as good as a look, whatever kind of picture it is."""
    post.put()
    for extension in (".png", ".webp", ".bmp", ".tiff"):
        (post.folder / f"other{extension}").write_bytes(coded(extension))
    (post.folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(50))
    post.look()
    for path in post.folder.iterdir():
        assert post.reported(path.name) == in_line(path), path


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_another_now_is_looked_at_anew(post: Post, way: str) -> None:
    """However a file was changed after the look, its report no longer counts."""
    post.put()
    post.look()
    time.sleep(0.02)  # the kernel's own times move on every few milliseconds
    WAYS[way](post.folder / "3.jpg")
    assert post.reported("3.jpg") is None
    assert post.reported("4.jpg") is not None


def test_what_is_no_whole_picture_is_left_to_the_daemon(post: Post) -> None:
    """Half a picture, a text, a pipe, a link, a folder and what is too large have no report, and harm nothing."""
    post.put()
    (post.folder / "half.jpg").write_bytes(jpeg(1)[:-9])
    (post.folder / "text.jpg").write_text("no picture")
    (post.folder / "empty.jpg").touch()
    (post.folder / "large.jpg").write_bytes(jpeg(2) + bytes(LIMITS.max_bytes))
    os.mkfifo(post.folder / "pipe.jpg")
    (post.folder / "link.jpg").symlink_to(post.folder / "1.jpg")
    (post.folder / "folder.jpg").mkdir()
    outside = post.folder.parent / "outside.jpg"
    outside.write_bytes(jpeg(3))
    post.scout.go_on([*post.coming(), ("../outside.jpg", sighting(outside.stat())), ("gone.jpg", post.coming()[0][1])])
    post.scout.go_on(())
    assert sorted(post.scout._reports) == sorted(f"{number}.jpg" for number in range(ENOUGH))


def test_few_files_start_no_child(post: Post) -> None:
    """What comes one by one, or a few at a time, is not worth a process."""
    post.put(ENOUGH - 1)
    post.look()
    assert post.scout._child is None


def test_a_file_is_looked_at_ahead_once(post: Post) -> None:
    """What waits for its sidecar comes up again, and is not read again for that."""
    coming = post.put(2 * ENOUGH)
    post.scout.go_on(coming[:ENOUGH])
    post.scout.go_on(coming)
    asked: list[list[str]] = []
    post.scout._ask = lambda names: asked.append(list(names))  # type: ignore[method-assign]
    post.scout.go_on(coming)
    assert asked == []
    assert len(post.scout._reports) == 2 * ENOUGH


def test_a_request_is_bounded_by_bytes(post: Post) -> None:
    """Large pictures are asked for a few at a time: nobody waits longer than for a second's work."""
    coming = post.put(2 * ENOUGH)
    large = type(coming[0][1])(1, MOST_BYTES // ENOUGH, 1)
    asked: list[list[str]] = []
    post.scout._ask = lambda names: asked.append(list(names))  # type: ignore[method-assign]
    post.scout.go_on([(name, large) for name, _ in coming])
    assert asked == [[name for name, _ in coming[:ENOUGH]]]


def test_a_child_that_fails_is_done_without(post: Post, clock: MovedClock) -> None:
    """A scout's death is nobody's: there are no reports then, and some minutes later there is another child."""
    coming = post.put()
    post.scout.go_on(coming)
    first = post.child
    os.kill(first, signal.SIGKILL)
    with capture_logs() as events:
        post.scout.go_on(coming)
        post.scout.go_on(coming)
    assert [event["event"] for event in events] == ["scout_failed"]
    assert post.scout._child is None
    clock.advance(REST_S)
    post.look()
    assert post.child != first
    assert post.reported("9.jpg") == in_line(post.folder / "9.jpg")


def test_nonsense_for_an_answer_is_done_without(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that talks nonsense is ended like one that fails."""
    post.put()
    talk = """echo '{"size": 0}'; read -r line; echo '{"size": 5}'; echo '[[1]'"""
    monkeypatch.setattr(post.scout, "_command", ("sh", "-c", talk))
    with capture_logs() as events:
        post.look()
    assert [event["event"] for event in events] == ["scout_started", "scout_failed"]
    assert post.reported("3.jpg") is None


def test_i4_a_stop_does_not_wait_for_a_scout_that_hangs(tmp_path: Path) -> None:
    """A child that is stuck in a disk is not waited for when the end is asked for."""
    post = Post(tmp_path, SystemClock())
    post.put()
    post.look()
    os.kill(post.child, signal.SIGSTOP)
    post.scout.go_on([(f"later-{name}", seen) for name, seen in post.coming()])
    nursery = Nursery(post.stop)
    nursery.start("watch", lambda: post.scout.go_on(()))
    began = time.monotonic()
    post.stop.set()
    assert nursery.join(1.0) == []
    assert time.monotonic() - began < DEADLINE_S / 2
    post.scout.go_on(())
    assert post.scout._child is None


def test_a_scout_that_starts_after_the_stop_ends_at_once(post: Post) -> None:
    """A stop that comes while the child is started is found out."""
    post.stop.set()
    post.scout.go_on(post.put())
    assert post.scout._child is None


def test_an_idle_scout_ends_and_leaves_nothing(post: Post) -> None:
    """Without a backlog there is no process and no memory for one, and nothing dead stays in the process list."""
    post.put()
    post.look()
    child = post.child
    until(lambda: not post.scout._child.alive())  # type: ignore[union-attr]
    post.scout.go_on(())
    assert post.scout._child is None
    assert not Path(f"/proc/{child}").exists()


def test_the_scout_lets_others_go_first(post: Post) -> None:
    """Where no core is free, neither the uploads nor anybody else waits for the scout."""
    post.put()
    post.look()
    assert os.getpriority(os.PRIO_PROCESS, post.child) > os.getpriority(os.PRIO_PROCESS, 0)


def test_a_backlog_is_taken_in_by_reports(live: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a backlog what comes later was looked at ahead, and its items are as if the daemon had looked."""
    yard = live()
    pictures = {f"{number:03d}.jpg": jpeg(number) for number in range(300)}
    for name, data in pictures.items():
        (yard.root / name).write_bytes(data)
    told: list[Picture | None] = []
    report = yard.scout.report

    def noted(name: str, status: os.stat_result) -> Picture | None:
        told.append(report(name, status))
        return told[-1]

    monkeypatch.setattr(yard.scout, "report", noted)
    with yard.running():
        until(lambda: len(yard.spool.reader.all("SELECT 1 FROM item")) == len(pictures))
    assert any(told)  # how many is a race: what the child has not looked at in time the daemon looks at itself
    rows = yard.spool.reader.all("SELECT sha256 FROM item")
    assert sorted(row["sha256"] for row in rows) == sorted(map(sha, pictures.values()))

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from camera_rig import alive, children, program, running
from structlog.testing import capture_logs

from agent.sources.camera import CameraPlan

if TYPE_CHECKING:
    from pathlib import Path

    from agent.frame import Frame


def plan(source: str, interval_s: float = 0.0, stall_timeout_s: float = 1.0) -> CameraPlan:
    """Return a plan with a short stall timeout."""
    return CameraPlan("belt", source, interval_s=interval_s, stall_timeout_s=stall_timeout_s)


def pid_of_program() -> int:
    """Return the process id of the program that is running, 0 where there is none."""
    return next((pid for pid, line in children().items() if "program" in line), 0)


FOREVER = "for index in range(100000):\n    show(index); time.sleep(0.02)\n"


def test_a_program_is_read_picture_by_picture(tmp_path: Path) -> None:
    """Every picture a program writes arrives, in order, with the time at which it came."""
    body = "for index in range(6): show(index); time.sleep(0.01)\ntime.sleep(60)\n"
    with running(plan(program(tmp_path, body), stall_timeout_s=30)) as camera:
        camera.until(lambda: len(camera.frames) == 6)
        assert camera.state.opened
    assert camera.indexes() == [0, 1, 2, 3, 4, 5]
    times = [frame.captured_at for frame in camera.frames]
    assert times == sorted(times)
    assert all(frame.position is None and frame.source == "belt" for frame in camera.frames)


def test_an_interval_takes_the_newest_picture_now_and_then(tmp_path: Path) -> None:
    """At an interval the pictures between are let go."""
    with running(plan(program(tmp_path, FOREVER), interval_s=0.3)) as camera:
        camera.until(lambda: len(camera.frames) == 4)
        assert camera.state.restarts == 0
    spans = [
        (after.captured_at - before.captured_at).total_seconds()
        for before, after in zip(camera.frames, camera.frames[1:], strict=False)
    ]
    assert 0.7 < sum(spans) < 1.2


def test_a_program_that_ends_is_started_again(tmp_path: Path) -> None:
    """The end of a program is an outage: it is said, with its last words, and the program is started again."""
    body = "show(3)\nprint('the lens cap is on', file=sys.stderr)\nsys.exit(3)\n"
    with capture_logs() as logs, running(plan(program(tmp_path, body))) as camera:
        camera.until(lambda: camera.state.restarts >= 2)
    assert set(camera.indexes()) == {3}
    lost = [entry["reason"] for entry in logs if entry["event"] == "source_lost"]
    assert lost == ["the program ended with status 3: the lens cap is on"]


def test_garbage_is_no_sign_of_life(tmp_path: Path) -> None:
    """A program that writes anything but pictures is silent, and is killed."""
    body = "while True: sys.stdout.buffer.write(b'x' * 5000); time.sleep(0.01)\n"
    with running(plan(program(tmp_path, body), stall_timeout_s=0.4)) as camera:
        camera.until(pid_of_program)
        child = pid_of_program()
        camera.until(lambda: camera.state.restarts >= 1)
        assert "no frame for 0.4 s" in camera.state.problem
        assert not alive(child)


def test_garbage_between_pictures_is_skipped(tmp_path: Path) -> None:
    """Multipart headers and torn pictures do not hurt their neighbours; torn ones are counted."""
    body = (
        "torn = pathlib.Path(sys.argv[0]).with_name('pictures') / '7.jpg'\n"
        "show(1); sys.stdout.buffer.write(b'--frame\\r\\n\\r\\n' + torn.read_bytes()[:-20])\n"
        "show(2); time.sleep(60)\n"
    )
    with running(plan(program(tmp_path, body), stall_timeout_s=30)) as camera:
        camera.until(lambda: len(camera.frames) == 2)
    assert camera.indexes() == [1, 2]
    assert camera.state.bad == {"torn": 1}


@pytest.mark.parametrize("ignoring", ["signal.signal(signal.SIGTERM, signal.SIG_IGN)\n", ""])
def test_a_stop_ends_a_program_and_all_it_started(tmp_path: Path, ignoring: str) -> None:
    """A stop ends the whole process group within 2 s, also where SIGTERM is ignored."""
    body = (
        f"{ignoring}other = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(tmp_path / 'other')!r}).write_text(str(other.pid))\n{FOREVER}"
    )
    with running(plan(program(tmp_path, body))) as camera:
        camera.until(lambda: camera.frames)
        child, other = pid_of_program(), int((tmp_path / "other").read_text())
        assert alive(other)
        assert camera.halt() < 2
        assert not alive(child)
        camera.until(lambda: not alive(other), 1.0)


def test_a_program_that_cannot_be_started_is_an_outage() -> None:
    """A program that is not there (yet) is looked for again."""
    with capture_logs() as logs, running(plan("cmd:/no/such/program -o -")) as camera:
        camera.until(lambda: camera.state.restarts >= 2)
    assert [entry["reason"] for entry in logs] == ["/no/such/program cannot be started: No such file or directory"]


def test_after_a_long_wait_for_the_disk_old_pictures_are_skipped(tmp_path: Path) -> None:
    """A wait for the disk is no silence, and what waited in the pipe is not stamped with the present."""
    body = "for index in range(100000):\n    show(index); time.sleep(0.05)\n"
    with running(plan(program(tmp_path, body), stall_timeout_s=1)) as camera:
        waited = threading.Event()

        def slow_once(_: Frame) -> None:
            if not waited.is_set():
                waited.wait(1.2)
                waited.set()

        camera.on_frame = slow_once
        camera.until(lambda: len(camera.frames) >= 3)
    first, second = camera.indexes()[:2]
    assert second - first > 15, "some twenty pictures were written in the meantime"
    assert camera.state.restarts == 0


def test_a_program_sees_the_environment_it_is_given(tmp_path: Path) -> None:
    """A program runs with the cleaned environment alone, and reads nothing."""
    body = (
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(repr((sorted(os.environ), sys.stdin.read())))\n"
        "show(0); time.sleep(60)\n"
    )
    with running(plan(program(tmp_path, body), stall_timeout_s=30)) as camera:
        camera.until(lambda: camera.frames)
    names, read = eval((tmp_path / "seen").read_text())  # noqa: S307 (what the test's own program wrote)
    assert set(names) <= {"PATH", "LC_CTYPE", "PWD"}
    assert read == ""

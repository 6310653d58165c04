"""A live camera is a real HTTP server here, which gives Motion JPEG, stalls, and hangs up when it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from camera_rig import alive, children, grabber, jpeg, running
from structlog.testing import capture_logs

from agent.clock import SystemClock, boot_id
from agent.errors import Wait
from agent.sources.camera import CameraPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.frame import Frame

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


class MjpegServer:
    """A camera on loopback, with a password: 20 different frames a second, as long as it is not told to stall."""

    def __init__(self) -> None:
        self.stalled = threading.Event()
        self.hang_up = threading.Event()
        self.same = threading.Event()
        self.connections = 0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Return its address, with the password that it wants."""
        return f"http://operator:wordpass@127.0.0.1:{self._listener.getsockname()[1]}/live"

    def close(self) -> None:
        """Hang up on everybody."""
        self._over.set()
        for thread in list(self._threads):
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(2)
            try:
                if not self._admitted(connection):
                    return
                self.connections += 1
                connection.sendall(HEAD)
                self._stream(connection)
            except OSError:
                return

    def _admitted(self, connection: socket.socket) -> bool:
        """Ask for the password, as cameras do: nobody sends it unasked."""
        if b"Authorization: Basic " in connection.recv(4096):
            return True
        connection.sendall(b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')
        return False

    def _stream(self, connection: socket.socket) -> None:
        index = 0
        while not self._over.is_set() and not self.hang_up.is_set():
            if not self.stalled.is_set():
                index += not self.same.is_set()
                picture = jpeg(index % 45)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                connection.sendall(head.encode() + picture + b"\r\n")
            self._over.wait(0.05)


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    """Return a camera that streams."""
    server = MjpegServer()
    yield server
    server.close()


def plan(url: str, interval_s: float = 0.0) -> CameraPlan:
    """Return a plan with a short stall timeout."""
    return CameraPlan("gate", url, interval_s=interval_s, open_timeout_s=3.0, stall_timeout_s=0.4)


def test_a_stalled_camera_is_killed_and_opened_again(server: MjpegServer) -> None:
    """A stream that stands still for the stall timeout is lost, its grabber killed, and it comes back by itself."""
    with capture_logs() as logs, running(plan(server.url)) as camera:
        camera.until(lambda: len(camera.frames) >= 5)
        first = grabber()
        server.stalled.set()
        camera.until(lambda: camera.state.restarts == 1)
        assert not camera.state.opened
        assert not alive(first)
        server.stalled.clear()
        count = len(camera.frames)
        camera.until(lambda: len(camera.frames) >= count + 5)
    events = [entry["event"] for entry in logs]
    assert events[:3] == ["source_opened", "source_lost", "source_opened"]
    assert logs[1]["retry_in_s"] > 0


def test_a_live_frame_says_when_it_was_taken_on_the_boot_clock(server: MjpegServer) -> None:
    """Each has its moment in this boot, so that a label that a wrong clock gave can be put right later."""
    before = SystemClock().boot()
    with running(plan(server.url)) as camera:
        camera.until(lambda: len(camera.frames) >= 3)
    stamps = [frame.stamp for frame in camera.frames if frame.stamp is not None]
    assert len(stamps) == len(camera.frames)
    assert {stamp.boot_id for stamp in stamps} == {boot_id()}
    moments = [stamp.boot_s for stamp in stamps if stamp.boot_s is not None]
    assert before < moments[0]
    assert moments == sorted(moments)


def test_a_frozen_grabber_is_found_and_killed(server: MjpegServer) -> None:
    """A grabber that stops in the middle of everything (SIGSTOP) is silence like any other."""
    with running(plan(server.url)) as camera:
        camera.until(lambda: len(camera.frames) >= 2)
        first = grabber()
        os.kill(first, signal.SIGSTOP)
        camera.until(lambda: camera.state.restarts == 1)
        assert not alive(first)
        assert "no frame for 0.4 s" in camera.state.problem
        count = len(camera.frames)
        camera.until(lambda: len(camera.frames) > count)


def test_a_camera_that_is_asked_rarely_is_known_to_be_alive(server: MjpegServer) -> None:
    """Silence is judged by what the device gives: one picture an hour is no stall, a dead device is one."""
    with running(plan(server.url, interval_s=3600)) as camera:
        camera.until(lambda: camera.state.seen >= 15)
        assert (camera.state.restarts, len(camera.frames)) == (0, 1)
        server.stalled.set()
        camera.until(lambda: camera.state.restarts == 1)


def test_a_repeated_loss_is_said_once(server: MjpegServer) -> None:
    """The same failure again and again is one warning."""
    server.hang_up.set()
    with capture_logs() as logs, running(plan(server.url)) as camera:
        camera.until(lambda: camera.state.restarts >= 3)
    assert [entry["event"] for entry in logs] == ["source_lost"]


def test_frozen_pictures_are_counted_and_not_sent(server: MjpegServer) -> None:
    """A device that gives the same picture for ever is alive, but brings no news."""
    server.same.set()
    with capture_logs() as logs, running(plan(server.url)) as camera:
        camera.until(lambda: camera.state.bad.get("frozen", 0) >= 2)
        assert len(camera.frames) == 2
        assert camera.state.restarts == 0
    assert [entry["frozen"] >= 1 for entry in logs if entry["event"] == "frames_rejected"] == [True]


def test_a_password_is_shown_nowhere(server: MjpegServer) -> None:
    """The camera gets the password; no process list, log line or state does."""
    with capture_logs() as logs, running(plan(server.url)) as camera:
        camera.until(lambda: camera.frames)
        shown = " ".join(children().values())
        assert "agent.sources.grabber" in shown
        assert "wordpass" not in shown
        server.stalled.set()
        camera.until(lambda: camera.state.restarts == 1)
    assert "wordpass" not in repr(logs) + repr(camera.states) + repr(camera.frames[0].source)
    assert camera.state.source.startswith("http://***@127.0.0.1")


def test_a_grabber_sees_nothing_of_the_agents_environment(server: MjpegServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grabber gets the few variables it needs, whatever the agent itself was started with."""
    monkeypatch.setenv("ACUSIGHT_AGENT_SERVER__DEVICE_KEY", "adk_secret")
    with running(plan(server.url)) as camera:
        camera.until(lambda: camera.frames)
        environment = Path(f"/proc/{grabber()}/environ").read_bytes()
    assert b"adk_secret" not in environment
    assert b"OPENBLAS_NUM_THREADS=1" in environment


def test_a_live_frame_without_room_is_gone(server: MjpegServer) -> None:
    """Where the spool says Wait a live camera goes on with its next frame."""
    refused: list[Frame] = []

    def refuse_some(frame: Frame) -> None:
        if len(refused) < 2:
            refused.append(frame)
            raise Wait("no room")

    with running(plan(server.url)) as camera:
        camera.on_frame = refuse_some
        camera.until(lambda: len(camera.frames) >= 3)
    assert refused[1].captured_at < camera.frames[0].captured_at
    assert not {frame.captured_at for frame in refused} & {frame.captured_at for frame in camera.frames}


@pytest.mark.parametrize("state", ["streaming", "stalled", "stopped by a signal", "waiting to reopen", "opening"])
def test_a_stop_ends_the_camera_within_two_seconds(server: MjpegServer, state: str) -> None:
    """Whatever the camera does, a stop ends its thread and its child within 2 s."""
    if state == "opening":
        server.stalled.set()
    if state == "waiting to reopen":
        server.hang_up.set()
    slow = CameraPlan("gate", server.url, open_timeout_s=30, stall_timeout_s=30)
    with running(plan(server.url) if state == "waiting to reopen" else slow) as camera:
        if state == "opening":
            camera.until(lambda: server.connections)
        elif state == "waiting to reopen":
            camera.until(lambda: camera.state.restarts >= 1)
        else:
            camera.until(lambda: camera.frames)
        child = grabber()
        if state == "stalled":
            server.stalled.set()
        if state == "stopped by a signal":
            os.kill(child, signal.SIGSTOP)
        assert camera.halt() < 2
        assert not alive(child)


def test_a_grabber_dies_with_the_process_that_started_it(server: MjpegServer, tmp_path: Path) -> None:
    """A kill -9 of the agent leaves no grabber behind, not even one that hangs in a read."""
    script = tmp_path / "agent_in_small.py"
    script.write_text(
        "import os, random\n"
        "from agent.clock import SystemClock\n"
        "from agent.pictures.studio import PictureChild\n"
        "from agent.sources.camera import Camera, CameraPlan\n"
        "from agent.workers import Stop\n"
        f"plan = CameraPlan('gate', {server.url!r}, stall_timeout_s=60)\n"
        "Camera(plan, deliver=lambda frame: print('frame', flush=True), stop=Stop(), clock=SystemClock(),\n"
        "       rng=random.Random(), darkroom=PictureChild(environment={}), resume=lambda *_: None,\n"
        "       environment=os.environ).run()\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert b"source_opened" in parent.stdout.readline() + parent.stdout.readline()
        child = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
        server.stalled.set()
        threading.Event().wait(0.2)  # the grabber takes what is on its way, and hangs
        parent.kill()
    deadline = time.monotonic() + 1
    while alive(child) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert not alive(child)

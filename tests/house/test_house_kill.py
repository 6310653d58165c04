from __future__ import annotations

import os
import random
import signal
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

from house_rig import House, arrive, photograph, until, video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS = 8
BACKLOG = 300


@contextmanager
def recorder(answers: list[int]) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that notes each upload's body, and hangs up for each answer that is 0."""
    bodies: list[bytes] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            status = answers[min(len(bodies), len(answers)) - 1]
            if status:
                answer = b'{"success": true, "data": {"image_id": "i-1"}}'
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_kills_at_any_moment_lose_and_damage_nothing(tmp_path: Path) -> None:
    """Killed again and again in intake and drain, the agent still delivers each picture once (I1, I2, I3)."""
    dice = random.Random(20260314)
    with House(tmp_path) as house:
        clip = tmp_path / "belt.avi"
        frames = video(clip, 150)
        camera = {"name": "belt", "source": str(clip), "interval_s": 0}
        house.configure(camera=[camera], watch=[{"recursive": True}])
        house.fault(delay_s=0.03)
        files = {}
        for kill in range(KILLS):
            agent = house.run()
            for number in range(6):
                path = house.watched / f"{kill}" / f"{number}.jpg"
                files[path] = arrive(path, photograph(10 * kill + number))
            time.sleep(dice.uniform(0.0, 0.5))
            agent.kill()
            assert all(path.is_file() for path in files)
        house.fault()
        house.once()
        house.check([*files.values(), *frames])
        for path, digest in files.items():
            assert arrived(house, digest) == path.read_bytes()
        assert sorted(path for path in (house.spool / "items").rglob("*") if path.is_file()) == []


def arrived(house: House, digest: str) -> bytes:
    """Return what the platform keeps under a digest."""
    return next((house.sandbox.folder / "images").glob(f"{digest}.*")).read_bytes()


def test_an_original_goes_only_behind_its_receipt(tmp_path: Path) -> None:
    """With after_delivery = "delete" a file whose picture has no receipt survives every kill (I1)."""
    dice = random.Random(7)
    with House(tmp_path) as house:
        house.configure(watch=[{"after_delivery": "delete"}])
        house.fault(delay_s=0.05)
        files = {}
        for number in range(16):
            path = house.watched / f"{number}.jpg"
            files[path] = arrive(path, photograph(number))
        for _ in range(3):
            agent = house.run()
            time.sleep(dice.uniform(0.1, 0.5))
            agent.kill()
            receipts = {row["sha256"] for row in house.rows("SELECT sha256 FROM receipt")}
            missing = {digest for path, digest in files.items() if not path.exists()}
            assert missing <= receipts
        house.once()
        house.check(files.values())
        assert list(house.watched.glob("*.jpg")) == []


def test_a_retry_sends_the_very_same_request(tmp_path: Path) -> None:
    """After a lost answer, a kill and a restart the item goes out with the same bytes and filename (I3)."""
    with House(tmp_path) as house, recorder([0, 0, 201]) as (url, bodies):
        house.configure(server={"url": url}, upload={"workers": 1})
        path = house.watched / "a.jpg"
        arrive(path, photograph(1))
        arrive(house.watched / "a.txt", b"0 0.5 0.5 0.1 0.1\n")
        agent = house.run()
        until(lambda: len(bodies) == 1)
        agent.kill()
        path.unlink()
        house.once()
        assert len(bodies) == 3
        assert bodies[0] == bodies[1] == bodies[2]
        assert photograph(1) in bodies[2]
        receipt = house.rows("SELECT * FROM receipt")[0]
        assert f'filename="{receipt["filename"]}"'.encode() in bodies[2]
        assert receipt["outcome_unknown"] == 1


def test_an_index_that_is_damaged_at_work_is_salvaged_without_a_restart(tmp_path: Path) -> None:
    """Junk written over the index of a running agent costs no picture: it opens the spool anew (I2, I9)."""
    with House(tmp_path) as house:
        house.sandbox.kill()
        digests = {arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(12)}
        agent = house.run()
        agent.until("item_spooled", 12)
        agent.until("link_paused")
        for path in (house.spool / "index.sqlite3", house.spool / "index.sqlite3-wal"):
            with path.open("r+b") as file:
                file.write(b"junk" * (path.stat().st_size // 4))
        house.sandbox.start()
        house.arrived(12)
        assert {upload["sha256"] for upload in house.sandbox.uploads()} == digests
        assert agent.process.poll() is None
        assert agent.events("spool_damaged")
        agent.stop()


def test_a_scout_that_dies_costs_no_picture(tmp_path: Path) -> None:
    """What looks ahead at a backlog may be killed in the middle of it: every picture arrives once all the same."""
    with House(tmp_path) as house:
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(BACKLOG)]
        house.run()
        until(lambda: scouts(house))
        for scout in scouts(house):
            os.kill(scout, signal.SIGKILL)
        house.settled(BACKLOG)
        house.check(digests)


def scouts(house: House) -> list[int]:
    """Return the process ids of what looks ahead."""
    return [pid for pid, command in house.living().items() if "scout_child" in command]

"""Watch mode beside curl and bare http.client, on the same pictures, in the same run.

    python benchmarks/watch.py [--count 1000] [--delay 0] [--workers 2] [--rounds 3]

Prints medians: pictures a second as the sink saw them, CPU milliseconds a picture, and, for the agent, bytes written
to the device per byte of picture (from /proc/PID/io). `client` is the agent's HTTP client alone. Ratios carry from
machine to machine; absolute figures do not.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from agent.clock import SystemClock
from agent.frame import JPEG, Item
from agent.platform.client import Client, Endpoint
from agent.platform.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "adk_0123456789abcdef"
SIZE = 200_000


def make_pictures(folder: Path, count: int) -> None:
    """Write distinct JPEGs of about 200 KB: one real picture, numbered in a comment segment."""
    import cv2  # noqa: PLC0415 (only here)
    import numpy as np  # noqa: PLC0415

    folder.mkdir(parents=True)
    pixels = np.random.default_rng(7).integers(0, 255, (420, 560, 3), dtype=np.uint8)
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    for number in range(count):
        note = f"{number:08d}".encode().ljust(max(8, min(SIZE - len(encoded), 60_000)), b".")
        comment = b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note
        (folder / f"p{number:06d}.jpg").write_bytes(encoded[:2] + comment + encoded[2:])
    os.sync()


class Sink:
    """The receiving process."""

    def __init__(self, delay_s: float) -> None:
        command = [sys.executable, str(Path(__file__).with_name("sink.py")), "0", "--delay", str(delay_s)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]

    def figures(self) -> dict[str, Any]:
        """Return what came in since the last call."""
        with urllib.request.urlopen(f"{self.url}/figures") as answer:  # noqa: S310 (our own child)
            found: dict[str, Any] = json.load(answer)
            return found


def rate(sink: Sink, count: int) -> float:
    """Return pictures a second; a wrong count is a failure, not a figure."""
    found = sink.figures()
    if found["count"] != count:
        raise SystemExit(f"the sink got {found['count']} pictures, not {count}")
    if os.environ.get("BENCH_SINK"):
        print(f"sink: {found['cpu'] / max(1, count) * 1e3:.2f} ms of CPU a picture")
    return count / (found["last"] - found["first"])


def run_curl(sink: Sink, pictures: list[Path], work: Path, workers: int) -> tuple[float, float, float]:
    """Upload with one parallel curl process."""
    config = work / "curl.conf"
    request = f'url = "{sink.url}/device/images/upload"\nheader = "X-Device-Key: {KEY}"\noutput = "/dev/null"\n'
    entries = [f'{request}form = "image=@{path}"\n' for path in pictures]
    config.write_text("next\n".join(entries))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["curl", "-sS", "--parallel", "--parallel-max", str(workers), "-K", config], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return rate(sink, len(pictures)), cpu / len(pictures) * 1e3, after.ru_maxrss / 1e3


def _form(head: bytes, stream: BinaryIO, tail: bytes) -> Iterator[bytes]:
    yield head
    while piece := stream.read(65_536):
        yield piece
    yield tail


def run_http_client(sink: Sink, pictures: list[Path]) -> tuple[float, float, float]:
    """Upload with bare http.client, streaming each file, one after another."""
    host = sink.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    tail = b"\r\n--bench--\r\n"
    began = time.process_time()
    for path in pictures:
        head = f'--bench\r\nContent-Disposition: form-data; name="image"; filename="{path.name}"\r\n\r\n'.encode()
        with path.open("rb") as stream:
            headers = {
                "Content-Type": "multipart/form-data; boundary=bench",
                "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
                "X-Device-Key": KEY,
            }
            connection.request("POST", "/device/images/upload", _form(head, stream, tail), headers)
            connection.getresponse().read()
    cpu = time.process_time() - began
    connection.close()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return rate(sink, len(pictures)), cpu / len(pictures) * 1e3, peak_mb


def run_client(sink: Sink, items: list[Item]) -> tuple[float, float, float]:
    """Upload with the agent's own client, one after another: what an upload costs without queue and folder."""
    client = Client(Endpoint(sink.url, 5.0, 30.0), key=lambda: KEY, transport=Transport(None), clock=SystemClock())
    began = time.process_time()
    with client:
        for item in items:
            client.upload(item)
    cpu = time.process_time() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return rate(sink, len(items)), cpu / len(items) * 1e3, peak_mb


def as_items(pictures: list[Path]) -> list[Item]:
    """Make items of files, as the spool would hand them out."""
    now = datetime.now(UTC)
    metadata = '{"source":"bench","timestamp":"2026-03-14T08:15:02.417Z"}'
    return [
        Item(
            number,
            "bench",
            path.name,
            path,
            JPEG,
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
            metadata,
            now,
        )
        for number, path in enumerate(pictures)
    ]


def run_agent(sink: Sink, folder: Path, count: int, work: Path, workers: int) -> tuple[float, float, float, float]:
    """Let the agent take a folder and send it, with full durability.

    Returns pictures a second, CPU seconds of the whole run, peak MB, and device bytes a picture byte.
    """
    spool = work / "spool"
    shutil.rmtree(spool, ignore_errors=True)
    (work / "config.toml").write_text(
        f'[server]\nurl = "{sink.url}"\ndevice_key = "{KEY}"\n[[watch]]\npath = "{folder}"\nsettle_s = 0.0\n'
        f'sidecar_wait_s = 0.0\n[spool]\ndir = "{spool}"\n[upload]\nworkers = {workers}\n[log]\nlevel = "warning"\n'
    )
    (work / "config.toml").chmod(0o600)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    log = (work / "agent.log").open("w")
    command = [sys.executable, "-m", "agent", "-c", str(work / "config.toml"), "run", "--once"]
    with subprocess.Popen(command, stderr=log) as agent:
        written = 0
        while agent.poll() is None:
            written = max(written, written_bytes(agent.pid))
            time.sleep(0.01)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if agent.returncode != 0:
        raise SystemExit(f"the agent ended with {agent.returncode}:\n{(work / 'agent.log').read_text()}")
    cpu = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
    speed = rate(sink, count) if count else 0.0
    return speed, cpu, usage.ru_maxrss / 1e3, written / (max(1, count) * SIZE)


def agent_start_cpu(sink: Sink, work: Path, workers: int) -> float:
    """Return the CPU seconds that a run without a picture costs: a daemon pays them once."""
    empty = work / "empty"
    empty.mkdir(exist_ok=True)
    return run_agent(sink, empty, 0, work, workers)[1]


def written_bytes(pid: int) -> int:
    """Return what a process caused to be written to a device."""
    try:
        text = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("write_bytes")), 0)


def main() -> None:
    """Run all in turn, several rounds, and print medians and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        work = Path(name)
        folder = work / "pictures"
        make_pictures(folder, options.count)
        pictures = sorted(folder.iterdir())
        sink = Sink(options.delay)
        try:
            rows = measure(sink, folder, pictures, work, options)
        finally:
            sink.process.kill()
            sink.process.wait()
    report(rows, options)


def report(rows: dict[str, list[tuple[float, ...]]], options: argparse.Namespace) -> None:
    """Print medians and ratios."""
    medians = {who: list(map(statistics.median, zip(*runs, strict=True))) for who, runs in rows.items()}
    curl, bare, client, agent = (medians[who] for who in ("curl", "http.client", "client", "agent"))
    print(
        f"{options.count} JPEGs of about 200 KB, {options.delay * 1e3:g} ms of delay, "
        f"{options.workers} workers, medians of {options.rounds}"
    )
    print(f"{'':14} pictures/s   CPU ms each")
    for who, row in medians.items():
        print(f"{who:14} {row[0]:10.0f} {row[1]:13.2f}")
    print(f"pictures/s, agent / curl:             {agent[0] / curl[0]:.2f}")
    print(f"CPU each, upload / http.client:       {client[1] / bare[1]:.2f}")
    print(f"CPU each, whole agent / http.client:  {agent[1] / bare[1]:.2f}")
    print(f"device bytes, written / picture byte: {agent[3]:.3f}")


def measure(
    sink: Sink, folder: Path, pictures: list[Path], work: Path, options: argparse.Namespace
) -> dict[str, list[tuple[float, ...]]]:
    """Interleave the contestants, so that a drift of the machine meets all alike."""
    rows: dict[str, list[tuple[float, ...]]] = {"curl": [], "http.client": [], "client": [], "agent": []}
    items = as_items(pictures)
    idle_cpu = agent_start_cpu(sink, work, options.workers)
    for _ in range(options.rounds):
        rows["curl"].append(run_curl(sink, pictures, work, options.workers))
        rows["http.client"].append(run_http_client(sink, pictures))
        rows["client"].append(run_client(sink, items))
        speed, cpu, peak, written = run_agent(sink, folder, len(pictures), work, options.workers)
        rows["agent"].append((speed, (cpu - idle_cpu) / len(pictures) * 1e3, peak, written))
    return rows


if __name__ == "__main__":
    main()

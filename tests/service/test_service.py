from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.config.environment import Environment
from agent.errors import Interrupted
from agent.service import Notifier, Signals, watchdog_interval_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Return the name of a real notify socket, as systemd would pass it, and the socket."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@acusight-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        receiver.settimeout(5)
        yield name, receiver


class TestNotifier:
    """What systemd hears."""

    def test_each_word_is_one_message(self, manager: tuple[str, socket.socket]) -> None:
        """Every method sends its assignment of sd_notify(3)."""
        name, receiver = manager
        notifier = Notifier(name)
        for say in (notifier.ready, notifier.stopping, notifier.watchdog):
            say()
        assert [receiver.recv(1000) for _ in range(3)] == [b"READY=1", b"STOPPING=1", b"WATCHDOG=1"]

    def test_a_reload_carries_the_monotonic_time(self, manager: tuple[str, socket.socket]) -> None:
        """RELOADING comes with the microseconds of CLOCK_MONOTONIC."""
        name, receiver = manager
        Notifier(name).reloading()
        first, second = receiver.recv(1000).decode().split("\n")
        assert first == "RELOADING=1"
        sent = int(second.removeprefix("MONOTONIC_USEC="))
        assert 0 <= time.clock_gettime(time.CLOCK_MONOTONIC) - sent / 1e6 < 5

    def test_a_status_cannot_forge_a_message(self, manager: tuple[str, socket.socket]) -> None:
        """A status is one bounded line without secrets, whatever it was made from."""
        name, receiver = manager
        notifier = Notifier(name)
        notifier.status("3 waiting\nMAINPID=1\n adk_c0ffee rtsp://u:p@cam \udcff")
        assert receiver.recv(1000) == rb"STATUS=3 waiting MAINPID=1 adk_*** rtsp://***@cam \udcff"
        notifier.status("x" * 10**6)
        assert len(receiver.recv(10_000)) < 600

    @pytest.mark.parametrize("name", [None, "", "/nowhere/notify", "@nobody", "/x" * 200, "a\0b", "@\udcff"])
    def test_nobody_there_is_no_error(self, name: str | None) -> None:
        """Without a socket, or with a dead or impossible one, nothing is sent and nothing raised."""
        notifier = Notifier(name)
        notifier.ready()
        notifier.status("fine")

    def test_a_manager_that_does_not_listen_cannot_block(self, manager: tuple[str, socket.socket]) -> None:
        """When the socket's queue is full, a message is given up after its deadline."""
        name, receiver = manager
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            with pytest.raises(BlockingIOError):
                _flood(filler, receiver.getsockname())
        begin = time.monotonic()
        Notifier(name).watchdog()
        assert time.monotonic() - begin < 3


def _flood(filler: socket.socket, address: str | bytes) -> None:
    for _ in range(10_000):
        filler.sendto(b"x", address)


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        (None, None, None),
        (0, None, None),
        (60_000_000, None, 30.0),
        pytest.param(60_000_000, os.getpid(), 30.0, id="ours"),
        (60_000_000, 1, None),
    ],
)
def test_watchdog_interval(usec: int | None, pid: int | None, interval: float | None) -> None:
    """A ping is due at half of WATCHDOG_USEC, in the process that systemd watches."""
    assert watchdog_interval_s(Environment(watchdog_usec=usec, watchdog_pid=pid)) == interval


class TestSignals:
    """Signals in this process."""

    @pytest.mark.parametrize(
        ("numbers", "asked"),
        [
            ([signal.SIGTERM], {"stop"}),
            ([signal.SIGINT], {"stop"}),
            ([signal.SIGHUP], {"reload"}),
            ([signal.SIGHUP, signal.SIGTERM, signal.SIGTERM], {"reload", "stop"}),
        ],
    )
    def test_a_signal_ends_the_wait(self, numbers: list[signal.Signals], asked: set[str]) -> None:
        """A signal that came before the wait is not lost, and is told once."""
        with Signals() as signals:
            for number in numbers:
                os.kill(os.getpid(), number)
            assert signals.wait(5) == asked
            assert signals.wait(0) == set()

    def test_a_wake_ends_the_wait_for_nothing(self) -> None:
        """Another thread can end a wait, also one that comes later; a wake when all is over is harmless."""
        with Signals() as signals:
            thread = threading.Thread(target=signals.wake)
            thread.start()
            begin = time.monotonic()
            assert signals.wait(5) == set()
            assert time.monotonic() - begin < 4
            thread.join()
        signals.wake()

    def test_a_flood_of_wakes_crowds_out_no_signal(self) -> None:
        """However often nobody listened, the signal that comes after is heard at the next wait."""
        with Signals() as signals:
            for _ in range(10_000):
                signals.wake()
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.wait(5) == {"stop"}
            assert signals.wait(0) == set()

    def test_something_to_read_can_be_waited_for(self) -> None:
        """It tells whether it is there within the time; a wake of others' does not end that wait."""
        there, here = os.pipe()
        with Signals() as signals, open(there, "rb"), open(here, "wb", buffering=0) as writer:  # noqa: PTH123
            signals.wake()
            assert signals.wait_for(there, 0.01) is False
            writer.write(b"x")
            assert signals.wait_for(there, 5) is True
            assert signals.wait(5) == set()

    def test_what_is_asked_for_meanwhile_is_kept(self) -> None:
        """A reload ends such a wait early and is told by the next `wait`, at once; a stop also ends what waited."""
        there, here = os.pipe()
        with Signals() as signals, open(there, "rb"), open(here, "wb"):  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.wait_for(there, 5) is False
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(2):
                with pytest.raises(Interrupted):
                    signals.wait_for(there, 5)
            assert signals.wait(None) == {"reload", "stop"}
            assert signals.wait(0) == set()

    def test_leaving_restores_what_was_there(self) -> None:
        """Handlers and wake-up descriptor are as before."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [signal.getsignal(number) for number in numbers]
        with Signals():
            assert all(signal.getsignal(number) is not handler for number, handler in zip(numbers, before, strict=True))
        assert [signal.getsignal(number) for number in numbers] == before
        assert signal.set_wakeup_fd(-1) == -1


CHILD = """
import sys
from agent.service import Signals
with Signals() as signals:
    print("ready", flush=True)
    while True:
        asked = signals.wait(None)
        print(*sorted(asked), flush=True)
        if "stop" in asked:
            sys.exit(0)
"""


def test_a_process_reloads_and_stops() -> None:
    """A waiting process hears SIGHUP and goes on, hears SIGTERM and ends by itself."""
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        heard = [child.stdout.readline().strip()]
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            child.send_signal(number)
            heard.append(child.stdout.readline().strip())
        assert heard == ["ready", "reload", "reload", "stop"]
        assert child.wait(10) == 0

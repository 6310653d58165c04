"""The grabber's loops, on a real pipe, with a stand-in for the device alone."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from agent.errors import BadPicture, Reopen
from agent.sources.grabber import FAILED_GRABS, play, watch
from agent.sources.outbox import Outbox
from agent.sources.wire import Order, Record, Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from camera_rig import HandClock

    from agent.sources.capture import Capture


class Pipe:
    """A pipe with room for one page."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.reading, False)
        self._records = Records()

    def read(self) -> list[Record]:
        """Return the records that have arrived whole."""
        try:
            return self._records.feed(os.read(self.reading, 65536))
        except BlockingIOError:
            return []


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return an empty pipe."""
    pipe = Pipe()
    yield pipe
    os.close(pipe.reading)
    os.close(pipe.writing)


class Device:
    """A capture that gives scripted frames: bytes, a word for a bad one, or False for a failed grab."""

    def __init__(self, script: Sequence[bytes | str | bool], clock: HandClock, step_s: float = 0.1) -> None:
        self.clock = clock
        self.judged = 0
        self.positions: list[float] = []
        self._step_s = step_s
        self._script = iter(script)
        self._now: bytes | str | bool = False

    def grab(self) -> bool:
        """Step to the next scripted frame."""
        self.clock.advance(self._step_s)
        self._now = next(self._script, False)
        return self._now is not False

    def news(self) -> bytes:
        """Return the frame, or refuse it by its word."""
        self.judged += 1
        if not isinstance(self._now, bytes):
            raise BadPicture(str(self._now))
        return self._now

    picture = news

    def frames_per_s(self) -> float:
        """Return ten."""
        return 10.0

    def duration_s(self) -> float:
        """Return two seconds."""
        return 2.0

    def position_s(self) -> float:
        """Return the scripted time stamp, none by default."""
        return self.positions.pop(0) if self.positions else 0.0


def as_capture(device: Device) -> Capture:
    """Return the device under the name of what it stands in for."""
    return device  # type: ignore[return-value]


def order(kind: str = "device", **facts: float) -> Order:
    """Return an order for the loops."""
    return Order(kind, "x", os.getpid(), **facts)  # type: ignore[arg-type]


def frames(records: list[Record]) -> list[bytes]:
    """Return the pictures among the records."""
    return [record.body for record in records if record.event == "frame"]


def test_a_live_source_is_grabbed_at_its_rate_and_judged_at_its_interval(pipe: Pipe, clock: HandClock) -> None:
    """Every frame is grabbed and counted, but only those that are due cost a decode."""
    device = Device([b"%d" % index for index in range(35)], clock)
    with pytest.raises(Reopen, match="gives no more frames"):
        watch(as_capture(device), order(interval_s=1.0), Outbox(pipe.writing), clock)
    records = pipe.read()
    assert frames(records) == [b"0", b"10", b"20", b"30"]
    assert device.judged == 4
    assert [record.facts["seen"] for record in records if record.event == "alive"] == [1, 11, 21, 31]
    stamps = [(record.facts["wall"], record.facts["boot"]) for record in records if record.event == "frame"]
    assert stamps[1][1] - stamps[0][1] == pytest.approx(1.0)
    assert stamps[1][0] - stamps[0][0] == pytest.approx(1.0)


def test_a_bad_frame_leaves_its_interval_to_the_next_good_one(pipe: Pipe, clock: HandClock) -> None:
    """At one picture an hour a black frame does not cost the hour; judging is repeated after half a second."""
    device = Device(["black"] * 3 + [b"day"] * 12, clock)
    with pytest.raises(Reopen):
        watch(as_capture(device), order(interval_s=3600), Outbox(pipe.writing), clock)
    records = pipe.read()
    assert frames(records) == [b"day"]
    assert records[-1].facts["seen"] > 0
    assert [record.facts["bad"] for record in records if record.event == "alive"][-1] == {"black": 1}


def test_a_single_failed_grab_is_forgiven(pipe: Pipe, clock: HandClock) -> None:
    """A driver that fails now and then goes on; one that fails again and again has lost its device."""
    hiccups: list[bytes | str | bool] = [False] * (FAILED_GRABS - 1)
    device = Device([*hiccups, b"a", *hiccups, b"b"], clock)
    with pytest.raises(Reopen):
        watch(as_capture(device), order(interval_s=0), Outbox(pipe.writing), clock)
    assert frames(pipe.read()) == [b"a", b"b"]


def test_a_slow_reader_gets_the_newest_frame(pipe: Pipe, clock: HandClock) -> None:
    """A live source never waits: what does not fit into the pipe gives way to newer frames."""
    pictures: list[bytes | str | bool] = [b"%02d" % index * 1500 for index in range(20)]
    outbox = Outbox(pipe.writing)
    with pytest.raises(Reopen):
        watch(as_capture(Device(pictures, clock)), order(interval_s=0), outbox, clock)
    received = []
    for _ in range(6):
        received += frames(pipe.read())
        outbox.flush()
    assert received[0] == b"00" * 1500
    assert received[-1] == b"19" * 1500
    assert len(received) < 6


def test_a_reader_that_has_gone_is_noticed(clock: HandClock) -> None:
    """A broken pipe ends the loop: nobody wants the frames any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        watch(as_capture(Device([b"a"], clock)), order(interval_s=0), Outbox(writing), clock)
    os.close(writing)


def test_the_last_frame_of_a_file_says_so(pipe: Pipe, clock: HandClock) -> None:
    """One frame is held back, so that the last wanted one is marked, also where unwanted ones follow."""
    device = Device([b"%d" % index for index in range(8)], clock)
    play(as_capture(device), order("file", interval_s=0.5), Outbox(pipe.writing), clock)
    records = pipe.read()
    assert [(record.body, record.facts["ended"]) for record in records if record.event == "frame"] == [
        (b"0", False),
        (b"5", True),
    ]
    assert records[-1] == Record("ended", {"seen": 8, "bad": {}})


def test_a_file_resumed_at_its_end_just_ends(pipe: Pipe, clock: HandClock) -> None:
    """Where nothing is left no frame is sent; the end is."""
    device = Device([b"a", b"b"], clock)
    play(as_capture(device), order("file", interval_s=0, start_frame=2), Outbox(pipe.writing), clock)
    records = pipe.read()
    assert frames(records) == []
    assert records[-1].event == "ended"
    assert device.judged == 0


def test_a_frame_of_a_file_that_cannot_be_decoded_is_counted(pipe: Pipe, clock: HandClock) -> None:
    """A bad frame in the middle of a file costs itself alone."""
    play(as_capture(Device([b"a", "empty", b"c"], clock)), order("file", interval_s=0), Outbox(pipe.writing), clock)
    records = pipe.read()
    assert frames(records) == [b"a", b"c"]
    assert records[-1].facts["bad"] == {"empty": 1}


def test_a_file_whose_time_stamps_start_again_goes_on_by_its_rate(pipe: Pipe, clock: HandClock) -> None:
    """Time stamps that jump back, or are missing, are replaced by the file's rate."""
    device = Device([b"%d" % index for index in range(16)], clock)
    device.positions = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.1]
    play(as_capture(device), order("file", interval_s=0.5, mtime=100.0), Outbox(pipe.writing), clock)
    records = [record for record in pipe.read() if record.event == "frame"]
    assert [record.body for record in records] == [b"0", b"5", b"10", b"15"]
    assert [record.facts["wall"] for record in records] == pytest.approx([98.0, 98.5, 99.0, 99.5])


def test_a_read_that_timed_out_is_not_the_end_of_a_file(pipe: Pipe, clock: HandClock) -> None:
    """A disk that does not answer raises Reopen, so that the rest of the file is not given up."""
    device = Device([], clock, step_s=20.0)
    with pytest.raises(Reopen, match="could not be read for 10 s"):
        play(as_capture(device), order("file", interval_s=0), Outbox(pipe.writing), clock)

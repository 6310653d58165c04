from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.annotations.record import labels_record
from agent.clock import SystemClock
from agent.errors import Reopen
from agent.frame import Annotation, Labels, Model
from agent.sources.feeds import Shot, grabber_feed
from agent.sources.wire import LONGEST_LINE, Order, Record, Records
from agent.workers import Stop

if TYPE_CHECKING:
    from agent.sources.children import Child
    from agent.sources.feeds import Event


def test_an_order_survives_its_line() -> None:
    """What the parent orders is what the grabber reads, on one line."""
    order = Order("stream", "rtsp://u:p@cam/\n", 42, interval_s=0.5, width=1280, fourcc="MJPG", mtime=1.25)
    assert Order.read(order.line()) == order
    framed = Order("0", "0", 42, crop=(0.0, 0.1, 1.0, 0.9), masks=(((0.0, 0.0), (1.0, 0.0), (0.5, 0.5)),))
    assert Order.read(framed.line()) == framed
    assert order.line().count(b"\n") == 1
    assert "rtsp" not in repr(order)


@given(
    st.lists(st.tuples(st.sampled_from(["alive", "frame"]), st.binary(max_size=300)), max_size=5),
    st.integers(1, 200),
)
def test_any_chunking_gives_the_same_records(said: list[tuple[str, bytes]], size: int) -> None:
    """Records come out as they went in, however the pipe cuts them."""
    sent = [Record(event, {"seen": index}, body) for index, (event, body) in enumerate(said)]
    stream = b"".join(record.encode() for record in sent)
    records, received = Records(), []
    for at in range(0, len(stream), size):
        received += records.feed(stream[at : at + size])
    assert received == sent


class Said:
    """A child that has said these records and is still there."""

    def __init__(self, *records: Record) -> None:
        self._said = [record.encode() for record in records]

    def read(self, _seconds: float) -> bytes | None:
        """Return the next record."""
        return self._said.pop(0)


def feed(*records: Record) -> list[Event]:
    """Return what a feed makes of records, until the file's end."""
    child, over = cast("Child", Said(*records, Record("ended", {"seen": 1, "bad": {}}))), Stop()
    return list(grabber_feed(child, over, SystemClock(), open_timeout_s=1, stall_timeout_s=1))


MOMENT = {"wall": 1.0, "boot": 2.0, "next_frame": 3, "ended": False}


def test_labels_travel_with_their_frame() -> None:
    """A frame that a detector looked at brings what was seen in it; one that none looked at brings nothing."""
    seen = Labels((Annotation("dent", (0.5, 0.5, 0.2, 0.1), 0.9),), Model("mdl-9", None))
    looked_at, passed = feed(
        Record("frame", {**MOMENT, "labels": labels_record(seen)}, b"one"), Record("frame", MOMENT, b"two")
    )[:2]
    assert isinstance(looked_at, Shot)
    assert isinstance(passed, Shot)
    assert (looked_at.picture, looked_at.labels) == (b"one", seen)
    assert (passed.picture, passed.labels) == (b"two", None)


def test_labels_that_are_none_are_an_error() -> None:
    """A grabber that talks nonsense is started anew."""
    with pytest.raises(Reopen, match="does not speak in records"):
        feed(Record("frame", {**MOMENT, "labels": {"annotations": 4}}, b"one"))


def test_a_thousand_boxes_fit_into_a_record() -> None:
    """What a detector may give, a record can carry, with long class names too."""
    boxes = (Annotation("x" * 60, (0.123456, 0.234567, 0.345678, 0.456789), 0.98765),) * 1000
    record = Record("frame", {**MOMENT, "labels": labels_record(Labels(boxes))}, b"one")
    assert [read.event for read in Records().feed(record.encode())] == ["frame"]


@pytest.mark.parametrize(
    "noise",
    [
        b"Segmentation fault\n",
        b"[]\n",
        b"{}\n",
        b'{"event": "frame", "bytes": "many"}\n',
        b'{"event": "frame", "bytes": -1}\n',
        b'{"event": "frame", "bytes": 99999999999}\n',
        b"\xff\xfe\n",
        b"x" * LONGEST_LINE,
    ],
)
def test_what_is_no_record_is_an_error(noise: bytes) -> None:
    """Anything else on the pipe raises Reopen; nothing is collected without bound."""
    with pytest.raises(Reopen, match=r"does not speak in records|larger than"):
        Records().feed(noise)

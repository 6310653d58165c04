from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Reopen
from agent.sources.wire import LONGEST_LINE, Order, Record, Records


def test_an_order_survives_its_line() -> None:
    """What the parent orders is what the grabber reads, on one line."""
    order = Order("stream", "rtsp://u:p@cam/\n", 42, interval_s=0.5, width=1280, fourcc="MJPG", mtime=1.25)
    assert Order.read(order.line()) == order
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

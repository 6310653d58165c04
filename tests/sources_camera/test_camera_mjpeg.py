from __future__ import annotations

import cv2
import numpy as np
import pytest
from camera_rig import index_of, jpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import Reopen
from agent.sources.mjpeg import Splitter, is_jpeg, whole, with_huffman_tables

RNG = np.random.default_rng(7)


def noise(*options: int) -> bytes:
    """Return a JPEG full of entropy: many FFs, and whatever the encoder is asked for."""
    pixels = RNG.integers(0, 255, (96, 128, 3), np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95, *options])[1].tobytes()


def with_thumbnail(picture: bytes) -> bytes:
    """Return the picture with another, whole JPEG inside an APP1 segment, as EXIF does."""
    inner = b"Exif\0\0" + jpeg(1)
    return picture[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + picture[2:]


def without_tables(picture: bytes) -> bytes:
    """Return the picture without its Huffman tables, as many USB cameras write it."""
    kept, at = picture[:2], 2
    while picture[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
        if picture[at + 1] != 0xC4:
            kept += picture[at:end]
        at = end
    return kept + picture[at:]


PICTURES = [
    noise(),
    noise(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    noise(cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    with_thumbnail(noise()),
    without_tables(noise()),
    noise().replace(b"\xff\xda", b"\xff\xff\xff\xda", 1),
]


def split(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Feed a stream to a splitter in chunks of these sizes, over and over."""
    splitter, pictures, at = Splitter(), [], 0
    while at < len(stream):
        size = sizes[0] if sizes else len(stream)
        sizes = sizes[1:] + sizes[:1]
        pictures += splitter.feed(stream[at : at + size])
        at += size
    return pictures


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PICTURES), max_size=4),
    st.lists(
        st.sampled_from([b"", b"\0" * 300, b"--frame\r\nContent-Length: 9\r\n\r\n", b"\xff", b"\xff\xd8"]),
        min_size=5,
        max_size=5,
    ),
    st.lists(st.integers(1, 4000), min_size=1, max_size=6),
)
def test_any_chunking_gives_the_same_pictures(pictures: list[bytes], between: list[bytes], sizes: list[int]) -> None:
    """However a stream is cut, and whatever stands between its pictures, each comes out byte for byte."""
    stream = between[0] + b"".join(map(bytes.__add__, pictures, between[1:]))
    assert split(stream, sizes) == pictures


def test_a_byte_at_a_time_is_enough() -> None:
    """The smallest chunks lose nothing: thumbnail, restart markers, fill bytes, progressive scans."""
    assert split(b"".join(PICTURES), [1]) == PICTURES


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 700))
def test_garbage_gives_nothing_and_is_not_kept(garbage: bytes, size: int) -> None:
    """Bytes that are no pictures are forgotten; the splitter never holds on to them."""
    splitter = Splitter()
    for at in range(0, len(garbage), size):
        splitter.feed(garbage[at : at + size].replace(b"\xff", b"\xfe"))
    assert len(splitter._held) <= 2


@pytest.mark.parametrize("cut", [-2, -40, -2000])
def test_a_torn_picture_is_counted_and_spares_the_next(cut: int) -> None:
    """A picture cut off in its scan is dropped, and the one behind it is whole."""
    splitter = Splitter()
    assert splitter.feed(PICTURES[0][:cut] + jpeg(5) + jpeg(6)) == [jpeg(5), jpeg(6)]
    assert splitter.torn == 1


def test_an_endless_picture_is_an_error() -> None:
    """A picture beyond the limit raises Reopen instead of filling the memory."""
    splitter = Splitter(largest=1000)
    splitter.feed(noise()[:700])
    with pytest.raises(Reopen, match="larger than 1000 bytes"):
        splitter.feed(b"\x01" * 700)


def test_many_small_pictures_are_not_an_endless_one() -> None:
    """The limit is one picture's, not a chunk's."""
    assert len(Splitter(largest=1000).feed(jpeg(3) * 20)) == 20


def test_an_abandoned_picture_is_dropped_when_it_ends() -> None:
    """What had begun before it was given up does not come out, and the next one does."""
    splitter = Splitter()
    splitter.feed(jpeg(1)[:300])
    splitter.abandon()
    assert splitter.feed(jpeg(1)[300:] + jpeg(2)) == [jpeg(2)]
    splitter.abandon()
    assert splitter.feed(jpeg(3)) == [jpeg(3)]


def test_whole_cuts_at_the_end_of_the_picture() -> None:
    """Padding goes; a torn picture and what is no picture are None."""
    assert [whole(picture + b"\0" * 50) for picture in PICTURES] == PICTURES
    assert whole(PICTURES[0][:-5]) is None
    assert whole(b"YUYV" * 100) is None
    assert not is_jpeg(b"")


def test_missing_huffman_tables_are_put_in() -> None:
    """With the standard tables a camera's bare picture decodes to the very pixels of the full one."""
    full = jpeg(17)
    bare = without_tables(full)
    assert b"\xff\xc4" not in bare
    repaired = with_huffman_tables(bare)
    assert index_of(repaired) == 17
    assert decoded(repaired).tobytes() == decoded(full).tobytes()
    assert whole(repaired) == repaired


def decoded(picture: bytes) -> np.ndarray:
    """Return the pixels."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels


def test_tables_are_standard_ones() -> None:
    """What is put in are the tables that an encoder writes by default, in one segment."""
    repaired = with_huffman_tables(without_tables(jpeg(3)))
    tables = repaired[repaired.index(b"\xff\xc4") + 4 :][: 0x01A2 - 2]
    full = jpeg(3)
    for part in full.split(b"\xff\xc4")[1:]:
        assert part[2 : int.from_bytes(part[:2], "big")] in tables


@pytest.mark.parametrize("picture", [PICTURES[0], PICTURES[1], PICTURES[3], b"\xff\xd8\xff\xd9"])
def test_a_picture_with_tables_is_left_alone(picture: bytes) -> None:
    """What has tables, or no scan, comes back as it is."""
    assert with_huffman_tables(picture) == picture

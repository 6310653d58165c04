"""Where a picture was taken, taken out of files that are put together here, byte by byte."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffers import PIECE
from agent.errors import BadPicture
from agent.pictures.exif import orientation_block, read_orientation
from agent.pictures.gps import exif_without_place, xmp_without_place
from agent.pictures.inspect import NotWhole, PictureLimits, inspect
from agent.pictures.location import without_location
from agent.pictures.tape import opened

if TYPE_CHECKING:
    from agent.pictures.inspect import Picture

Coder = Callable[..., bytes]

ORDERS = {"<": b"II*\0", ">": b"MM\0*"}
LATITUDE = (48, 1, 51, 1, 2999, 100)
SECRET = "Secret Street 7"


def exif_block(order: str = "<", *, orientation: int = 6, gps: bool = True, tail: bool = True) -> bytes:
    """Return what a telephone writes: a make, an orientation, a time, a maker's note, a place, a thumbnail.

    Without `gps` the same bytes as they should be without the place: the entry gone, its directory zeroed.
    """

    def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")

    def pointer(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    def short(value: int) -> bytes:
        return struct.pack(f"{order}H", value)

    make, note, when = b"Maker of cameras\0", b"\x01\x02note\xff", b"2026:11:25 12:00:00\0"
    rationals = struct.pack(f"{order}6I", *LATITUDE)
    street = SECRET.encode() + b"\0"
    at_make = 8 + 2 + 4 * 12 + 4
    at_exif = at_make + len(make)
    at_note = at_exif + 2 + 2 * 12 + 4
    at_gps = at_note + len(note) + len(when)
    at_rationals = at_gps + 2 + 3 * 12 + 4
    at_next = at_rationals + len(rationals) + len(street)
    entries = [
        entry(271, 2, len(make), pointer(at_make)),
        entry(274, 3, 1, short(orientation)),
        entry(0x8769, 4, 1, pointer(at_exif)),
        *([entry(0x8825, 4, 1, pointer(at_gps))] if gps else []),
    ]
    first = short(len(entries)) + b"".join(entries) + pointer(at_next) + (b"" if gps else bytes(12))
    exif = short(2) + entry(0x9003, 2, len(when), pointer(at_note + len(note)))
    exif += entry(0x927C, 7, len(note), pointer(at_note)) + pointer(0)
    place = short(3) + entry(1, 2, 2, b"N\0") + entry(2, 5, 3, pointer(at_rationals))
    place += entry(28, 7, len(street), pointer(at_rationals + len(rationals))) + pointer(0)
    # The pointer behind a directory is none of the location's, and stays.
    place += rationals + street
    if not gps:
        place = bytes(len(place))
    second = short(1) + entry(0x0103, 3, 1, short(6)) + (pointer(0) if tail else b"")
    return ORDERS[order] + pointer(8) + first + make + exif + note + when + place + second


XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>
<rdf:Description exif:GPSLatitude="48,51.5N" tiff:Make='Maker' exif:GPSVersionID = '2.2.0.0'
 drone-dji:GpsLongtitude="+2.3" crs:Exposure="1"><exif:GPSAltitude>35/1</exif:GPSAltitude><exif:GPSTimeStamp/>
<dc:title>a belt</dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
PLAIN_XMP = b'<x:xmpmeta><rdf:Description tiff:Make="Maker"/></x:xmpmeta>'


def segment(body: bytes) -> bytes:
    """Return an APP1 segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body


def exif_segment(block: bytes) -> bytes:
    """Return the segment that holds an EXIF block."""
    return segment(b"Exif\0\0" + block)


def xmp_segment(packet: bytes) -> bytes:
    """Return the segment that holds an XMP packet."""
    return segment(b"http://ns.adobe.com/xap/1.0/\0" + packet)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Return a JPEG with more segments at its beginning."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """Return a PNG with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def looked(data: bytes) -> Picture:
    """Return what the picture room says of bytes."""
    with opened(data) as descriptor:
        return inspect(descriptor, PictureLimits())


def stripped(data: bytes) -> bytes | None:
    """Return bytes without their location, None where they stay as they are."""
    with opened(data) as descriptor:
        picture = inspect(descriptor, PictureLimits())
        return without_location(descriptor, picture.size, picture.media_type)


def pixels(data: bytes) -> np.ndarray:
    """Return the pixels as a viewer shows them."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("tail", [True, False], ids=["pointer", "no pointer behind the last directory"])
def test_the_gps_directory_goes_and_every_other_byte_stays(order: str, *, tail: bool) -> None:
    """The golden: the same block, built once with and once without the place, in both byte orders."""
    block = exif_block(order, tail=tail)
    assert SECRET.encode() in block
    assert exif_without_place(block) == exif_block(order, gps=False, tail=tail)
    assert read_orientation(exif_block(order, gps=False)) == 6


@pytest.mark.parametrize("order", ORDERS)
def test_a_jpeg_loses_its_place_and_none_of_its_pixels(coded: Coder, order: str) -> None:
    """All that follows EXIF and XMP is there byte for byte, and the picture is shown as before."""
    whole = coded(".jpg", width=160, height=120)
    before = with_segments(whole, exif_segment(exif_block(order)), xmp_segment(XMP))
    after = stripped(before)
    assert after is not None
    assert after.startswith(b"\xff\xd8" + exif_segment(exif_block(order, gps=False)))
    assert after.endswith(whole[2:])
    assert len(after) == len(before)
    assert np.array_equal(pixels(after), pixels(before))
    assert looked(after).orientation == 6
    assert stripped(after) is None


@pytest.mark.parametrize("order", ORDERS)
def test_a_png_loses_its_place_and_none_of_its_pixels(coded: Coder, order: str) -> None:
    """The chunk's checksum is made anew, every other chunk stays byte for byte."""
    whole = coded(".png", width=160, height=120)
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0"
    before = with_chunks(whole, chunk(b"eXIf", exif_block(order)), chunk(b"iTXt", xmp + XMP))
    after = stripped(before)
    assert after is not None
    blank = xmp_without_place(XMP)
    assert blank is not None
    assert after == with_chunks(whole, chunk(b"eXIf", exif_block(order, gps=False)), chunk(b"iTXt", xmp + blank))
    assert np.array_equal(pixels(after), pixels(before))
    assert looked(after).orientation == 6


@pytest.mark.parametrize(
    ("extension", "extra"),
    [
        (".jpg", ()),
        (".jpg", (exif_segment(exif_block(gps=False)), xmp_segment(PLAIN_XMP), segment(b"something else GPS"))),
        (".png", ()),
        (
            ".png",
            (
                chunk(b"eXIf", orientation_block(6)),
                chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PLAIN_XMP),
                chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(PLAIN_XMP)),
                chunk(b"tEXt", b"Comment\0GPS"),
            ),
        ),
    ],
    ids=["bare jpeg", "jpeg", "bare png", "png"],
)
def test_a_picture_that_tells_no_place_stays_as_it_is(coded: Coder, extension: str, extra: tuple[bytes, ...]) -> None:
    """Then it can be linked as ever: nothing is written anew for the sake of a setting."""
    data = coded(extension)
    assert stripped((with_segments if extension == ".jpg" else with_chunks)(data, *extra)) is None


def test_xmp_keeps_all_but_the_place() -> None:
    """Attributes and elements of any prefix go, as blanks of their length; a drone's spelling is known."""
    blank = xmp_without_place(XMP)
    assert blank is not None
    assert len(blank) == len(XMP)
    assert b"gps" not in blank.lower()
    for stays in (b"tiff:Make='Maker'", b'crs:Exposure="1"', b"<dc:title>a belt</dc:title>", b'<?xpacket end="w"?>'):
        assert stays in blank


@pytest.mark.parametrize(
    "packet",
    [
        b"<dc:title>GPS of the belt</dc:title>",
        XMP.decode().encode("utf-16-le"),
        XMP.decode().encode("utf-32-be"),
        b'<a exif:GPSLatitude="48' + b" " * 100,
        b"<exif:GPSLatitude>" * 5000,
        b"a" * 60_000 + b":GPS",
        b"<" + b"a:GPS" * 12_000,
    ],
    ids=["in words", "UTF-16", "UTF-32", "no end", "no ends", "a long name", "a longer name"],
)
def test_xmp_that_cannot_be_cleaned_goes_as_a_whole(packet: bytes) -> None:
    """What still names a place when all is done is not sent, and finding that out takes no time."""
    began = time.process_time()
    assert xmp_without_place(packet) is None
    assert time.process_time() - began < 2.0


def damaged(behind: bytes, instead: bytes) -> bytes:
    """Return the block with other bytes in the one place behind some."""
    block = exif_block()
    assert block.count(behind) == 1
    at = block.index(behind) + len(behind)
    return block[:at] + instead + block[at + len(instead) :]


BROKEN = {
    "no TIFF": b"no TIFF at all",
    "cut": exif_block()[:90],
    "a directory beyond the end": b"II*\0\xff\xff\xff\x7f" + bytes(40),
    "a place beyond the end": damaged(struct.pack("<HHI", 0x8825, 4, 1), struct.pack("<I", 2**31)),
    "a value of no type": damaged(struct.pack("<HHI", 1, 2, 2) + b"N\0\0\0\2\0", struct.pack("<H", 99)),
    "a value beyond the end": damaged(struct.pack("<HH", 2, 5), struct.pack("<I", 2**31)),
    "a directory that is the place": b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8825, 4, 1, 8, 0),
}


@pytest.mark.parametrize("block", BROKEN.values(), ids=list(BROKEN))
def test_exif_that_cannot_be_understood_goes_as_a_whole(coded: Coder, block: bytes) -> None:
    """Nobody knows what it tells; the picture is shown as before, all the same."""
    for before in (
        with_segments(coded(".jpg"), exif_segment(block)),
        with_chunks(coded(".png"), chunk(b"eXIf", block)),
    ):
        after = stripped(before)
        assert after is not None
        assert block not in after
        assert looked(after).orientation == looked(before).orientation
        assert np.array_equal(pixels(after), pixels(before))
        assert stripped(after) is None


def test_an_xmp_packet_within_exif_is_cleaned_too() -> None:
    """TIFF has a tag for XMP."""
    packet = b'<a exif:GPSLatitude="1"/>' + b" " * 7
    block = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x02BC, 1, len(packet), 26, 0) + packet
    cleaned = exif_without_place(block)
    assert cleaned is not None
    assert cleaned[:26] == block[:26]
    assert cleaned[26:].split() == [b"<a", b"/>"]


def test_the_rarer_hiding_places_of_a_png_go(coded: Coder) -> None:
    """Compressed XMP that names a place, ImageMagick's copies of EXIF, and EXIF that is too long to read."""
    bomb = zlib.compress(bytes(5_000_000))
    for kind, body in (
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no zlib"),
        (b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(XMP)),
        (b"tEXt", b"XML:com.adobe.xmp\0GPS"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"exif 8 4949")),
        (b"tEXt", b"Raw profile type APP1\0exif 8 4949"),
        (b"eXIf", bytes(70_000)),
        (b"zTXt", b"XML:com.adobe.xmp\0" + bytes(1_000_000)),
    ):
        assert stripped(with_chunks(coded(".png"), chunk(kind, body))) == coded(".png")


def test_the_rest_of_a_long_xmp_packet_goes(coded: Coder) -> None:
    """It is cut anywhere, also in the middle of a place."""
    rest = segment(b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"itude>48")
    assert stripped(with_segments(coded(".jpg"), xmp_segment(PLAIN_XMP), rest)) == with_segments(
        coded(".jpg"), xmp_segment(PLAIN_XMP)
    )


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_what_follows_the_picture_goes(coded: Coder, extension: str) -> None:
    """A second picture, or a film, brings EXIF of its own."""
    data = coded(extension)
    assert stripped(data + with_segments(coded(".jpg"), exif_segment(exif_block()))) == data


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(ORDERS)), st.data())
def test_no_damage_to_exif_does_any_harm(order: str, data: st.DataObject) -> None:
    """Whatever bytes are wrong, the answer is a sound block without a place, or none at all."""
    block = bytearray(exif_block(order))
    for _ in range(data.draw(st.integers(1, 4))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    cleaned = exif_without_place(bytes(block))
    if cleaned is not None:
        assert len(cleaned) == len(block)
        assert exif_without_place(cleaned) is cleaned
        assert read_orientation(cleaned) == read_orientation(bytes(block))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_exif_and_no_xmp(data: bytes) -> None:
    """Neither crashes on anything."""
    for block in (data, b"II*\0" + data, b"II*\0\x08\0\0\0" + data):
        exif_without_place(block)
    xmp_without_place(b"<a:GPS" + data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_to_a_file_ends_in_a_verdict(coded: Coder, data: st.DataObject) -> None:
    """A file that changes after it was found whole raises what the picture room raises, and nothing else."""
    jpeg = with_segments(coded(".jpg", width=16, height=16), exif_segment(exif_block()), xmp_segment(XMP))
    png = with_chunks(coded(".png", width=16, height=16), chunk(b"eXIf", exif_block()))
    whole, media_type = data.draw(st.sampled_from([(jpeg, "image/jpeg"), (png, "image/png")]))
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    if broken:
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with opened(bytes(broken)) as descriptor:
        try:
            without_location(descriptor, len(broken), media_type)
        except (BadPicture, NotWhole):
            return


def test_a_directory_of_thousands_of_places_takes_no_time() -> None:
    """A block that is made to be slow is answered within the time of any other."""
    count = 5000
    places = b"".join(struct.pack("<HHII", 0x8825, 4, 1, 10 + 12 * number) for number in range(count))
    began = time.process_time()
    exif_without_place(b"II*\0" + struct.pack("<IH", 8, count) + places + bytes(4))
    assert time.process_time() - began < 2.0


def test_a_large_picture_is_read_in_pieces(coded: Coder) -> None:
    """One that stays as it is is never held whole."""
    data = coded(".png")
    data = data[:-12] + chunk(b"IDAT", bytes(5_000_000)) + data[-12:]
    with opened(data) as descriptor:
        tracemalloc.start()
        try:
            assert without_location(descriptor, len(data), "image/png") is None
            assert tracemalloc.get_traced_memory()[1] < 4 * PIECE
        finally:
            tracemalloc.stop()

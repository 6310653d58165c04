from __future__ import annotations

import hashlib
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffers import PIECE
from agent.errors import BadPicture, Wait
from agent.pictures.exif import with_orientation
from agent.pictures.inspect import NotWhole, Picture, PictureLimits, inspect
from agent.pictures.tape import Tape, steady

if TYPE_CHECKING:
    from pathlib import Path

Coder = Callable[..., bytes]
Opener = Callable[[bytes], int]

LIMITS = PictureLimits()
SIGNATURE = b"\x89PNG\r\n\x1a\n"
FORMATS = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tiff": "image/tiff",
}


@contextmanager
def in_memory(data: bytes) -> Iterator[int]:
    """Open bytes as a file."""
    with os.fdopen(os.memfd_create("picture"), "w+b", buffering=0) as file:
        file.write(data)
        yield file.fileno()


def look(data: bytes, limits: PictureLimits = LIMITS) -> Picture:
    """Inspect bytes."""
    with in_memory(data) as descriptor:
        return inspect(descriptor, limits)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *between: bytes, pixels: bytes = b"\0\0") -> bytes:
    """Return a PNG that says to have this size, with more chunks before its pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return SIGNATURE + head + b"".join(between) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def segment(marker: int, body: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def frame(width: int, height: int, *, components: int = 1, progressive: bool = False) -> bytes:
    """Return the frame header of a JPEG, grey unless it has more components."""
    marker = 0xC2 if progressive else 0xC0
    return segment(marker, struct.pack(">BHHB", 8, height, width, components) + b"\x01\x11\x00" * components)


SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SCAN = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x12\xff\x00\x34"


def jpeg(*segments: bytes) -> bytes:
    """Return segments between SOI and EOI."""
    return SOI + b"".join(segments) + EOI


@pytest.mark.parametrize(("extension", "media_type"), FORMATS.items())
def test_a_whole_picture_is_known_by_its_bytes(coded: Coder, extension: str, media_type: str) -> None:
    """Type, size as stored and digest come from the bytes alone, for all that is sent or converted."""
    data = coded(extension)
    assert look(data) == Picture(media_type, 48, 32, hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize(
    ("extension", "option", "media_type"),
    [
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 60), "image/webp"),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), "image/jpeg"),
        (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 1), "image/jpeg"),
        (".tiff", (cv2.IMWRITE_TIFF_COMPRESSION, 1), "image/tiff"),
    ],
)
def test_the_kinds_within_a_format_are_known(
    coded: Coder, extension: str, option: tuple[int, int], media_type: str
) -> None:
    """Lossy WebP, progressive JPEG, JPEG with restart markers and plain TIFF strips are read like the others."""
    found = look(coded(extension, *option))
    assert (found.media_type, found.width, found.height) == (media_type, 48, 32)


def made_tiff(order: str) -> bytes:
    """Return a TIFF of 5 x 3 grey pixels whose directory comes before its two strips, turned by EXIF's 8."""
    entries = [(256, 3, 1, 5), (257, 4, 1, 3), (273, 3, 2, (74, 84)), (274, 3, 1, 8), (279, 3, 2, (10, 5))]
    body = b""
    for tag, kind, count, value in entries:
        values = value if isinstance(value, tuple) else (value,)
        body += struct.pack(f"{order}HHI", tag, kind, count)
        body += struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values).ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, len(entries)) + body + bytes(4) + bytes(15)


WEBP_EXTENDED = b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\x04\0\0\x02\0\0" + b"ALPH\0\0\0\0"
BMP_CORE = b"BM" + struct.pack("<IIIIHHHH", 0, 0, 26, 12, 5, 3, 1, 24) + bytes(3 * 16)
BMP_TOP_DOWN = b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, 5, -3, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(3 * 16)
BMP_PACKED = b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, 5, 3, 1, 8, 1, 9, 0, 0, 0, 0) + bytes(9)


@pytest.mark.parametrize(
    ("data", "orientation"),
    [(made_tiff("<"), 8), (made_tiff(">"), 8), (WEBP_EXTENDED, 1), (BMP_CORE, 1), (BMP_TOP_DOWN, 1), (BMP_PACKED, 1)],
    ids=["little tiff", "big tiff", "extended webp", "core bmp", "top-down bmp", "packed bmp"],
)
def test_the_rarer_headers_are_read_and_held_against_the_file(data: bytes, orientation: int) -> None:
    """Whatever way a format says its size and where its pixels end, the last byte has to be there."""
    found = look(data)
    assert (found.width, found.height, found.orientation) == (5, 3, orientation)
    with pytest.raises(NotWhole):
        look(data[:-1])


def test_only_jpeg_and_png_are_sent_as_they_are(coded: Coder) -> None:
    """The picture says itself whether the platform takes it or it has to be converted first."""
    assert [extension for extension in FORMATS if look(coded(extension)).sendable] == [".jpg", ".png"]


@pytest.mark.parametrize(
    ("extension", "options"),
    [
        (".jpg", ()),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".png", ()),
        (".webp", ()),
        (".bmp", ()),
        (".tiff", ()),
        (".tiff", (cv2.IMWRITE_TIFF_COMPRESSION, 1)),
    ],
)
def test_every_beginning_of_a_picture_is_waited_for(coded: Coder, extension: str, options: tuple[int, ...]) -> None:
    """However much of a picture is there, it is not taken before its last byte, nor refused."""
    data = coded(extension, *options)
    with in_memory(data) as descriptor:
        for size in range(len(data) - 1, -1, -1):
            os.ftruncate(descriptor, size)
            with pytest.raises(NotWhole):
                inspect(descriptor, LIMITS)


def test_a_thumbnail_does_not_end_the_picture(coded: Coder) -> None:
    """The end marker of a JPEG inside of EXIF is passed over, and the outer picture's size counts."""
    data = coded(".jpg")
    holder = SOI + segment(0xE1, b"Exif\0\0" + coded(".jpg", width=8, height=8)) + data[2:]
    assert look(holder).width == 48
    with pytest.raises(NotWhole):
        look(holder[:-2])


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_what_follows_the_end_is_tolerated_and_digested(coded: Coder, extension: str) -> None:
    """Cameras pad; the padding is part of the file that is sent, so it is part of the digest."""
    data = coded(extension) + b"\0" * 700_000 + SOI
    found = look(data)
    assert (found.size, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("cut", range(-3, 4))
def test_an_end_marker_across_two_pieces_is_found(coded: Coder, cut: int) -> None:
    """A marker counts wherever it lies relative to the pieces that the file is read in."""
    data = coded(".jpg")[:-2]
    data += bytes(2 * PIECE + cut - len(data))
    with pytest.raises(NotWhole):
        look(data + b"\xff")
    assert look(data + EOI).size == len(data) + 2


def test_the_only_scan_of_a_picture_ends_with_the_file() -> None:
    """Where a sequential picture's one scan and the file end together, nothing in between is taken for a marker."""
    whole = jpeg(frame(8, 8), SCAN, b"\xff\x42", b"\x01" * (PIECE + 10), SOI)
    assert look(whole) == Picture("image/jpeg", 8, 8, hashlib.sha256(whole).hexdigest(), len(whole))


@pytest.mark.parametrize("header", [frame(8, 8, progressive=True), frame(8, 8, components=3)])
def test_a_picture_of_more_scans_is_not_taken_after_one(header: bytes) -> None:
    """An end marker in the tables between two scans is none, though a file that still grows ends with it just now."""
    tables = segment(0xC4, b"\x10" + b"\0" * 5 + b"\xff\xd9" + b"\0" * 11)
    whole = jpeg(header, SCAN, tables, SCAN)
    begun = whole[: whole.index(EOI) + 2]
    assert begun.endswith(EOI)
    with pytest.raises(NotWhole):
        look(begun)
    assert look(whole).size == len(whole)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GIF89a..........", "no JPEG"),
        (b"\0", "no JPEG"),
        (b"%PDF", "no JPEG"),
        (b"RIFF\x10\0\0\0AVI LIST....", "no WebP"),
        (b"RIFF\x10\0\0\0WEBPICCP" + bytes(40), "unknown"),
        (jpeg(), "no picture"),
        (jpeg(frame(8, 8)), "no picture"),
        (jpeg(SCAN), "no picture"),
        (jpeg(frame(8, 8), frame(60000, 60000), SCAN), "two frames"),
        (jpeg(segment(0xC0, b"\x08\x00"), SCAN), "too short"),
        (jpeg(frame(0, 8), SCAN), "0 x 8"),
        (jpeg(frame(8, 0), SCAN), "8 x 0"),
        (jpeg(frame(8, 8), SCAN, SOI) + b"\0", "0xd8"),
        (jpeg(frame(8, 8), SCAN, b"\xff\x42") + b"\0", "0x42"),
        (jpeg(frame(8, 8, progressive=True), SCAN, SOI), "0xd8"),
        (jpeg(frame(8, 8, components=3), SCAN, b"\xff\x42"), "0x42"),
        (jpeg(b"\xff\xe0\x00\x01"), "shorter"),
        (jpeg(*[segment(0xFE, b"")] * 10_000, frame(8, 8), SCAN), "segments"),
        (SIGNATURE + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "header"),
        (SIGNATURE + chunk(b"IHDR", b"") + chunk(b"IEND", b""), "header"),
        (png(8, 8)[:33] + chunk(b"IEND", b""), "no picture"),
        (png(0, 8), "0 x 8"),
        (png(8, 8, b"\0\0\0\1no chunk"), "no chunk"),
        (png(8, 8, b"\xff\xff\xff\xfftEXt"), "no chunk"),
        (png(8, 8, chunk(b"tEXt", b"a")[:-1] + b"?"), "tEXt"),
        (png(8, 8, *[chunk(b"tEXt", b"")] * 50_000), "chunks"),
        (b"BM" + bytes(60), "0 x 0"),
        (b"II*\0\x08\0\0\0" + bytes(8), "0 x 0"),
    ],
)
def test_what_no_waiting_mends_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    """Other formats, damage, empty pictures and endless headers are refused, each in words of its own."""
    with pytest.raises(BadPicture, match=reason):
        look(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_flipped_byte_of_a_png_goes_unnoticed(data: st.DataObject) -> None:
    """Every byte of a PNG is covered by its signature, a length or a checksum."""
    whole = bytearray(png(5, 4, chunk(b"tEXt", b"some text"), pixels=bytes(24)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((BadPicture, NotWhole)):
        look(bytes(whole))


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", SIGNATURE, b"RIFF\x20\0\0\0WEBPVP8", b"BM", b"II*\0", b"MM\0*"]),
    st.lists(
        st.sampled_from([b"\xff", b"\0", frame(9, 9), SCAN, EOI, b"IHDR", b"\x08\0\0\0"]) | st.binary(max_size=40)
    ),
)
def test_nothing_but_a_verdict_comes_of_any_bytes(magic: bytes, rest: list[bytes]) -> None:
    """Whatever the bytes, the answer is a picture, a wait or a refusal."""
    try:
        found = look(magic + b"".join(rest))
    except (BadPicture, NotWhole):
        return
    assert 0 < found.width * found.height <= LIMITS.max_pixels


@pytest.mark.parametrize(
    "data",
    [
        png(20_000, 20_000, pixels=bytes(1_000_000)),
        jpeg(frame(65_000, 65_000), SCAN),
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, 20_000, -20_000, 1, 24, 1, 0, 0, 0, 0, 0),
    ],
    ids=["png", "jpeg", "bmp"],
)
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    """A small file of very many pixels costs no memory: it is not decoded to be refused."""
    tracemalloc.start()
    try:
        with pytest.raises(BadPicture, match="000 pixels, more than the 100000000"):
            look(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * PIECE
    finally:
        tracemalloc.stop()


def test_a_large_file_is_read_in_pieces() -> None:
    """Neither the pixels of a PNG nor its longest text are ever held whole."""
    data = png(48, 32, chunk(b"eXIf", bytes(3_000_000)), chunk(b"IDAT", bytes(3_000_000))) + bytes(3_000_000)
    with in_memory(data) as descriptor:
        tracemalloc.start()
        try:
            assert inspect(descriptor, LIMITS).width == 48
            assert tracemalloc.get_traced_memory()[1] < 4 * PIECE
        finally:
            tracemalloc.stop()


def test_the_limit_in_bytes_is_a_wider_one_for_what_is_converted(coded: Coder) -> None:
    """What is sent as it is has to fit into an upload; a BMP becomes a tenth of itself first."""
    limits = PictureLimits(max_bytes=400, max_convert_bytes=5_000)
    with pytest.raises(BadPicture, match="more than the 400"):
        look(coded(".jpg"), limits)
    assert look(coded(".bmp"), limits).size > limits.max_bytes
    with pytest.raises(BadPicture, match="more than the 5000"):
        look(coded(".bmp", height=64), limits)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_where_it_stands(coded: Coder, orientation: int) -> None:
    """EXIF in JPEG and PNG, in either byte order, says how the picture is shown; its size stays the stored one."""
    little = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    for data in (
        with_orientation(coded(".jpg"), orientation),
        SOI + segment(0xE1, b"http://ns.adobe.com/xap/1.0/") + segment(0xE1, b"Exif\0\0" + little) + coded(".jpg")[2:],
        png(48, 32, chunk(b"eXIf", little)),
    ):
        found = look(data)
        assert (found.orientation, found.width, found.height) == (orientation, 48, 32)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"XX*\0" + bytes(30),
        b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, 9, 0, 0),
        b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 2, 1, 6, 0, 0),
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 274, 4, 2**31, 6, 0),
        b"II*\0" + struct.pack("<IHHHI", 8, 9, 274, 3, 1),
    ],
)
def test_a_senseless_orientation_is_none(coded: Coder, block: bytes) -> None:
    """A damaged EXIF block does not spoil the picture that it came with."""
    assert look(SOI + segment(0xE1, b"Exif\0\0" + block) + coded(".jpg")[2:]).orientation == 1


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_written_orientation_is_one_that_viewers_follow(coded: Coder, orientation: int) -> None:
    """What is added to a JPEG turns it for a reader that applies EXIF, and leaves the pixels alone."""
    data = coded(".jpg")
    turned = cv2.imdecode(np.frombuffer(with_orientation(data, orientation), np.uint8), cv2.IMREAD_COLOR)
    upright = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert turned is not None
    assert upright is not None
    assert np.array_equal(turned, np.rot90(upright, {1: 0, 3: 2, 6: 3, 8: 1}[orientation]))


def test_the_position_of_the_descriptor_neither_matters_nor_moves(opened: Opener, coded: Coder) -> None:
    """Whoever adopts the file through the same descriptor finds it as it was."""
    descriptor = opened(coded(".jpg"))
    os.lseek(descriptor, 11, os.SEEK_SET)
    assert inspect(descriptor, LIMITS).width == 48
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 11


@pytest.mark.parametrize("grown", [b"more", b""])
def test_a_file_that_changes_while_it_is_read_is_waited_for(tmp_path: Path, grown: bytes) -> None:
    """Size or time of change betray a writer, and outweigh whatever the mixture looked like."""
    path = tmp_path / "latest.jpg"
    path.write_bytes(b"one")
    with path.open("r+b") as file, pytest.raises(NotWhole, match="changed"), steady(file.fileno()):  # noqa: PT012 (the change has to happen inside)
        file.write(grown)
        file.flush()
        if not grown:
            os.utime(path)
        raise BadPicture("a mixture")


def test_a_file_cut_off_while_it_is_read_is_waited_for(opened: Opener, tmp_path: Path, coded: Coder) -> None:
    """The bytes that were there at the first look may be gone at the second."""
    descriptor = opened(coded(".jpg"))
    tape = Tape(descriptor, os.fstat(descriptor).st_size, bytearray(PIECE + 1))
    os.truncate(tmp_path / "picture-0", 100)
    with pytest.raises(NotWhole, match="ends in the middle"):
        tape.finish()


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe that was opened by mistake is refused before it can block."""
    os.mkfifo(tmp_path / "camera.jpg")
    descriptor = os.open(tmp_path / "camera.jpg", os.O_RDWR | os.O_NONBLOCK)
    try:
        with pytest.raises(BadPicture, match="regular"):
            inspect(descriptor, LIMITS)
    finally:
        os.close(descriptor)


def test_a_file_that_cannot_be_read_is_waited_for(tmp_path: Path) -> None:
    """An error of the disk is no verdict on the picture, and does not leave this module as itself."""
    (tmp_path / "a.jpg").write_bytes(SOI)
    descriptor = os.open(tmp_path / "a.jpg", os.O_WRONLY)
    try:
        with pytest.raises(Wait, match="cannot be read"):
            inspect(descriptor, LIMITS)
    finally:
        os.close(descriptor)
    with pytest.raises(Wait, match="cannot be looked at"):
        inspect(descriptor, LIMITS)

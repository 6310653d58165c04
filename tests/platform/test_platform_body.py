from __future__ import annotations

import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from python_multipart.multipart import FormParser
from wire_rig import make_item, sha, with_metadata

from agent.buffers import PIECE
from agent.errors import Wait
from agent.file_state import file_state
from agent.media import PNG
from agent.platform.body import PictureChanged, PictureMissing, UploadBody, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from python_multipart.multipart import Field, File

    from agent.frame import Item

Parts = dict[str, tuple[bytes | None, bytes]]


def settle(path: Path) -> None:
    """Wait until the kernel's clock gives the next change of a file another time than its last one had."""
    probe, before = path.with_name("probe"), path.stat().st_ctime_ns
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > before:
            return


def body_of(item: Item) -> tuple[bytes, UploadBody]:
    """Return an upload's whole body, and what made it."""
    with opened(item) as descriptor:
        body = UploadBody(item, descriptor)
        return b"".join(map(bytes, body)), body


def parse(data: bytes, content_type: str) -> Parts:
    """Read a body as the platform's framework would: name to filename and content."""
    parts: Parts = {}
    _, _, boundary = content_type.partition("boundary=")

    def field(part: Field) -> None:
        assert part.field_name is not None
        parts[part.field_name.decode()] = (None, part.value or b"")

    def file(part: File) -> None:
        assert part.field_name is not None
        part.file_object.seek(0)
        parts[part.field_name.decode()] = (part.file_name, part.file_object.read())
        part.close()

    parser = FormParser("multipart/form-data", field, file, boundary=boundary)
    parser.write(data)
    parser.finalize()
    parser.close()
    return parts


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17])
def test_the_parts_arrive_as_they_were_put(tmp_path: Path, size: int) -> None:
    """`image` holds the very bytes under the frozen filename, `metadata` is a plain field with the frozen JSON."""
    picture = os.urandom(size)
    item = make_item(tmp_path, picture)
    data, body = body_of(item)
    assert parse(data, body.content_type) == {
        "metadata": (None, item.metadata.encode()),
        "image": (item.filename.encode(), picture),
    }
    assert len(data) == body.length == body.sent


def test_a_picture_without_metadata_goes_alone(tmp_path: Path) -> None:
    """`metadata` is optional: nothing is sent where nothing is known, not an empty field."""
    data, body = body_of(with_metadata(make_item(tmp_path), ""))
    assert list(parse(data, body.content_type)) == ["image"]


def test_the_media_type_is_the_pictures_own(tmp_path: Path) -> None:
    """A PNG is announced as one."""
    data, _ = body_of(make_item(tmp_path)._replace(media_type=PNG))
    assert b"\r\nContent-Type: image/png\r\n\r\n" in data


def test_the_same_item_gives_the_same_bytes(tmp_path: Path) -> None:
    """Every attempt is byte-identical, boundary included: the platform's check by hash has to find it (I3)."""
    item = make_item(tmp_path, os.urandom(200_000))
    assert body_of(item)[0] == body_of(item)[0]
    assert body_of(item)[1].content_type == body_of(item)[1].content_type


def test_the_boundary_is_in_no_part(tmp_path: Path) -> None:
    """A picture that quotes an earlier upload cannot end its own part."""
    first, _ = body_of(make_item(tmp_path, number=1))
    data, body = body_of(make_item(tmp_path, first, number=2))
    assert parse(data, body.content_type)["image"][1] == first


@pytest.mark.parametrize("size", [100, PIECE, 5 * PIECE, 5 * PIECE + 9])
@pytest.mark.parametrize("at", [0, -1])
def test_a_file_rewritten_in_place_never_completes(tmp_path: Path, size: int, at: int) -> None:
    """One changed byte, first or last, and the body ends before its last piece."""
    item = make_item(tmp_path, bytes(size))
    changed = bytearray(size)
    changed[at] = 1
    item.path.write_bytes(changed)
    with opened(item) as descriptor:
        body = UploadBody(item, descriptor)
        with pytest.raises(PictureChanged, match="changed after adoption"):
            list(body)
    assert body.sent < body.length - len(body._tail)


def test_a_file_that_changes_under_way_never_completes(tmp_path: Path) -> None:
    """Rewritten while it streams, a mixed picture is noticed."""
    item = make_item(tmp_path, bytes(4 * PIECE))
    with opened(item) as descriptor:
        pieces = iter(UploadBody(item, descriptor))
        next(pieces)
        next(pieces)
        item.path.write_bytes(b"\1" * item.size)
        with pytest.raises(PictureChanged):
            list(pieces)


def test_a_vouched_file_is_not_hashed_once_more(tmp_path: Path) -> None:
    """In the state in which it was hashed, a file has the same bytes: what the item's hash says is not asked again."""
    item = make_item(tmp_path, bytes(3 * PIECE))._replace(sha256=sha(b"another picture"))
    with opened(item) as descriptor:
        body = UploadBody(item, descriptor, vouched=file_state(os.fstat(descriptor)))
        assert len(b"".join(map(bytes, body))) == body.length


@pytest.mark.parametrize("size", [100, 3 * PIECE])
def test_a_vouched_file_rewritten_in_place_never_completes(tmp_path: Path, size: int) -> None:
    """With its old times put back, the time of its inode tells: then its bytes are looked at."""
    item = make_item(tmp_path, bytes(size))
    state = file_state(before := item.path.stat())
    settle(item.path)
    item.path.write_bytes(b"\1" * size)
    os.utime(item.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with opened(item) as descriptor:
        body = UploadBody(item, descriptor, vouched=state)
        with pytest.raises(PictureChanged):
            list(body)
    assert body.sent < body.length - len(body._tail)


def test_a_vouched_file_that_changes_under_way_never_completes(tmp_path: Path) -> None:
    """Rewritten while it streams, a mixed picture is noticed before its last piece, though nothing was hashed."""
    item = make_item(tmp_path, bytes(4 * PIECE))
    settle(item.path)
    with opened(item) as descriptor:
        body = UploadBody(item, descriptor, vouched=file_state(os.fstat(descriptor)))
        pieces = iter(body)
        next(pieces)
        next(pieces)
        item.path.write_bytes(b"\1" * item.size)
        with pytest.raises(PictureChanged):
            list(pieces)
    assert body.sent < body.length - len(body._tail)


def test_a_vouched_file_that_loses_a_name_under_way_is_sent(tmp_path: Path) -> None:
    """Where its owner removes the original meanwhile, the bytes are the same, and that is all that counts."""
    item = make_item(tmp_path, bytes(4 * PIECE))
    original = tmp_path / "original.jpg"
    original.hardlink_to(item.path)
    settle(item.path)
    with opened(item) as descriptor:
        body = UploadBody(item, descriptor, vouched=file_state(os.fstat(descriptor)))
        pieces = iter(body)
        first = next(pieces)
        original.unlink()
        assert len(first) + sum(map(len, pieces)) == body.length


@pytest.mark.parametrize("change", [-1, 1, PIECE])
def test_a_file_that_grows_or_shrinks_under_way_never_completes(tmp_path: Path, change: int) -> None:
    """Bytes appended or cut off while it streams are noticed, also where the announced ones are right."""
    item = make_item(tmp_path, bytes(3 * PIECE))
    with opened(item) as descriptor:
        pieces = iter(UploadBody(item, descriptor))
        next(pieces)
        os.truncate(item.path, item.size + change)
        with pytest.raises(PictureChanged):
            list(pieces)


@pytest.mark.parametrize("size", [0, 5, 30])
def test_a_file_of_another_size_is_not_begun(tmp_path: Path, size: int) -> None:
    """The size tells before a byte is sent."""
    item = make_item(tmp_path, b"ten bytes.")
    item.path.write_bytes(bytes(size))
    with pytest.raises(PictureChanged), opened(item):
        pass


def test_a_missing_file_is_a_loss_with_a_reason(tmp_path: Path) -> None:
    """Gone from a folder that is there, the picture will not come back."""
    item = make_item(tmp_path)
    item.path.unlink()
    with pytest.raises(PictureMissing, match="missing from the spool"), opened(item):
        pass


def test_a_directory_that_is_not_mounted_hides_its_pictures(tmp_path: Path) -> None:
    """Pictures kept beside their originals are not lost while their disk is unplugged: that is waited out."""
    folder = tmp_path / "usb/.acusight-agent/000000"
    folder.mkdir(parents=True)
    item = make_item(folder)
    (tmp_path / "usb").rename(tmp_path / "unplugged")
    (tmp_path / "usb").mkdir()
    with pytest.raises(Wait, match=r"cannot read .*mounted"), opened(item):
        pass


def test_a_link_in_the_pictures_place_is_not_followed(tmp_path: Path) -> None:
    """The spool's own files are no links: what a link points to is never sent."""
    item = make_item(tmp_path)
    item.path.rename(tmp_path / "secret")
    item.path.symlink_to(tmp_path / "secret")
    with pytest.raises(Wait, match="cannot read"), opened(item):
        pass


def test_a_disk_that_fails_under_way_is_translated(tmp_path: Path) -> None:
    """A bad sector in the middle of a picture is `Wait`, not a bare `OSError`."""
    item = make_item(tmp_path, bytes(2 * PIECE))
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(Wait, match="cannot read"):
        list(UploadBody(item, reading))  # a pipe refuses pread as a broken disk does
    os.close(reading)


@pytest.fixture
def traced() -> Iterator[None]:
    """Measure the memory that Python allocates."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_i8_a_large_picture_is_never_held_whole(tmp_path: Path) -> None:
    """20 MB stream through in pieces: the peak stays below 1 MB."""
    data = bytes(20_000_000)
    item = make_item(tmp_path, b"")
    item = item._replace(size=len(data), sha256=sha(data))
    item.path.write_bytes(data)
    del data
    tracemalloc.clear_traces()
    tracemalloc.reset_peak()
    with opened(item) as descriptor:
        sent = sum(len(piece) for piece in UploadBody(item, descriptor))
    assert sent > 20_000_000
    assert tracemalloc.get_traced_memory()[1] < 1_000_000

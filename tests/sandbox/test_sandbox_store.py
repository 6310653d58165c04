from __future__ import annotations

import io
import json
import resource
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from agent.errors import AgentError
from agent.media import JPEG
from agent.sandbox import store as store_module
from agent.sandbox.store import Arrival, Store, Upload, digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    with closing(Store(tmp_path)) as opened:
        yield opened


def put(store: Store, content: bytes, metadata: dict[str, Any] | None = None) -> Upload:
    """Keep these bytes."""
    picture = io.BytesIO(content)
    arrival = Arrival(
        filename="belt.jpg",
        sha256=digest(picture),
        bytes=len(content),
        media_type=JPEG,
        metadata=metadata,
        received_at="2026-03-14T08:15:02.417Z",
        key_suffix="cdef",
    )
    return store.add(picture, arrival)


def test_what_is_put_is_kept_byte_for_byte(store: Store, tmp_path: Path) -> None:
    """The bytes lie under their hash, and a line tells of them."""
    content = bytes(range(256)) * 3000
    upload = put(store, content, {"source": "belt"})
    assert store.image(upload).read_bytes() == content
    assert store.get(1) == upload
    line = json.loads((tmp_path / "uploads.jsonl").read_text(encoding="utf-8"))
    assert line["id"] == 1
    assert line["metadata"] == {"source": "belt"}
    assert [path.name for path in (tmp_path / "images").iterdir()] == [f"{upload.sha256}.jpg"]


def test_the_same_bytes_are_a_duplicate(store: Store) -> None:
    """The second upload of the same bytes is marked, and shares the file."""
    first, second, other = put(store, b"a"), put(store, b"a"), put(store, b"b")
    assert [upload.duplicate for upload in (first, second, other)] == [False, True, False]
    assert store.image(first) == store.image(second)


def test_a_folder_is_found_again(tmp_path: Path) -> None:
    """Opened again, a store has its uploads, knows their bytes and goes on with the numbers."""
    with closing(Store(tmp_path)) as before:
        kept = [put(before, b"a"), put(before, b"b")]
    with closing(Store(tmp_path)) as after:
        assert after.since(0, 10) == kept
        assert put(after, b"a").duplicate
        assert after.last_id == 3


@pytest.mark.parametrize("tail", [b"{", b'{"id": 3, "filename": "x.j', b"\x00\x00\x00"])
def test_a_torn_line_is_forgotten(tmp_path: Path, tail: bytes) -> None:
    """A last line without its end is cut off, and does not spoil the next."""
    with closing(Store(tmp_path)) as before:
        kept = [put(before, b"a"), put(before, b"b")]
    with (tmp_path / "uploads.jsonl").open("ab") as lines:
        lines.write(tail)
    with closing(Store(tmp_path)) as after:
        kept.append(put(after, b"c"))
    with closing(Store(tmp_path)) as again:
        assert again.since(0, 10) == kept


def test_a_line_beyond_recognition_is_passed_over(tmp_path: Path) -> None:
    """A whole line that says nothing does not hide those around it."""
    with closing(Store(tmp_path)) as before:
        kept = [put(before, b"a")]
    with (tmp_path / "uploads.jsonl").open("ab") as lines:
        lines.write(b'nonsense\n{"id": 9}\n[1]\n')
    with closing(Store(tmp_path)) as after:
        kept.append(put(after, b"b"))
        assert after.since(0, 10) == kept


def test_pages_go_on_after_the_last_number_seen(store: Store) -> None:
    """`since` lists oldest first, `newest` newest first."""
    for content in b"abcde":
        put(store, bytes([content]))
    assert [upload.id for upload in store.since(2, 2)] == [3, 4]
    assert [upload.id for upload in store.since(5, 2)] == []
    assert [upload.id for upload in store.newest(2)] == [5, 4]
    assert [upload.id for upload in store.newest(9)] == [5, 4, 3, 2, 1]
    assert store.get(6) is None


def test_a_page_is_bounded_in_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines make a shorter page, but never an empty one, so that a reader always gets on."""
    monkeypatch.setattr(store_module, "PAGE_BYTES", 2000)
    for content in b"abc":
        put(store, bytes([content]), {"note": "x" * 1500})
    assert [upload.id for upload in store.since(0, 10)] == [1]
    assert [upload.id for upload in store.since(1, 10)] == [2]


def test_emptied_it_forgets_but_counts_on(store: Store, tmp_path: Path) -> None:
    """After `clear` no upload is left, nothing is a duplicate, and no number comes twice; other files stay."""
    put(store, b"a")
    strange = tmp_path / "images" / "holiday.jpg"
    strange.write_bytes(b"mine")
    store.clear()
    assert len(store) == 0
    assert list((tmp_path / "images").iterdir()) == [strange]
    again = put(store, b"a")
    assert (again.id, again.duplicate) == (2, False)
    assert store.newest(5) == [again]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A path that cannot be a folder is an AgentError that names it."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AgentError, match=r"cannot use .*file"):
        Store(tmp_path / "file")


def test_a_full_disk_leaves_no_half_line(store: Store, tmp_path: Path) -> None:
    """Where a line does not fit, the upload fails as an AgentError, is not counted, and the next one is kept whole."""
    first = put(store, b"a")
    size = (tmp_path / "uploads.jsonl").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
    try:
        with pytest.raises(AgentError, match="No space left"):
            put(store, b"b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    second = put(store, b"b")
    assert (second.id, second.duplicate) == (2, False)
    assert store.since(0, 10) == [first, second]
    assert (tmp_path / "uploads.jsonl").read_bytes().count(b"\n") == 2

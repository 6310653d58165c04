from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.frame import Origin
from agent.media import JPEG, PNG
from agent.spool.filenames import parse_filename, sidecar_path, smaller_path, upload_filename
from agent.spool.records import origin_text, read_origin, read_path, stored_path

MOMENT = datetime(2026, 3, 14, 8, 15, 2, 417999, tzinfo=UTC)
SOURCES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40)
NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & set(b"/\0"))


def test_a_filename_says_source_time_and_sequence() -> None:
    """The filename is the contract's: source, UTC to the millisecond (cut, not rounded), sequence, ending."""
    assert upload_filename("door", MOMENT, 7, JPEG) == "door-20260314T081502.417Z-7.jpg"
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert upload_filename("door", elsewhere, 7, PNG) == "door-20260314T081502.417Z-7.png"


@given(
    source=SOURCES,
    moment=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (hypothesis wants it naive)
    sequence=st.integers(min_value=0, max_value=2**63 - 1),
)
def test_a_filename_is_read_back_whatever_the_source_is_called(source: str, moment: datetime, sequence: int) -> None:
    """Source, time and sequence survive in the filename alone, dashes and dots in the source included."""
    name = upload_filename(source, moment, sequence, JPEG)
    cut = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_filename(name) == (source, cut, sequence)
    assert parse_filename(smaller_path(Path("/x") / name).name) == (source, cut, sequence)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "holiday.jpg",
        "door-7.jpg",
        "-20260314T081502.417Z-7.jpg",
        "door-20260314T081502.417Z-x.jpg",
        "door-20260314T081502.417Z-.jpg",
        "door-20261314T081502.417Z-7.jpg",
        "door-20260314T081502.417Z-7.jpg.sidecar.json",
        "door-20260314T081502.417Z-7",
        f"door-20260314T081502.417Z-{'9' * 5000}.jpg",
    ],
)
def test_a_foreign_name_is_told_apart(name: str) -> None:
    """What the spool did not name is not read as if it had."""
    assert parse_filename(name) is None


@given(name=NAMES, move_to=st.none() | NAMES, with_sidecar=st.booleans())
def test_an_origin_survives_its_row_whatever_its_name(
    name: bytes, move_to: bytes | None, *, with_sidecar: bool
) -> None:
    """An origin is read back equal, also where its name is no UTF-8."""
    path = Path("/captures") / os.fsdecode(name)
    sidecar = Origin(str(path.parent / "side"), 3, 4, 5, "move") if with_sidecar else None
    target = Path("/done") / os.fsdecode(move_to) if move_to else None
    origin = Origin(str(path), 2**63, 12, 1_773_476_102_417_000_123, "move", target, sidecar)
    text = origin_text(origin)
    assert text is not None
    text.encode()  # SQLite takes UTF-8 alone
    assert read_origin(text) == origin


def test_no_origin_is_no_text() -> None:
    """A camera's item has no origin, before and after."""
    assert origin_text(None) is None
    assert read_origin(None) is None


@given(name=NAMES)
def test_a_path_is_stored_relative_to_its_spool(name: bytes) -> None:
    """A spool may be moved to another place: what lies in it is found again; what lies elsewhere stays there."""
    inside = Path("/spool/items/000000") / os.fsdecode(name)
    outside = Path("/captures/.acusight-agent") / os.fsdecode(name)
    moved = read_path(stored_path(inside, Path("/spool")), Path("/moved"))
    assert moved == Path("/moved/items/000000") / os.fsdecode(name)
    assert read_path(stored_path(outside, Path("/spool")), Path("/moved")) == outside


def test_a_sidecar_lies_under_its_pictures_whole_name() -> None:
    """The link to a sidecar begins with the picture's name, so that the folder alone pairs them."""
    assert sidecar_path(Path("/s/a.jpg"), ".json") == Path("/s/a.jpg.sidecar.json")

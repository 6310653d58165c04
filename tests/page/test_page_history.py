from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.chronicle import Sample, Trouble
from agent.media import JPEG
from agent.page.history import quarters, series
from agent.page.sight import boxes_of
from agent.previews import EVERY_S, LARGEST, Preview, Previews, previews_folder, read_preview
from agent.spool.records import Draft, Opened, Staged

if TYPE_CHECKING:
    from pathlib import Path

    from wire_rig import MovedClock


def sample(minute: int, waiting: int = 0, delivered: int = 0, trouble: Trouble = Trouble(0)) -> Sample:  # noqa: B008 (a value)
    """Return a sample at a minute of the boot clock."""
    return Sample(60.0 * minute, waiting, 0, 0, 0, delivered, 0, trouble=trouble)


def test_the_chart_is_on_the_wall_clock_as_it_is_now() -> None:
    """Moments of the boot clock are labelled by the clock that is right now, whatever it said then."""
    told = series([sample(10, 3, 0), sample(11, 5, 30)], wall_s=1_000_660.0, boot_s=660.0)
    assert told["times"] == [1_000_600.0, 1_000_660.0]
    assert told["waiting"] == [3, 5]
    assert told["delivered_min"] == [None, 30.0]
    assert told["bands"] == []


def test_a_gap_breaks_the_line_and_is_a_band() -> None:
    """Minutes without a sample are those of an agent that did not run: nothing is drawn through them."""
    told = series([sample(10, 3), sample(30, 4)], wall_s=2400.0, boot_s=2400.0)
    assert told["waiting"] == [3, None, 4]
    assert told["delivered_min"] == [None, None, None]
    assert told["bands"] == [
        {"from": 600.0, "to": 1800.0, "what": "agent not running"},
        {"from": 1800.0, "to": 2400.0, "what": "agent not running"},
    ]


def test_an_outage_is_one_band_from_its_first_minute_to_its_last() -> None:
    """A trouble belongs to the minute before its sample; one that goes on ends at the last sample."""
    down = Trouble.LINK_PAUSED
    minutes = [sample(10), sample(11, trouble=down), sample(12, trouble=down), sample(13), sample(14, trouble=down)]
    told = series(minutes, wall_s=840.0, boot_s=840.0)
    assert told["bands"] == [
        {"from": 600.0, "to": 720.0, "what": "link down"},
        {"from": 780.0, "to": 840.0, "what": "link down"},
    ]
    assert series([], wall_s=0.0, boot_s=0.0) == {"times": [], "waiting": [], "delivered_min": [], "bands": []}


def test_totals_that_fell_give_no_rate() -> None:
    """A spool that was replaced began anew."""
    assert series([sample(1, 0, 50), sample(2, 0, 3)], wall_s=120.0, boot_s=120.0)["delivered_min"] == [None, None]


def test_the_table_has_a_row_for_each_quarter() -> None:
    """The latest first, with what was delivered within it and what was out; the quarters sum up to the whole."""
    minutes = [sample(minute, minute, 10 * minute) for minute in range(31)]
    minutes[20] = sample(20, 20, 200, Trouble.LINK_PAUSED | Trouble.INTAKE_PAUSED)
    rows = [(int(one.boot_s // 60), delivered, words) for one, delivered, words in quarters(minutes)]
    assert rows == [(30, 10, ""), (29, 150, "link down, no room"), (14, 140, "")]
    assert quarters([]) == []


def test_boxes_come_from_the_metadata_that_is_sent() -> None:
    """Centres become corners; what is no box, no list or no JSON is none."""

    def boxes(metadata: str) -> list[tuple[str, tuple[float, float, float, float]]]:
        return boxes_of(Preview(JPEG, "", metadata, b""))

    found = [
        {"class_value": "plate", "geometry": [0.5, 0.5, 0.5, 0.25]},
        {"class_value": "outline", "geometry": [0, 0, 1, 0, 1, 1]},
    ]
    assert boxes(json.dumps({"annotations": found})) == [("plate", (0.25, 0.375, 0.5, 0.25))]
    for nonsense in (
        "",
        "[]",
        "7",
        '{"annotations": 7}',
        '{"annotations": [{}]}',
        '{"annotations": [{"class_value": 1}]}',
    ):
        assert boxes(nonsense) == []


def staged(path: Path, data: bytes | None, source: str = "gate", size: int = 3) -> Staged:
    """Return a picture on its way in, in memory or as a file."""
    seen = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)
    body = Opened(-1) if data is None else data
    return Staged(Draft(source, seen, JPEG, size, "x", '{"a": 1}', body), 1, "a.jpg", str(path))


def test_the_last_picture_is_kept_and_replaced_now_and_then(tmp_path: Path, clock: MovedClock) -> None:
    """At once the first time, then no more often than every few seconds, whatever comes in between."""
    folder = previews_folder(tmp_path / "run/state.json")
    previews = Previews(folder, clock=clock)
    previews.captured([staged(tmp_path, b"old"), staged(tmp_path, b"one")])
    previews.captured([staged(tmp_path, b"two")])
    assert read_preview(folder, "gate") == Preview(JPEG, "2026-03-14T08:15:02.417Z", '{"a": 1}', b"one")
    clock.advance(EVERY_S)
    (tmp_path / "file.jpg").write_bytes(b"of a file")
    previews.captured([staged(tmp_path / "file.jpg", None)])
    kept = read_preview(folder, "gate")
    assert kept is not None
    assert kept.picture == b"of a file"
    assert [path.name for path in folder.iterdir()] == ["gate"]


def test_memory_is_not_filled_with_pictures(tmp_path: Path, clock: MovedClock) -> None:
    """A large picture is left out, and so is one source more than there is room for (I8)."""
    previews = Previews(tmp_path / "p", clock=clock)
    previews.captured([staged(tmp_path, b"big", size=LARGEST + 1)])
    for number in range(100):
        previews.captured([staged(tmp_path, b"one", f"s{number}")])
    assert len(list((tmp_path / "p").iterdir())) == 32


def test_a_disk_that_refuses_a_preview_stops_nothing(tmp_path: Path, clock: MovedClock) -> None:
    """Neither a file in the folder's place nor one that is gone holds up what comes in."""
    (tmp_path / "p").write_text("a file")
    Previews(tmp_path / "p", clock=clock).captured([staged(tmp_path, b"one")])
    Previews(tmp_path / "q", clock=clock).captured([staged(tmp_path / "gone", None)])
    assert read_preview(tmp_path / "p", "gate") is None
    assert read_preview(tmp_path, "../secret") is None
    assert read_preview(tmp_path, ".hidden") is None
    (tmp_path / "odd").write_bytes(b"\xff\n")
    assert read_preview(tmp_path, "odd") is None

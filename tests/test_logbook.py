from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.frame import Item, Receipt
from agent.logbook import BOUNDS_S, LATEST, SOURCES, Logbook
from agent.media import JPEG
from agent.platform.answers import Meaning
from agent.spool.records import Draft, Staged

if TYPE_CHECKING:
    from wire_rig import MovedClock

SEEN = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)


def staged(source: str) -> Staged:
    """Return a picture on its way in."""
    return Staged(Draft(source, SEEN, JPEG, 3, "x", "{}", b"abc"), 1, "a.jpg", "a.jpg")


def test_a_source_has_its_last_picture_and_its_tempo(clock: MovedClock) -> None:
    """Ten pictures in nine seconds are one and a bit a second; what is older than five minutes has no say."""
    book = Logbook(clock)
    book.captured([staged("gate")])
    clock.advance(3600)
    for _ in range(10):
        book.captured([staged("gate")])
        clock.advance(1)
    assert book.facts()["pictures"] == {"gate": {"taken": 11, "last_boot_s": 4609.0, "per_s": 1.0}}


def test_pictures_that_come_together_count_each(clock: MovedClock) -> None:
    """A batch is one moment with many pictures; one moment alone is no tempo."""
    book = Logbook(clock)
    book.captured([staged("a"), staged("a"), staged("b")])
    assert book.facts()["pictures"]["a"]["per_s"] is None
    clock.advance(2)
    book.captured([staged("a")] * 8)
    assert book.facts()["pictures"]["a"] == {"taken": 10, "last_boot_s": 1002.0, "per_s": 4.0}
    assert book.facts()["pictures"]["b"]["taken"] == 1


def test_time_alone_changes_nothing(clock: MovedClock) -> None:
    """An idle daemon has nothing to write: its facts are the same an hour later."""
    book = Logbook(clock)
    book.captured([staged("a")])
    book.answered(Meaning.OFFLINE, "gone", 0.3)
    before = book.facts()
    clock.advance(3600)
    assert book.facts() == before


def test_uploads_are_counted_by_what_came_of_them(clock: MovedClock) -> None:
    """Results, seconds, and the last that failed with its time; a success forgets no error."""
    book = Logbook(clock)
    for meaning, seconds in ((Meaning.DELIVERED, 0.05), (Meaning.DELIVERED, 0.2), (Meaning.BUSY, 99.0)):
        book.answered(meaning, f"said {meaning.value}" + "!" * 1000, seconds)
    book.answered(Meaning.DUPLICATE, "", 0.01)
    told = book.facts()["uploads"]
    assert told["results"] == {"busy": 1, "delivered": 2, "duplicate": 1}
    assert told["seconds"] == 99.26
    assert len(told["buckets"]) == len(BOUNDS_S) + 1
    assert (told["buckets"][0], told["buckets"][2], told["buckets"][-1]) == (2, 1, 1)
    assert told["last_error"]["at"] == "2026-03-14T08:15:02.417Z"
    assert told["last_error"]["meaning"] == "busy"
    assert len(told["last_error"]["reason"]) == 300


def test_the_latest_deliveries_are_kept(clock: MovedClock) -> None:
    """Twenty of them, the latest first, however many there were (I8)."""
    book = Logbook(clock)
    for number in range(100):
        item = Item(number, "gate", f"{number}.jpg", "x", JPEG, 3, "x", "{}", SEEN)
        book.delivered(item, Receipt(number, "delivered", f"img-{number}"))
    told = book.facts()["deliveries"]
    assert [entry["item_id"] for entry in told] == list(range(99, 99 - LATEST, -1))
    assert told[0]["filename"] == "99.jpg"
    assert told[0]["image_id"] == "img-99"


def test_names_without_end_take_no_memory_without_end(clock: MovedClock) -> None:
    """The sources that were silent longest are forgotten (I8)."""
    book = Logbook(clock)
    for number in range(SOURCES + 50):
        book.captured([staged(f"s{number}")])
    told = book.facts()["pictures"]
    assert len(told) == SOURCES
    assert "s49" not in told
    assert "s50" in told

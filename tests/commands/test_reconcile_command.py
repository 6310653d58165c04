from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from queue_rig import Desk, sha

from agent.commands import reconcile
from agent.spool.choices import Entry
from agent.spool.records import Mark

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Return a configured spool in a folder of its own."""
    return Desk(tmp_path, capsys)


def capture(desk: Desk, name: str, *, sent: bytes | None = None) -> Path:
    """Capture a watched file of that name, whose bytes are its name."""
    path = desk.watched / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode())
    desk.take(path, sent=sent)
    return path


def fates(desk: Desk, *arguments: object) -> dict[str, str]:
    """Return each picture's fate; the counts must be those of the list."""
    document = desk.call("reconcile", *arguments, "--all", "--json").json
    found = {one["path"]: one["fate"] for one in document["files"]}
    assert document["counts"] == {fate: list(found.values()).count(fate) for fate in document["counts"]}
    assert sum(document["counts"].values()) == len(found)
    return found


@pytest.fixture
def folder(desk: Desk) -> Path:
    """Return the watched folder with a picture of every fate."""
    capture(desk, "delivered.jpg")
    desk.deliver()
    capture(desk, "converted.webp", sent=b"a JPEG")
    desk.deliver()
    capture(desk, "dropped.jpg")
    desk.call("queue", "drop", "--all", "--yes").done()
    capture(desk, "quarantined.jpg")
    desk.quarantine("refused")
    capture(desk, "waiting.jpg")
    (desk.watched / "copy.jpg").write_bytes(b"delivered.jpg")
    (desk.watched / "never.png").write_bytes(b"never")
    for unwanted in ("note.txt", "never.json", ".hidden.jpg", "half.jpg.part"):
        (desk.watched / unwanted).write_bytes(b"?")
    (desk.watched / "link.jpg").symlink_to("delivered.jpg")
    os.mkfifo(desk.watched / "pipe.jpg")
    return desk.watched


EXPECTED = {
    "delivered.jpg": "delivered",
    "converted.webp": "delivered",
    "copy.jpg": "delivered",
    "dropped.jpg": "untraced",
    "quarantined.jpg": "quarantined",
    "waiting.jpg": "waiting",
    "never.png": "unknown",
}


def test_every_picture_is_held_against_receipts_and_queue(desk: Desk, folder: Path) -> None:
    """Each has the fate that it has; what is no picture, or no plain file, is not counted."""
    assert fates(desk, folder) == EXPECTED


def test_people_see_what_is_not_there_yet(desk: Desk, folder: Path) -> None:
    """Those that were delivered are counted only; it ends with 1 and says how many are not."""
    said = desk.call("reconcile", folder)
    assert said.failed() == "4 of 7 pictures have no receipt"
    lines = said.out.splitlines()
    assert sorted(line.split()[1] for line in lines[:4]) == [
        "dropped.jpg",
        "never.png",
        "quarantined.jpg",
        "waiting.jpg",
    ]
    assert "quarantined quarantined.jpg (refused)" in lines
    assert [line.split()[:2] for line in lines[4:]] == [
        ["3", "delivered:"],
        ["1", "waiting:"],
        ["1", "quarantined:"],
        ["1", "untraced:"],
        ["1", "unknown:"],
    ]


def test_a_folder_that_has_arrived_ends_with_0(desk: Desk) -> None:
    """The answer that a script waits for before it wipes a card."""
    capture(desk, "a.jpg")
    capture(desk, "b.jpg")
    desk.deliver(2)
    assert desk.call("reconcile", desk.watched).done() == "       2 delivered: the platform has it\n"
    assert desk.call("reconcile", desk.watched, "--json").json["files"] == []


def test_a_skipped_picture_is_told_as_that(desk: Desk) -> None:
    """It has not arrived, so a card that holds it may not be wiped; but nothing is owed of it."""
    capture(desk, "a.jpg")
    desk.deliver()
    (desk.watched / "b.jpg").write_bytes(b"skipped")
    facts = (desk.watched / "b.jpg").stat()
    mark = Mark("b.jpg", facts.st_ino, facts.st_size, facts.st_mtime_ns, sha(b"skipped"), skipped="change")
    with contextlib.closing(desk.open()) as spool:
        spool.choices.enter("captures", Entry(marks=(mark,)))
    assert fates(desk, desk.watched) == {"a.jpg": "delivered", "b.jpg": "skipped"}
    said = desk.call("reconcile", desk.watched)
    assert "skipped     b.jpg (change)" in said.out
    assert "1 of 2 pictures have no receipt" in said.failed()


def test_an_empty_folder_is_said(desk: Desk) -> None:
    """Nothing to compare is not a failure, but it is not silence either."""
    desk.put(b"a")
    assert desk.call("reconcile", desk.watched).done() == "there are no pictures\n"


def test_many_pictures_are_compared_in_pieces(desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of one piece, and no picture falls between two."""
    monkeypatch.setattr(reconcile, "TOGETHER", 2)
    assert fates(desk, folder) == EXPECTED


def test_folders_below_are_opened_when_asked(desk: Desk) -> None:
    """Names are relative to the folder that was asked for, also below a watched one."""
    capture(desk, "a.jpg")
    capture(desk, "deep/er/b.jpg")
    desk.deliver(2)
    assert fates(desk, desk.watched) == {"a.jpg": "delivered"}
    assert fates(desk, "--recursive", desk.watched) == {"a.jpg": "delivered", "deep/er/b.jpg": "delivered"}
    assert fates(desk, desk.watched / "deep/er") == {"b.jpg": "delivered"}


def test_marks_spare_the_reading(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept file that has not changed is known by its marks; only a strange one is read."""
    capture(desk, "a.jpg")
    desk.deliver()
    (desk.watched / "strange.jpg").write_bytes(b"strange")
    read: list[str] = []

    def digest_of(path: Path) -> str:
        read.append(path.name)
        return "0" * 64

    monkeypatch.setattr("agent.fate.digest_of", digest_of)
    assert fates(desk, desk.watched) == {"a.jpg": "delivered", "strange.jpg": "unknown"}
    assert read == ["strange.jpg"]


def test_a_rewritten_file_is_another_picture(desk: Desk) -> None:
    """Its name has a receipt, its bytes have none."""
    capture(desk, "latest.jpg")
    desk.deliver()
    (desk.watched / "latest.jpg").write_bytes(b"newer")
    assert fates(desk, desk.watched) == {"latest.jpg": "unknown"}


def test_the_watched_folders_patterns_say_what_is_a_picture(desk: Desk) -> None:
    """Elsewhere the default ones do."""
    other = desk.root / "other"
    for folder in (desk.watched, other):
        folder.mkdir(exist_ok=True)
        (folder / "a.raw").write_bytes(b"a")
        (folder / "b.JPG").write_bytes(b"b")
    text = desk.config.read_text().replace("[[watch]]\n", '[[watch]]\npatterns = ["*.raw"]\n')
    desk.config.write_text(text)
    desk.put(b"x")
    assert list(fates(desk, desk.watched)) == ["a.raw"]
    assert list(fates(desk, other)) == ["b.JPG"]


def test_a_folder_reached_by_another_way_is_the_same(desk: Desk) -> None:
    """A link to the watched folder shows the same fates, converted pictures included."""
    capture(desk, "a.webp", sent=b"a JPEG")
    desk.deliver()
    (desk.root / "way").symlink_to(desk.watched)
    assert fates(desk, desk.root / "way") == {"a.webp": "delivered"}


def test_a_name_cannot_forge_a_line(desk: Desk) -> None:
    """Names with line breaks, terminal codes and bytes that are no text stay on their line."""
    desk.put(b"x")
    for name in (b"a\n       9 delivered.jpg", b"\xff\x1b[31m.jpg"):
        (desk.watched / os.fsdecode(name)).write_bytes(name)
    said = desk.call("reconcile", desk.watched)
    assert len(said.out.splitlines()) == 3
    assert r"unknown     a\n       9 delivered.jpg" in said.out
    assert "\x1b" not in said.out
    assert len(fates(desk, desk.watched)) == 2


def test_what_cannot_be_read_counts_as_not_delivered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are compared all the same."""
    capture(desk, "a.jpg")
    desk.deliver()
    (desk.watched / "closed.jpg").write_bytes(b"closed")
    real = os.open

    def closed(path: object, *arguments: int) -> int:
        if str(path).endswith("closed.jpg"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)  # type: ignore[arg-type]  # what os.open takes

    monkeypatch.setattr("agent.sources.drafting.os.open", closed)
    assert fates(desk, desk.watched) == {"a.jpg": "delivered", "closed.jpg": "unreadable"}
    assert desk.call("reconcile", desk.watched).failed() == "1 of 2 pictures have no receipt"


@pytest.mark.parametrize("year", [1900, 2300])
def test_a_file_of_another_age_is_compared_by_its_bytes(desk: Desk, year: int) -> None:
    """A clock that was far off does not stop the comparison, beyond the reach of SQLite's integers too."""
    path = desk.watched / "a.jpg"
    path.write_bytes(b"x")
    written = (year - 1970) * 31_556_952
    os.utime(path, (written, written))
    desk.put(b"x")
    desk.deliver()
    assert fates(desk, desk.watched) == {"a.jpg": "delivered"}

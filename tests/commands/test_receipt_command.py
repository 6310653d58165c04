from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from queue_rig import Desk, sha

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = b"\xff\xd8 a picture \xff\xd9"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Return a configured spool in a folder of its own."""
    return Desk(tmp_path, capsys)


def test_a_file_has_arrived(desk: Desk) -> None:
    """The proof in full: when, under which ids, at which attempt."""
    (desk.root / "copy.jpg").write_bytes(PICTURE)
    desk.put(PICTURE)
    item = desk.deliver()[0]
    found = desk.call("receipt", desk.root / "copy.jpg", "--json").json
    assert found["fate"] == "delivered"
    assert (
        found["receipt"].items()
        >= {
            "filename": item.filename,
            "result": "delivered",
            "image_id": "img-1",
            "batch_id": "batch-1",
            "storage_key": "s3://key",
            "sha256": sha(PICTURE),
            "size": len(PICTURE),
            "attempts": 1,
            "outcome_unknown": False,
        }.items()
    )
    text = desk.call("receipt", desk.root / "copy.jpg").done()
    assert [line.split()[0] for line in text.splitlines()] == list(found["receipt"])


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
def test_a_digest_is_as_good_as_the_file(desk: Desk, spelling: type[str]) -> None:
    """Where the file is gone, the hash in a notebook will do."""
    desk.put(PICTURE)
    desk.deliver(result="duplicate")
    assert desk.call("receipt", spelling(sha(PICTURE)), "--json").json["receipt"]["result"] == "duplicate"


def test_a_name_as_uploaded_is_as_good(desk: Desk) -> None:
    """It is what the platform shows."""
    desk.put(PICTURE)
    filename = desk.deliver()[0].filename
    assert desk.call("receipt", filename, "--json").json["receipt"]["id"] == 1


def test_a_file_that_delivery_took_away_is_found_by_its_path(desk: Desk) -> None:
    """With `after_delivery = "delete"` the path is all that is left to ask with."""
    path = desk.watched / "a.jpg"
    path.write_bytes(PICTURE)
    desk.take(path)
    desk.deliver()
    path.unlink()
    assert desk.call("receipt", path, "--json").json["receipt"]["original"] == str(path)


def test_a_converted_file_is_found_by_its_marks(desk: Desk) -> None:
    """The bytes that were sent are others than the file's; path and time connect them."""
    path = desk.watched / "a.webp"
    path.write_bytes(b"RIFF webp")
    desk.take(path, sent=PICTURE)
    assert desk.call("receipt", path).failed() == f"no receipt for {path}: it waits in the queue as item 1"
    desk.deliver()
    assert desk.call("receipt", path, "--json").json["receipt"]["sha256"] == sha(PICTURE)


@pytest.mark.parametrize("spelling", ["settings/../captures", "link", "link/../captures"])
def test_a_watched_folder_may_be_spelled_in_any_way(desk: Desk, spelling: str) -> None:
    """The agent remembers a file below the path in the configuration; whoever asks need not ask by that one."""
    (desk.root / "settings").mkdir()
    (desk.root / "link").symlink_to(desk.watched)
    desk.config.write_text(desk.config.read_text().replace(str(desk.watched), str(desk.root / spelling)))
    for name in ("a.webp", "gone.webp"):
        path = desk.watched / name
        path.write_bytes(b"RIFF " + name.encode())
        desk.take(path, sent=PICTURE + name.encode(), spelled=desk.root / spelling / name)
    desk.deliver(2)
    (desk.watched / "gone.webp").unlink()
    for name in ("a.webp", "gone.webp"):
        for asked in (desk.watched / name, desk.root / spelling / name):
            original = desk.call("receipt", asked, "--json").json["receipt"]["original"]
            assert original == str(desk.root / spelling / name)
    assert desk.call("reconcile", desk.watched).code == 0
    assert "sent already" in desk.call("explain", desk.watched / "a.webp").out


def test_an_earlier_picture_of_that_name_proves_nothing(desk: Desk) -> None:
    """`latest.webp` was delivered once; what lies there now was not, and nobody may delete it for that."""
    path = desk.watched / "latest.webp"
    path.write_bytes(b"RIFF one")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    desk.take(path, sent=PICTURE)
    desk.deliver()
    path.write_bytes(b"RIFF two")
    assert "no trace of it" in desk.call("receipt", path).failed()
    desk.take(path, sent=b"other")
    desk.call("queue", "drop", "--all", "--yes").done()
    assert "captured, but neither in the queue nor among the receipts" in desk.call("receipt", path).failed()


def test_a_sidecars_own_time_is_not_taken_for_proof(desk: Desk) -> None:
    """Where path and time do not match, the answer is the cautious one."""
    path = desk.watched / "a.webp"
    path.write_bytes(b"RIFF webp")
    desk.take(path, sent=PICTURE, captured_at=datetime(2026, 1, 1, tzinfo=UTC))
    desk.deliver()
    assert desk.call("receipt", path, "--json").json["fate"] == "untraced"


@pytest.mark.parametrize("state", ["waiting", "quarantined"])
def test_without_a_receipt_the_queue_is_asked(desk: Desk, state: str) -> None:
    """Not yet arrived is another thing than lost: where it is, and why."""
    desk.put(PICTURE)
    if state == "quarantined":
        desk.quarantine("too odd\n")
    said = desk.call("receipt", sha(PICTURE), "--json")
    assert said.json["item"]["state"] == said.json["fate"] == state
    expected = {"waiting": "it waits in the queue as item 1", "quarantined": r"it is quarantined as item 1 (too odd\n)"}
    assert said.failed() == f"no receipt for {sha(PICTURE)}: {expected[state]}"


@pytest.mark.parametrize("asked", ["nothing.jpg", "0" * 64, "/dev/null", ".", "\udcff.jpg", "a\nb", "x" * 300])
def test_what_was_never_captured_is_unknown(desk: Desk, asked: str) -> None:
    """Whatever is asked for, the answer is a sentence on one line, and 1."""
    desk.put(PICTURE)
    assert "no trace of it: never captured" in desk.call("receipt", asked).failed()
    assert desk.call("receipt", "--json", asked).json["fate"] == "unknown"


def test_the_newest_receipt_counts(desk: Desk) -> None:
    """A picture may have been sent twice; a delivered one outweighs one that waits."""
    desk.put(PICTURE, PICTURE)
    desk.deliver(2)
    desk.put(PICTURE)
    assert desk.call("receipt", sha(PICTURE), "--json").json["receipt"]["id"] == 2


def test_a_file_that_cannot_be_read_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal of the disk is no `no`."""
    (desk.root / "a.jpg").write_bytes(PICTURE)
    desk.put(PICTURE)

    real = os.open

    def closed(path: object, *arguments: int) -> int:
        if str(path).endswith("a.jpg"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)  # type: ignore[arg-type]  # what os.open takes

    monkeypatch.setattr("agent.sources.drafting.os.open", closed)
    assert desk.call("receipt", desk.root / "a.jpg").failed().startswith(f"cannot read {desk.root}/a.jpg")

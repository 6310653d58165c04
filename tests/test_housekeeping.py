from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drain_rig import ROOMY, PatientStop
from structlog.testing import capture_logs
from wire_rig import SEEN, sha

from agent import housekeeping
from agent.annotations.plan import AnnotationPlan
from agent.errors import BadPicture, SpoolDamaged, Wait
from agent.frame import Model, Origin, Receipt
from agent.housekeeping import EVERY_S, Examiner, Housekeeping
from agent.media import JPEG, PNG
from agent.pictures.limits import PictureLimits
from agent.spool.records import Draft
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire_rig import MovedClock

MODEL = Model("mdl-7", "2.1")
BOX = {"class_value": "scratch", "type": "bbox", "geometry": [0.5, 0.5, 0.2, 0.2]}


def png(width: int = 8, height: int = 8) -> bytes:
    """Return a small, whole PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + bytes(width)) * height)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


EXAMINE = Examiner(PictureLimits(), MODEL, {"door": AnnotationPlan(classes=("cat", "dog"))})


def examined(picture: Path, sidecar: Path | None = None) -> dict[str, object]:
    """Return the metadata that a picture without a row is given."""
    found = EXAMINE(picture, sidecar, source="door", captured_at=SEEN)
    assert (found.media_type, found.size, found.sha256) == (PNG, len(png()), sha(png()))
    metadata: dict[str, object] = json.loads(found.metadata)
    assert metadata["source"] == "door"
    assert metadata["timestamp"] == "2026-03-14T08:15:02.417Z"
    return metadata


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a picture that lost its row."""
    path = tmp_path / "door-20260314T081502.417Z-7.png"
    path.write_bytes(png())
    return path


def test_an_orphan_without_a_sidecar_knows_its_source_and_time(picture: Path) -> None:
    """They come from its name; the model from the configuration; of boxes nothing is known."""
    assert examined(picture) == {
        "source": "door",
        "timestamp": "2026-03-14T08:15:02.417Z",
        "model_id": "mdl-7",
        "model_version": "2.1",
    }


@pytest.mark.parametrize(
    ("suffix", "content", "boxes"),
    [
        (".json", json.dumps({"annotations": [BOX]}), [BOX]),
        (".json", json.dumps({"annotations": []}), []),
        (".txt", "1 0.5 0.5 0.2 0.2\n", [{**BOX, "class_value": "dog"}]),
    ],
)
def test_an_orphan_gets_its_boxes_back(picture: Path, suffix: str, content: str, boxes: list[object]) -> None:
    """The sidecar that lies beside it is read as it was at first, class names included."""
    sidecar = picture.with_name(f"{picture.name}.sidecar{suffix}")
    sidecar.write_text(content)
    assert examined(picture, sidecar)["annotations"] == boxes


@pytest.mark.parametrize("kind", ["broken", "huge", "missing", "link", "pipe", "failing"])
def test_an_orphan_is_worth_more_than_its_sidecar(picture: Path, kind: str) -> None:
    """A sidecar that cannot be read, for whatever reason, costs the boxes and a line in the log (I9)."""
    sidecar = picture.with_name(f"{picture.name}.sidecar.json")
    if kind == "broken":
        sidecar.write_bytes(b'{"annotations": [')
    elif kind == "huge":
        sidecar.touch()
        os.truncate(sidecar, 10**9)
    elif kind == "link":
        sidecar.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(sidecar)
    elif kind == "failing":
        sidecar = Path("/proc/self/mem")  # which answers a read at 0 with EIO, as a bad sector does
    with capture_logs() as logs:
        assert "annotations" not in examined(picture, sidecar)
    assert [(entry["event"], entry["path"]) for entry in logs] == [("sidecar_rejected", str(sidecar))]


def test_an_orphan_that_is_no_picture_is_refused(picture: Path) -> None:
    """Rubbish is for the quarantine; what is not there, or no regular file, is looked at later."""
    for content in (b"", b"rubbish", png()[:-9]):
        picture.write_bytes(content)
        with pytest.raises(BadPicture):
            examined(picture)
    picture.unlink()
    with pytest.raises(Wait):
        examined(picture)
    os.mkfifo(picture)
    with pytest.raises(Wait):
        examined(picture)


def test_an_orphan_beyond_the_limits_is_refused(picture: Path) -> None:
    """The limits that hold at the door hold here."""
    picture.write_bytes(png(200, 200))
    examiner = Examiner(PictureLimits(max_pixels=100), MODEL, {})
    with pytest.raises(BadPicture, match="pixels"):
        examiner(picture, None, source="door", captured_at=SEEN)


@pytest.fixture
def spool(tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
    """Return a spool."""
    with Spool(tmp_path / "spool", ROOMY, clock=clock, owner=True) as opened:
        yield opened


@pytest.fixture
def stop(clock: MovedClock) -> PatientStop:
    """Return a stop that is set in the first long wait, unless told otherwise."""
    stop = PatientStop(clock)
    stop.meanwhile = stop.set
    return stop


def keep_house(spool: Spool, stop: PatientStop, *folders: Path) -> Housekeeping:
    """Let housekeeping run until the stop."""
    keeper = Housekeeping(spool, spool.reconciler(EXAMINE), folders, stop=stop, clock=stop._clock)
    assert not keeper.settled
    keeper.run()
    return keeper


def orphan(folder: Path, number: int) -> Path:
    """Leave a picture that no row names, with its sidecar."""
    shelf = folder / "000000"
    shelf.mkdir(parents=True, exist_ok=True)
    path = shelf / f"door-20260314T081502.417Z-{number}.png"
    path.write_bytes(png())
    path.with_name(f"{path.name}.sidecar.json").write_text(json.dumps({"annotations": [BOX]}))
    return path


def put(spool: Spool, count: int, *, origin: Origin | None = None) -> None:
    """Put pictures."""
    for number in range(count):
        draft = Draft("door", SEEN, JPEG, 1, sha(b"%d" % number), "{}", b"%d" % number, origin=origin)
        spool.inbox.commit([spool.inbox.stage(draft)])


def deliver(spool: Spool) -> None:
    """Deliver all that waits."""
    while (item := spool.outbox.claim()) is not None:
        spool.outbox.deliver(item, Receipt(item.id, "delivered"))


def test_orphans_of_every_folder_are_items_again(tmp_path: Path, clock: MovedClock, stop: PatientStop) -> None:
    """With the index lost, the spool's folder and the hidden ones are enough: picture, boxes, source and time."""
    hidden = tmp_path / "door/.acusight-agent"
    orphan(tmp_path / "spool/items", 5)
    orphan(hidden, 3)
    with Spool(tmp_path / "spool", ROOMY, clock=clock, owner=True) as spool:
        heard = spool.arrived.rings()
        keeper = keep_house(spool, stop, spool.directory / "items", tmp_path / "nowhere", hidden)
        assert keeper.settled
        assert spool.arrived.rings() > heard
        found = [spool.outbox.claim(), spool.outbox.claim()]
        assert [json.loads(item.metadata)["annotations"] for item in found if item] == [[BOX], [BOX]]
        assert spool.accounts()["door"].waiting == 2


def test_a_folder_that_fails_hides_no_other(tmp_path: Path, clock: MovedClock, stop: PatientStop) -> None:
    """One watched directory that cannot be listed is said, and the next one's orphans are found all the same."""
    hidden = tmp_path / "door/.acusight-agent"
    orphan(tmp_path / "spool/items", 5)
    orphan(hidden, 3)
    with Spool(tmp_path / "spool", ROOMY, clock=clock, owner=True) as spool, capture_logs() as logs:
        assert keep_house(spool, stop, tmp_path / ("x" * 300), hidden).settled
        assert spool.accounts()["door"].waiting == 1
    assert "housekeeping_delayed" in [entry["event"] for entry in logs]


def test_what_an_earlier_run_left_is_finished_and_tried_again(tmp_path: Path, spool: Spool, stop: PatientStop) -> None:
    """A delivered original whose target refuses it is moved at a later sweep, every ten minutes."""
    original, target = tmp_path / "a.jpg", tmp_path / "done"
    original.write_bytes(b"0")
    target.write_text("a file where the folder should be")
    status = original.stat()
    put(spool, 1, origin=Origin(str(original), status.st_ino, status.st_size, status.st_mtime_ns, "move", target))
    deliver(spool)
    assert not (target / "a.jpg").exists()

    def meanwhile() -> None:
        if len(stop.waits) == 3:
            target.unlink()
        if len(stop.waits) == 5:
            stop.set()

    stop.meanwhile = meanwhile
    keep_house(spool, stop)
    assert (target / "a.jpg").read_bytes() == b"0"
    assert stop.waits == [EVERY_S] * 5


def test_receipts_are_bounded(spool: Spool, stop: PatientStop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest are kept, and the totals stay true."""
    monkeypatch.setattr(housekeeping, "RECEIPTS", 3)
    put(spool, 9)
    deliver(spool)
    keep_house(spool, stop)
    kept = [row[0] for row in spool.reader.all("SELECT item_id FROM receipt ORDER BY item_id")]
    assert kept == sorted(kept)[-3:]
    assert len(kept) == 3
    assert spool.accounts()["door"].delivered == 9


def test_a_stop_before_the_start_is_not_lost(tmp_path: Path, spool: Spool, stop: PatientStop) -> None:
    """It ends at once, without looking through folders first."""
    orphan(tmp_path / "door/.acusight-agent", 3)
    stop.set()
    keep_house(spool, stop, tmp_path / "door/.acusight-agent")
    assert spool.accounts() == {}
    assert len(stop.waits) == 1


def test_damage_ends_the_housekeeping(spool: Spool, stop: PatientStop) -> None:
    """A corrupt index is for a restart to mend."""
    put(spool, 3)
    deliver(spool)
    spool.reader.all("PRAGMA cache_size = 0")
    spool._commits._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (spool.directory / "index.sqlite3").open("r+b") as file:
        file.seek(2048)
        file.write(b"\xff" * 2048 * 40)
    with pytest.raises(SpoolDamaged):
        keep_house(spool, stop)

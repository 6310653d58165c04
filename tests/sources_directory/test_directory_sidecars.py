from __future__ import annotations

import json
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from directory_rig import YardMaker, jpeg, until
from structlog.testing import capture_logs

from agent.annotations.plan import AnnotationPlan
from agent.frame import Model
from agent.housekeeping import Examiner
from agent.pictures.exif import with_orientation
from agent.pictures.limits import PictureLimits
from agent.sources.listing import sighting
from agent.sources.shared import SharedFile, SharedFiles
from agent.sources.sidecars import LOOKED_UP_S, Sidecars
from agent.spool.schema import INDEX
from agent.spool.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from directory_rig import MovedClock, Yard

    from agent.sources.settle import Sighting

BOX = "0 0.5 0.5 0.2 0.2\n"


def coco(**pictures: int) -> bytes:
    """Return a data set with so many boxes on each picture, named without its ending."""
    images = [{"id": number, "file_name": f"{name}.jpg"} for number, name in enumerate(pictures)]
    boxes = [
        {"image_id": number, "category_id": 1, "bbox": [1 + place, 1, 2, 2]}
        for number, count in enumerate(pictures.values())
        for place in range(count)
    ]
    return json.dumps(
        {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dent"}]}, indent=1
    ).encode()


def boxes_of(yard: Yard) -> dict[str, int | None]:
    """Return how many boxes were sent with each picture; None where nothing is known."""
    told: dict[str, int | None] = {}
    for item in yard.items():
        said = json.loads(item.metadata).get("annotations")
        assert item.origin is not None
        told[str(item.origin.path.relative_to(yard.root))] = None if said is None else len(said)
    return told


@pytest.mark.parametrize(
    ("picture", "sidecar"),
    [
        ("a.jpg", "a.txt"),
        ("a.jpg", "labels/a.txt"),
        ("images/a.jpg", "labels/a.txt"),
        ("images/a.jpg", "images/labels/a.txt"),
        ("set/images/day/a.jpg", "set/labels/day/a.txt"),
    ],
)
def test_labels_are_found_where_tools_put_them(still: YardMaker, picture: str, sidecar: str) -> None:
    """Beside the picture, in a folder below, and in the folder of labels beside that of images."""
    yard = still(recursive=True, sidecar_wait_s=5.0)
    yard.put(picture)
    yard.put(sidecar, BOX.encode())
    yard.settle()
    assert boxes_of(yard) == {picture: 1}


def test_the_sister_of_the_watched_folder_is_found(still: YardMaker) -> None:
    """Where the folder that is watched is the one of images, its labels lie outside of it."""
    yard = still(sidecar_wait_s=5.0)
    sister = yard.root.parent / "labels"
    yard.root.rename(yard.root.parent / "images")
    yard.close()
    yard.root = yard.root.parent / "images"
    yard.plan = type(yard.plan)("door", yard.root, ("*.jpg",), settle_s=1.0, sidecar_wait_s=5.0, after="delete")
    yard.open()
    sister.mkdir()
    (sister / "a.txt").write_text(BOX)
    (yard.root / "a.jpg").write_bytes(jpeg(1))
    yard.settle()
    assert boxes_of(yard) == {"a.jpg": 1}
    yard.deliver()
    yard.spool.outbox.sweep()
    assert list(yard.root.glob("*")) == list(sister.iterdir()) == []


@pytest.mark.parametrize("outside", [False, True], ids=["inside", "outside"])
def test_a_late_label_in_a_sister_folder_wakes_its_picture(live: YardMaker, *, outside: bool) -> None:
    """Its event ends the wait, long before the time for it is up."""
    yard = live(sidecar_wait_s=60.0, recursive=True)
    yard.close()
    images = yard.root / "images"
    labels = yard.root / "labels"
    images.mkdir()
    labels.mkdir()
    yard.root = images if outside else yard.root
    yard.plan = type(yard.plan)("door", yard.root, ("*.jpg",), recursive=True, settle_s=0.05, sidecar_wait_s=60.0)
    yard.open()
    with yard.running():
        (images / "a.jpg").write_bytes(jpeg(1))
        until(lambda: len(yard.watch._pictures) == 1)
        (labels / "a.txt").write_text(BOX)
        until(lambda: list(boxes_of(yard).values()) == [1])


def test_what_a_link_leads_to_is_no_label(still: YardMaker, tmp_path: Path) -> None:
    """A sister folder that is a link, and a label that is one, are passed over."""
    yard = still(sidecar_wait_s=1.0)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.txt").write_text(BOX)
    yard.put("a.jpg")
    (yard.root / "labels").symlink_to(tmp_path / "secret")
    yard.settle()
    assert boxes_of(yard) == {"a.jpg": None}


def test_a_file_for_all_pictures_is_asked_for_each(still: YardMaker) -> None:
    """Boxes, none found, and nothing known are told apart for each picture."""
    yard = still(sidecar_wait_s=1.0, after="delete")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        yard.put(name)
    whole = yard.put("_annotations.coco.json", coco(a=2, b=0))
    yard.settle()
    assert boxes_of(yard) == {"a.jpg": 2, "b.jpg": 0, "c.jpg": None}
    yard.deliver()
    yard.spool.outbox.sweep()
    assert list(yard.root.glob("*")) == [whole], "a file for all is no picture's to take along"


def test_a_picture_waits_for_its_part_of_a_file_for_all(still: YardMaker) -> None:
    """A file that is there but does not name the picture yet is not its sidecar; when it does, it is."""
    yard = still(sidecar_wait_s=5.0)
    yard.put("_annotations.coco.json", coco(a=1))
    yard.put("b.jpg")
    yard.step()
    yard.step(1.0)
    yard.step(1.0)
    assert boxes_of(yard) == {}
    yard.put("_annotations.coco.json", coco(a=1, b=3))
    yard.watch._sidecars.heard("_annotations.coco.json", yard.clock.boot())
    yard.step(1.0)
    yard.watch._pictures.hasten("b.jpg", yard.clock.boot())
    yard.step(0.1)
    assert boxes_of(yard) == {"b.jpg": 3}


def test_a_file_that_grows_with_every_picture_holds_up_none(still: YardMaker) -> None:
    """What has to rest is the picture's part of it, not the file."""
    yard = still(sidecar_wait_s=60.0)
    pictures: dict[str, int] = {}
    for number in range(6):
        pictures[f"p{number}"] = number
        yard.put(f"p{number}.jpg")
        yard.put("_annotations.coco.json", coco(**pictures))
        yard.watch._rounds.ask()
        yard.step(1.0)
    assert len(yard.items()) >= 4
    assert all(count == int(name[1]) for name, count in boxes_of(yard).items())


def test_a_file_for_all_is_parsed_once_per_change(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred pictures cost one reading; a change costs another."""
    parsed: list[str] = []

    def counted(self: SharedFiles, shown: str, data: bytes, now: Sighting) -> SharedFile:
        parsed.append(shown)
        return original(self, shown, data, now)

    original = SharedFiles._parsed
    monkeypatch.setattr(SharedFiles, "_parsed", counted)
    yard = still(sidecar_wait_s=1.0)
    names = {f"p{number}": 1 for number in range(100)}
    for name in names:
        yard.put(f"{name}.jpg")
    yard.put("annotations.json", coco(**names))
    yard.settle()
    assert len(boxes_of(yard)) == 100
    assert len(parsed) == 1
    yard.put("annotations.json", coco(**names, late=2))
    yard.put("late.jpg")
    yard.settle()
    assert boxes_of(yard)["late.jpg"] == 2
    assert len(parsed) == 2


def test_folders_are_looked_up_seldom(still: YardMaker, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where labels and shared files may lie is asked once for many pictures, and again when time has passed."""
    yard = still()
    finder = Sidecars(yard.root, AnnotationPlan(), yard.clock)
    looked: list[str] = []
    original = finder._sisters

    def counted(folder: str) -> Any:  # noqa: ANN401 (as the original)
        looked.append(folder)
        return original(folder)

    monkeypatch.setattr(finder, "_sisters", counted)
    for number in range(50):
        finder.look(f"p{number}.jpg")
    assert looked == [""]
    clock.advance(LOOKED_UP_S)
    finder.look("p.jpg")
    assert looked == ["", ""]


def test_the_first_of_the_sidecars_counts(still: YardMaker) -> None:
    """The name that can only be meant for a picture counts before what others share; the sister's come last."""
    yard = still()
    finder = Sidecars(yard.root, AnnotationPlan(), yard.clock)
    yard.put("sub/_annotations.coco.json", coco(a=1))
    assert finder.look("sub/a.jpg") is not None
    for name in ("labels/a.json", "labels/a.xml", "labels/a.txt", "a.csv", "a.xml", "a.txt", "a.json", "a.jpg.json",
                 "a.annotations.json"):  # fmt: skip
        path = yard.put(f"sub/{name}", name.encode())
        finder.heard(f"sub/{name}")
        assert finder.look("sub/a.jpg") == sighting(path.stat())
    assert finder.look("a.jpg") is None
    with finder.open("sub/a.jpg") as sidecar:
        assert sidecar is not None
        assert sidecar.name == "sub/a.annotations.json"


def test_only_the_endings_of_the_configured_formats_are_looked_for(still: YardMaker) -> None:
    """Who has YOLO alone pays for one look, and is not misled by another file of the name."""
    yard = still()
    finder = Sidecars(yard.root, AnnotationPlan(formats=("yolo",)), yard.clock)
    yard.put("a.json", b"{}")
    yard.put("annotations.json", coco(a=1))
    assert finder.look("a.jpg") is None
    yard.put("a.txt", BOX.encode())
    assert finder.look("a.jpg") is not None


@pytest.mark.parametrize("rule", ["send_without", "quarantine"])
@pytest.mark.parametrize("name", ["a.json", "annotations.json"])
def test_a_bad_sidecar_is_dealt_with_by_the_rule(still: YardMaker, rule: str, name: str) -> None:
    """The picture goes without, or is set aside with the reason; either way it is in the spool and on the books."""
    yard = still(sidecar_wait_s=1.0, annotations=AnnotationPlan(on_bad=rule))
    yard.put("a.jpg")
    yard.put(name, coco(a=1).replace(b'"bbox": [\n    1,', b'"bbox": [\n    true,'))
    with capture_logs() as logs:
        yard.settle()
    (said,) = [entry for entry in logs if entry["event"] == "sidecar_rejected"]
    assert said["reason"].startswith(f"{name}, line 13, annotations[0].bbox[0]: must be a number")
    (row,) = yard.rows("SELECT state, reason, metadata FROM item")
    assert "annotations" not in json.loads(row["metadata"])
    assert (row["state"], row["reason"]) == (
        ("waiting", None) if rule == "send_without" else ("quarantined", said["reason"])
    )
    tally = {entry["what"]: entry["items"] for entry in yard.rows("SELECT what, items FROM tally")}
    assert tally.get("captured") == 1
    assert tally.get("quarantined", 0) == (rule == "quarantine")
    if rule == "quarantine":
        assert yard.spool.outbox.claim() is None
        yard.spool.orders.retry(Selection(ids=(1,)))
        assert len(yard.deliver()) == 1
    yard.settle()
    assert len(yard.rows("SELECT 1 FROM known")) == 1, "it is not taken again"


def test_a_picture_waits_until_its_sidecar_is_mended(still: YardMaker) -> None:
    """With that rule nothing is sent, and the reason is said; the mended sidecar lets the picture go."""
    yard = still(sidecar_wait_s=1.0, annotations=AnnotationPlan(on_bad="wait", classes=("dent",)))
    yard.put("a.jpg")
    yard.put("a.txt", b"5 0.5 0.5 0.2 0.2\n")
    with capture_logs() as logs:
        yard.settle()
    assert yard.items() == []
    (said,) = [entry for entry in logs if entry["event"] == "file_delayed"]
    assert "index 5 has no name" in said["reason"]
    yard.put("a.txt", BOX.encode())
    for name in yard.watch._sidecars.heard("a.txt", yard.clock.boot()):
        yard.watch._pictures.hasten(name, yard.clock.boot() + 1.0)
    yard.step(1.0)
    assert boxes_of(yard) == {"a.jpg": 1}


def test_a_quarantine_that_is_full_drops_its_oldest(still: YardMaker) -> None:
    """What is set aside for its sidecar is bounded like everything that is set aside."""
    yard = still(annotations=AnnotationPlan(on_bad="quarantine"))
    yard.spool.inbox._allowance.limits = type(yard.limits)(max_bytes=10**9, min_free_bytes=0, quarantine_max_items=2)
    for number in range(4):
        yard.put(f"{number}.jpg")
        yard.put(f"{number}.json", b"{")
    yard.settle()
    rows = yard.rows("SELECT what, items FROM tally WHERE items <> 0")
    assert {row["what"]: row["items"] for row in rows} == {"captured": 4, "quarantined": 2, "dropped": 2}


def test_which_format_was_taken_is_said_once(still: YardMaker) -> None:
    """A wrong guess must not go unseen, and a right one need not be repeated."""
    yard = still(annotations=AnnotationPlan(classes=("dent",)))
    for number in range(3):
        yard.put(f"{number}.jpg")
        yard.put(f"{number}.txt", f"0 0.5 0.5 0.2 0.{number + 1}\n".encode())
    yard.put("x.jpg")
    yard.put("x.json", b'{"annotations": []}')
    with capture_logs() as logs:
        yard.settle()
    said = [entry for entry in logs if entry["event"] == "annotation_format_recognised"]
    assert [(entry["format"], entry["reason"], entry["source"]) for entry in said] == [
        ("yolo", "lines that begin with a class index", "door"),
        ("native", "`annotations`", "door"),
    ]


def test_what_is_left_out_is_counted(still: YardMaker) -> None:
    """Boxes outside, shapes, and boxes that are too unsure each have their number in the log."""
    plan = AnnotationPlan(classes=("dent",), shapes="skip", min_confidence=0.5)
    yard = still(annotations=plan)
    yard.put("a.jpg")
    yard.put(
        "a.txt", b"0 0.5 0.5 0.2 0.2 0.9\n0 0.5 0.5 0.2 0.3 0.2\n0 1.5 0.5 0.2 0.2 0.9\n0 .1 .1 .2 .1 .2 .2 .1 .2\n"
    )
    with capture_logs() as logs:
        yard.settle()
    (said,) = [entry for entry in logs if entry["event"] == "annotations_adjusted"]
    assert (said["outside_of_the_picture"], said["below_min_confidence"], said["without_a_box"]) == (1, 1, 1)
    assert boxes_of(yard) == {"a.jpg": 1}


@pytest.mark.parametrize(("space", "sent"), [("displayed", [0.25, 0.3, 0.2, 0.4]), ("stored", [0.7, 0.25, 0.4, 0.2])])
def test_boxes_go_as_the_picture_is_shown(still: YardMaker, space: str, sent: list[float]) -> None:
    """A picture on its side is sent untouched, and its boxes are those of the picture that everybody sees."""
    yard = still(annotations=AnnotationPlan(classes=("dent",), box_space=space))
    yard.put("a.jpg", with_orientation(jpeg(1), 6))
    yard.put("a.txt", b"0 0.25 0.3 0.2 0.4\n")
    yard.settle()
    (item,) = yard.items()
    assert json.loads(item.metadata)["annotations"][0]["geometry"] == sent
    assert struct.pack(">HHIHH", 274, 3, 1, 6, 0) in item.path.read_bytes(), "it keeps its note"


@pytest.mark.parametrize("shared_file", [False, True], ids=["own", "part"])
def test_boxes_survive_the_loss_of_the_index(still: YardMaker, *, shared_file: bool) -> None:
    """From the folder alone the same metadata is made again: by the linked sidecar, or a picture's part of a file."""
    plan = AnnotationPlan(classes=("dent",), box_space="stored")
    yard = still(sidecar_wait_s=1.0, annotations=plan)
    yard.put("a.jpg", with_orientation(jpeg(1), 6))
    yard.put("annotations.json" if shared_file else "a.txt", coco(a=2, b=1) if shared_file else BOX.encode())
    yard.settle()
    (before,) = yard.items()
    yard.close()
    for suffix in ("", "-wal", "-shm"):
        (yard.spool_dir / f"{INDEX}{suffix}").unlink(missing_ok=True)
    (yard.spool_dir / INDEX).write_bytes(b"rubbish" * 1000)
    yard.open()
    examiner: Any = Examiner(PictureLimits(), Model("m-1", "7"), {"door": plan})
    yard.spool.reconciler(examiner).run(yard.spool_dir / "items", yard.stop)
    (after,) = yard.items()
    assert json.loads(after.metadata) == json.loads(before.metadata)
    assert after.beside is not None
    with closing(yard.spool.reader):
        yard.deliver()
        assert not after.beside.exists()

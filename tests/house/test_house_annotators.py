from __future__ import annotations

import json
import shlex
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from annotator_house import arrived, command, seen
from house_rig import KEY, House, Manager, arrive, photograph, until, video

if TYPE_CHECKING:
    from pathlib import Path

NATIVE = '{"annotations": [{"class_value": "by hand", "geometry": [0.5, 0.5, 0.2, 0.1]}]}'
ONCE = """
import json, sys
size = len(sys.stdin.buffer.read())
print(json.dumps({"annotations": [{"class_value": f"size {size}", "geometry": [0.5, 0.5, 0.2, 0.1]}]}))
"""
HANGS = "for picture in pictures(): time.sleep(600)"
EVERY_OTHER_CRASHES = """
for number, picture in enumerate(pictures()):
    if len(picture) % 2: os.abort()
    answer("even")
"""


def test_a_folders_pictures_are_looked_at(tmp_path: Path) -> None:
    """Each picture arrives with its own boxes and the model that the program names; sidecars come before programs."""
    with House(tmp_path) as house:
        body = "for picture in pictures(): answer(f'size {len(picture)}')"
        house.configure(annotator={"kind": "command", "command": command(house, body)})
        pictures = {arrive(house.watched / f"{n}.jpg", data := photograph(n)): len(data) for n in range(8)}
        arrive(house.watched / "paired.json", NATIVE.encode())
        paired = arrive(house.watched / "paired.jpg", photograph(9))
        png = arrive(house.watched / "other.png", photograph(10, suffix=".png"))
        agent = house.once()
        metadata = arrived(house)
        assert {digest: seen(metadata[digest]) for digest in pictures} == {
            digest: [f"size {size}"] for digest, size in pictures.items()
        }
        assert {metadata[digest]["model_id"] for digest in pictures} == {"mdl-seen"}
        assert seen(metadata[paired]) == ["by hand"]
        assert (seen(metadata[png]) or ["none"])[0].startswith("size")
        assert not agent.events("annotator_failed")
        house.check([*pictures, paired, png])


def test_a_program_may_run_once_a_picture(tmp_path: Path) -> None:
    """With `mode = "once"` each picture has a process of its own; a source that says no is left alone."""
    with House(tmp_path) as house:
        other = house.root / "other"
        line = command(house, ONCE, head="")
        house.configure(
            annotator={"kind": "command", "command": line, "mode": "once", "model_version": "7"},
            watch=[{}, {"path": str(other), "annotate": False}],
        )
        digest = arrive(house.watched / "a.jpg", data := photograph(1))
        plain = arrive(other / "b.jpg", photograph(2))
        house.once()
        metadata = arrived(house)
        assert (seen(metadata[digest]), metadata[digest]["model_version"]) == ([f"size {len(data)}"], "7")
        assert seen(metadata[plain]) is None


def test_i4_an_annotator_that_hangs_holds_up_nothing_but_its_pictures(tmp_path: Path) -> None:
    """Pictures with sidecars go on meanwhile, and SIGTERM ends it all in time (I4)."""
    with House(tmp_path) as house:
        annotator = {"kind": "command", "command": command(house, HANGS), "timeout_s": 300}
        house.configure(annotator=annotator)
        for number in range(3):
            arrive(house.watched / f"{number}.jpg", photograph(number))
        agent = house.run()
        until(lambda: any("annotator.py" in line for line in house.living().values()))
        arrive(house.watched / "paired.json", NATIVE.encode())
        paired = arrive(house.watched / "paired.jpg", photograph(9))
        house.arrived(1)
        assert arrived(house).keys() == {paired}
        assert agent.stop() < 3.0
        assert not agent.events("stragglers_left")
        assert not any("annotator.py" in line for line in house.living().values())
        house.check([paired])
        house.configure(annotator={**annotator, "command": command(house, "for p in pictures(): answer('late')")})
        house.once()
        assert [seen(metadata) for metadata in arrived(house).values()].count(["late"]) == 3


def test_a_hung_annotator_does_not_keep_the_watchdogs_food(tmp_path: Path) -> None:
    """A folder and a video wait for it; the service manager hears of progress all the while, and nothing stalls."""
    with House(tmp_path) as house, closing(Manager(tmp_path / "notify")) as manager:
        video(house.root / "clip.avi", 3)
        house.configure(
            annotator={"kind": "command", "command": command(house, HANGS), "timeout_s": 300},
            camera=[{"name": "clip", "source": str(house.root / "clip.avi"), "interval_s": 0}],
        )
        arrive(house.watched / "a.jpg", photograph(1))
        agent = house.run(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="400000")
        until(lambda: any("annotator.py" in line for line in house.living().values()))
        fed = manager.listen().count("WATCHDOG=1")
        until(lambda: manager.listen().count("WATCHDOG=1") >= fed + 8)
        assert arrived(house) == {}
        assert not agent.events("stages_stalled")
        assert agent.stop() < 3.0


FAILS_IN_EVERY_WAY = """
runs = open("RUNS", "a+"); runs.write("x"); runs.flush(); run = runs.tell()
if run == 1: sys.exit("no model")
for picture in pictures(): print("I see a dent" if run == 2 else "x" * 100_000_000, flush=True)
"""


def test_pictures_go_without_annotations(tmp_path: Path) -> None:
    """By default what cannot be looked at is sent all the same: after a crash, rubbish, and an answer of 100 MB."""
    with House(tmp_path) as house:
        line = command(house, FAILS_IN_EVERY_WAY.replace("RUNS", str(house.root / "runs")))
        house.configure(annotator={"kind": "command", "command": line})
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3)]
        agent = house.once()
        assert [seen(metadata) for metadata in arrived(house).values()] == [None] * 3
        reasons = [event["reason"] for event in agent.events("picture_unannotated")]
        told = (
            "it ended with status 1: no model",
            "its answer cannot be read",
            "its answer is larger than 8000000 bytes",
        )
        assert all(said.startswith(start) for said, start in zip(reasons, told, strict=True)), reasons
        house.check(digests)


def test_pictures_are_dropped_on_record(tmp_path: Path) -> None:
    """By the rule `drop` what cannot be looked at is a row in the ledger; the file stays, and is not tried again."""
    with House(tmp_path) as house:
        line = command(house, EVERY_OTHER_CRASHES)
        house.configure(annotator={"kind": "command", "command": line, "on_failure": "drop"})
        pictures = [photograph(number) for number in range(4)]
        even = [arrive(house.watched / f"{n}.jpg", data) for n, data in enumerate(pictures) if len(data) % 2 == 0]
        odd = [arrive(house.watched / f"{n}.jpg", data) for n, data in enumerate(pictures) if len(data) % 2]
        assert even
        assert odd
        house.once()
        house.once()
        assert house.check(even + odd, delivered=len(even)).total() == len(even)
        dropped = house.rows("SELECT reason, items FROM tally WHERE what = 'dropped'")
        assert dropped == [{"reason": "no answer from the annotator", "items": len(odd)}]
        assert len(list(house.watched.glob("*.jpg"))) == 4


def test_pictures_wait_for_their_annotator(tmp_path: Path) -> None:
    """By the rule `wait` the files stay until the program is well again; `status` says what is wrong."""
    with House(tmp_path) as house:
        mended = house.root / "mended"
        body = (
            f"if not os.path.exists({str(mended)!r}): sys.exit('no model')\nfor picture in pictures(): answer('seen')"
        )
        line = command(house, body)
        house.configure(annotator={"kind": "command", "command": line, "on_failure": "wait"})
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3)]
        agent = house.run()
        agent.until("file_delayed")

        def state() -> dict[str, Any]:
            told: dict[str, Any] = json.loads(house.call("status", "--json").stdout)["daemon"]["annotators"]["command"]
            return told

        # The state file is written once a second.
        until(lambda: "it ended with status 1: no model" in house.call("status").stdout, said=agent.tail)
        mended.touch()
        house.settled(3)
        assert [seen(metadata) for metadata in arrived(house).values()] == [["seen"]] * 3
        until(lambda: state()["answered"] == 3, said=state)
        assert state()["problem"] == ""
        assert state()["latency_s"] is not None
        agent.stop()
        house.check(digests)


def test_a_videos_frames_are_looked_at(tmp_path: Path) -> None:
    """Each frame of a file waits for its answer, none is lost, and the key is not in the program's environment (I7)."""
    with House(tmp_path) as house:
        digests = video(house.root / "clip.avi", 6)
        body = "for picture in pictures(): answer(str('ACUSIGHT' in str(os.environ).upper() or len(os.environ) < 2))"
        house.configure(
            annotator={"kind": "command", "command": command(house, body)},
            camera=[{"name": "clip", "source": str(house.root / "clip.avi"), "interval_s": 0}],
            watch=[],
        )
        line = shlex.join([sys.executable, "-m", "agent", "-c", str(house.config), "run", "--once"])
        assert KEY not in line
        house.start("run", "--once", ACUSIGHT_AGENT_SERVER__DEVICE_KEY=KEY).wait(60)
        assert [seen(metadata) for metadata in arrived(house).values()] == [["False"]] * 6
        house.check(digests)


def test_a_live_camera_goes_on_beside_a_slow_annotator(tmp_path: Path) -> None:
    """The newest frame is looked at, the others are counted as dropped, and the books are even (I2)."""
    with House(tmp_path) as house:
        picture = house.root / "picture.jpg"
        picture.write_bytes(photograph(1))
        feed = house.root / "feed.py"
        feed.write_text(
            "import pathlib, sys, time\npicture = pathlib.Path(sys.argv[1]).read_bytes()\n"
            "for number in range(10**6):\n"
            "    sys.stdout.buffer.write(picture[:2] + b'\\xff\\xfe\\0\\6%04d' % number + picture[2:])\n"
            "    sys.stdout.flush(); time.sleep(0.02)\n",
            encoding="utf-8",
        )
        source = "cmd:" + shlex.join([sys.executable, "-S", str(feed), str(picture)])
        body = "for picture in pictures():\n    time.sleep(0.2)\n    answer('seen')"
        house.configure(
            annotator={"kind": "command", "command": command(house, body)},
            camera=[{"name": "gate", "source": source, "interval_s": 0}],
            watch=[],
        )
        agent = house.run()
        house.settled(3)
        agent.stop()
        assert {tuple(seen(metadata) or ()) for metadata in arrived(house).values()} == {("seen",)}
        tally = {row["reason"] or row["what"]: row["items"] for row in house.rows("SELECT * FROM tally")}
        waiting = house.rows("SELECT count(*) AS n FROM item")[0]["n"]
        assert tally["the annotator was busy"] > 5
        assert tally["captured"] == tally["delivered"] + tally["the annotator was busy"] + waiting

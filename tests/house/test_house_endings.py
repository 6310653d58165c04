from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from house_rig import KEY, House, arrive, photograph

if TYPE_CHECKING:
    from collections.abc import Callable


def broken(text: str) -> Callable[[House], None]:
    """Return what breaks the configuration."""

    def prepare(house: House) -> None:
        house.config.write_text(text, encoding="utf-8")

    return prepare


def refuse_one(house: House) -> None:
    """Have the platform refuse the first picture."""
    house.fault(status=400, code="BAD_IMAGE", message="no", count=1)


def refuse_key(house: House) -> None:
    """Have the platform refuse the key."""
    house.fault(route="any", status=401, code="UNAUTHORIZED", message="unknown key")


def go_down(house: House) -> None:
    """Take the platform away."""
    house.sandbox.kill()


def nothing(_: House) -> None:
    """Leave everything as it is."""


@pytest.mark.parametrize(
    ("prepare", "arguments", "code", "sentence"),
    [
        (nothing, ["run", "--once"], 0, None),
        (refuse_one, ["run", "--once"], 4, "1 picture was refused and set aside"),
        (go_down, ["run", "--once"], 5, "the platform cannot be reached"),
        (refuse_key, ["run", "--once"], 6, "the platform refuses this device"),
        (broken("[server]\nurl = 7\n"), ["run", "--once"], 78, "server.url"),
        (broken('[server]\nurl = "https://h/"\n'), ["run"], 78, "there is no device key"),
        (nothing, ["status"], 3, "no agent runs on the spool"),
        (nothing, ["upload", "gone.jpg"], 2, "'gone.jpg' does not exist"),
    ],
)
def test_every_ending_has_its_code_and_one_sentence(
    tmp_path: Path, prepare: Callable[[House], None], arguments: list[str], code: int, sentence: str | None
) -> None:
    """The exit code says what came of it; a failure is one line besides the log, and no traceback."""
    with House(tmp_path, online=prepare is not nothing or "run" in arguments) as house:
        arrive(house.watched / "a.jpg", photograph(1))
        prepare(house)
        agent = house.start(*arguments)
        assert agent.wait(30) == code, agent.tail()
        said = agent.said()
        assert len(said) == (sentence is not None), said
        if sentence is not None:
            assert said[0].startswith("acusight-agent: ")
            assert sentence in said[0]
        assert "Traceback" not in agent.tail()
        assert KEY not in agent.tail()


def test_an_interrupted_run_says_so_and_loses_nothing(tmp_path: Path) -> None:
    """Ctrl-C during `--once` ends with 130 and one sentence; the next run finishes the work (I2)."""
    with House(tmp_path) as house:
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(4)]
        house.fault(delay_s=0.7)
        agent = house.start("run", "--once")
        agent.until("item_spooled", 4)
        agent.signal(signal.SIGINT)
        assert agent.wait(5) == 130
        assert agent.said() == ["acusight-agent: interrupted. What was taken waits in the spool."]
        house.fault()
        house.once()
        house.check(digests)


def test_a_refused_picture_is_kept_with_its_reason(tmp_path: Path) -> None:
    """Set aside, it is neither lost nor in the way, and a later run does not count it again (I2)."""
    with House(tmp_path) as house:
        house.configure(upload={"workers": 1})
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3)]
        refuse_one(house)
        house.once(expected=4)
        house.check(digests, delivered=2)
        assert "BAD_IMAGE" in house.rows("SELECT reason FROM item")[0]["reason"]
        house.once(expected=0)


def test_no_fault_of_the_way_discards_or_quarantines(tmp_path: Path) -> None:
    """Wrong key, login page, redirect, wrong URL: the pictures wait, and go when it is over (I6)."""
    faults: list[tuple[dict[str, Any], int]] = [
        ({"status": 401}, 6),
        ({"portal": True}, 5),
        ({"redirect": "https://example.invalid/"}, 5),
        ({"status": 404}, 5),
    ]
    with House(tmp_path) as house:
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(2)]
        for fault, code in faults:
            house.fault(route="any", **fault)
            house.once(expected=code)
            house.check(digests, delivered=0)
            assert {row["state"] for row in house.rows("SELECT state FROM item")} == {"waiting"}
        house.fault()
        house.once()
        house.check(digests)


def test_once_takes_folders_and_files_but_no_live_camera(tmp_path: Path) -> None:
    """A live camera has no end, so a bounded run leaves it alone."""
    with House(tmp_path) as house:
        mark = house.root / "started"
        house.configure(camera=[{"name": "gate", "source": f"cmd:touch {mark}"}])
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.once()
        house.check([digest])
        assert not mark.exists()


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It tells what would be sent, asks nobody, and leaves no file behind."""
    with House(tmp_path) as house:
        arrive(house.watched / "a.jpg", photograph(1))
        arrive(house.watched / "a.txt", b"0 0.5 0.5 0.1 0.1\n")
        (house.watched / "half.jpg").write_bytes(photograph(2)[:900])
        (house.watched / "ev\nil\x1b[2J\udcff.jpg").write_bytes(photograph(3))
        house.configure(
            watch=[{"classes": ["scratch"]}, {"path": str(house.root / "gone"), "name": "gone"}],
            camera=[{"name": "gate", "source": "rtsp://user:hidden@cam/1"}],
        )
        before = sorted(str(path) for path in house.root.rglob("*"))
        ended = house.call("run", "--dry-run")
        assert (ended.returncode, ended.stderr) == (0, "")
        lines = ended.stdout.splitlines()
        assert len(lines) == 5
        assert '"annotations"' in next(line for line in lines if "captures: a.jpg: would be sent" in line)
        assert any("half.jpg: would not be sent" in line for line in lines)
        assert any(line.startswith("captures: ev\\nil\\x1b[2J\\udcff.jpg: would be sent") for line in lines)
        assert any(line.startswith("gone: cannot list") for line in lines)
        assert "hidden" not in ended.stdout
        assert sorted(str(path) for path in house.root.rglob("*")) == before
        assert house.sandbox.requests() == {}


def test_an_output_that_cannot_be_written_is_no_traceback() -> None:
    """A full disk behind the output is one sentence."""
    with Path("/dev/full").open("wb") as full:
        line = [sys.executable, "-m", "agent", "version"]
        ended = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "acusight-agent: cannot write the output: No space left on device\n"


def test_a_picture_that_appears_late_is_seen_within_a_second(tmp_path: Path) -> None:
    """A file event is heard at once: nobody waits for the rescan."""
    with House(tmp_path) as house:
        house.configure(watch=[{"rescan_s": 3600}])
        agent = house.run()
        first = arrive(house.watched / "first.jpg", photograph(2))
        house.settled(1)
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.settled(2, seconds=2)
        agent.stop()
        house.check([first, digest])

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from directory_rig import coded, jpeg, names, refuse_inotify, sha, until, without_privileges
from structlog.testing import capture_logs

from agent.sources import notices
from agent.spool.budget import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from directory_rig import Yard, YardMaker

# watchdog warns where a folder is made while it watches the one above; in a test that would end its thread.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")

LONG_S = 3600.0
WHOLE = jpeg(1)


def listening(yard: Yard) -> bool:
    """Tell whether the first walk is over, so that only events bring news."""
    return yard.watch._rounds.completed


@pytest.mark.parametrize("how", ["written", "renamed", "moved in", "linked in", "from a folder inside"])
def test_a_new_file_is_taken_by_its_event(live: YardMaker, tmp_path: Path, how: str) -> None:
    """However a file comes, it is in the spool long before the next walk."""
    yard = live(rescan_s=LONG_S, recursive=how.startswith("from"))
    source = {"renamed": yard.root / ".new", "from a folder inside": yard.root / "sub" / "x.part"}.get(
        how, tmp_path / "outside"
    )
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(WHOLE)
    with yard.running():
        until(lambda: listening(yard))
        if how == "written":
            yard.put("a.jpg", WHOLE)
        elif how == "linked in":
            (yard.root / "a.jpg").hardlink_to(source)
        else:
            source.rename(yard.root / "a.jpg")
        until(yard.items)
        assert yard.taken() == ["a.jpg"]
        assert yard.deliver() == [WHOLE]


def test_a_half_written_file_is_taken_when_it_is_closed(live: YardMaker) -> None:
    """A writer that pauses longer than the settle time is waited for; its end is heard."""
    yard = live(rescan_s=LONG_S)
    with yard.running():
        until(lambda: listening(yard))
        with (yard.root / "a.jpg").open("wb", buffering=0) as stream:
            for start in range(0, len(WHOLE), 250):
                time.sleep(0.1)
                assert yard.items() == []
                stream.write(WHOLE[start : start + 250])
        until(yard.items)
        assert yard.deliver() == [WHOLE]


def test_a_sidecar_that_comes_late_is_heard(live: YardMaker) -> None:
    """A picture that waits for its sidecar is taken as soon as that has settled."""
    yard = live(rescan_s=LONG_S, sidecar_wait_s=60.0, settle_s=0.05)
    yard.put("a.jpg", WHOLE)
    with yard.running():
        until(lambda: listening(yard))
        time.sleep(0.2)
        assert yard.items() == []
        yard.put("a.txt", b"0 0.5 0.5 0.1 0.1")
        until(yard.items, 2.0)
    assert len(json.loads(yard.items()[0].metadata)["annotations"]) == 1


def test_a_folder_moved_in_is_taken_whole(live: YardMaker, tmp_path: Path) -> None:
    """Where folders count, one that comes with all its files is walked at once."""
    yard = live(rescan_s=LONG_S, recursive=True)
    (tmp_path / "box" / "deep").mkdir(parents=True)
    for number in range(20):
        (tmp_path / "box" / "deep" / f"{number}.jpg").write_bytes(jpeg(number))
    with yard.running():
        until(lambda: listening(yard))
        (tmp_path / "box").rename(yard.root / "box")
        until(lambda: len(yard.items()) == 20)
    assert {name.rpartition("/")[0] for name in yard.taken()} == {"box/deep"}


def test_lost_events_are_made_up_for(live: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """When more events come than are held, a walk finds the files of those that were dropped."""
    monkeypatch.setattr(notices, "BOUND", 0)
    yard = live(rescan_s=LONG_S)
    with yard.running():
        until(lambda: listening(yard))
        for number in range(50):
            yard.put(f"{number}.jpg")
        until(lambda: len(yard.items()) == 50)


def test_walks_alone_find_all(live: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without inotify, new, replaced and completed files are found by the walks."""
    monkeypatch.setattr(notices, "Observer", refuse_inotify)
    yard = live(rescan_s=0.1)
    yard.put("half.jpg", WHOLE[:-2])
    with capture_logs() as logs, yard.running():
        until(lambda: listening(yard))
        yard.put("a.jpg", jpeg(2))
        until(lambda: len(yard.items()) == 1)
        yard.put(".a.jpg", jpeg(3)).rename(yard.root / "a.jpg")
        yard.put("half.jpg", WHOLE)
        until(lambda: len(yard.items()) == 3)
    assert sorted(yard.digests()) == sorted(sha(data) for data in (jpeg(2), jpeg(3), WHOLE))
    assert len(names(logs, "events_unavailable")) == 1


def test_a_directory_made_again_is_watched_again(live: YardMaker) -> None:
    """After a removal and a new start the walks come back, and with them the events."""
    yard = live(rescan_s=0.2)
    with capture_logs() as logs, yard.running():
        until(lambda: listening(yard))
        yard.remove()
        until(lambda: names(logs, "directory_unavailable"))
        yard.root.mkdir()
        until(lambda: names(logs, "directory_restored"))
        yard.watch._rounds._rescan_s = LONG_S
        time.sleep(0.5)
        yard.put("a.jpg", WHOLE)
        until(yard.items)
    assert [entry["event"] for entry in logs if entry["event"].startswith("directory")] == [
        "directory_unavailable",
        "directory_restored",
    ]


def test_latest_jpg_never_gives_a_mixed_picture(live: YardMaker) -> None:
    """A file that is rewritten in place all the time yields whole versions only, and the last of them."""
    yard = live(rescan_s=0.1, settle_s=0.02)
    versions = [jpeg(number) + bytes(number * 1000) for number in range(30)]
    with yard.running():
        for number, version in enumerate(versions):
            path = yard.root / "latest.jpg"
            with path.open("r+b" if path.exists() else "wb", buffering=0) as stream:
                stream.truncate(0)
                stream.write(version[:300])
                stream.write(version[300:])
            time.sleep(0.01 if number % 3 else 0.12)
        until(lambda: sha(versions[-1]) in yard.digests())
    sent = yard.deliver()
    assert set(sent) <= set(versions)
    assert len(set(sent)) == len(sent) >= 5
    account = yard.spool.accounts()["door"]
    assert account.captured == account.delivered + sum(account.dropped.values())
    assert sum(account.dropped.values()) <= 1


def test_a_bounded_run_takes_all_and_ends(live: YardMaker) -> None:
    """`once` ends when all is taken; what is unfinished or unreadable stays, and is named."""
    yard = live(sidecar_wait_s=0.1, rescan_s=LONG_S)
    for number in range(40):
        yard.put(f"{number}.jpg")
    yard.put("half.jpg", WHOLE[:-2])
    yard.put("bad.jpg", b"no picture")
    yard.put("closed.jpg", WHOLE).chmod(0)
    with capture_logs() as logs, without_privileges():
        yard.run_once()
    assert len(yard.items()) == 40
    assert sorted(names(logs, "file_left")) == ["closed.jpg", "half.jpg"]
    assert names(logs, "file_rejected") == ["bad.jpg"]


def test_a_bounded_run_waits_for_who_still_writes(live: YardMaker) -> None:
    """`once` does not leave a file that changes again before it was looked into a second time."""
    yard = live(settle_s=0.1)
    yard.put("a.jpg", WHOLE[:-2])
    writer = threading.Timer(0.15, lambda: yard.put("a.jpg", WHOLE))
    writer.start()
    try:
        yard.reopen(once=True)
        yard.put("b.jpg")
        grow = threading.Timer(0.05, lambda: yard.put("a.jpg", WHOLE[:-1]))
        grow.start()
        yard.watch.run()
        grow.join()
    finally:
        writer.join()
    assert sorted(yard.taken()) == ["a.jpg", "b.jpg"]


def test_a_bounded_run_without_a_directory_ends(live: YardMaker) -> None:
    """Where there is no directory, there is nothing to take."""
    yard = live()
    yard.remove()
    with capture_logs() as logs:
        yard.run_once()
    assert len(names(logs, "directory_unavailable")) == 1


def test_an_idle_watch_sleeps(live: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing happens the thread does not wake before the next walk, also with a file that stays half-written."""
    yard = live(rescan_s=LONG_S)
    yard.put("a.jpg", WHOLE)
    yard.put("half.jpg", WHOLE[:-2])
    steps: list[float] = []
    step = yard.watch._step

    def counted() -> None:
        steps.append(time.monotonic())
        step()

    monkeypatch.setattr(yard.watch, "_step", counted)
    with yard.running():
        until(yard.items)
        time.sleep(0.9)
        settled = len(steps)
        time.sleep(0.6)
        assert len(steps) - settled <= 2


@pytest.mark.parametrize("state", ["idle", "away", "paused", "deaf", "waiting", "busy", "decoding"])
def test_it_ends_within_a_second(live: YardMaker, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Whatever it is doing, the thread and those of its events are gone within a second of the stop."""
    before = threading.active_count()
    yard = live(rescan_s=LONG_S, decode=state == "decoding", sidecar_wait_s=60.0 if state == "waiting" else 0.0)
    if state == "away":
        yard.remove()
    else:
        count = 3000 if state == "busy" else 200 if state == "decoding" else 3
        for number in range(count):
            yard.put(f"{number}.jpg", coded(".jpg", width=640, height=480) if state == "decoding" else None)
    if state == "paused":
        yard.spool.allowance._measure = lambda: Usage(0, -1)
    if state == "deaf":
        monkeypatch.setattr(notices, "Observer", refuse_inotify)
    with yard.running() as nursery:
        until(lambda: listening(yard) or yard.watch._rounds.walking)
        if state in {"busy", "decoding"}:
            until(yard.items)
        else:
            time.sleep(0.2)
        began = time.monotonic()
        yard.stop.set()
        yard.darkroom.close()
        assert nursery.join(1.0) == []
        assert time.monotonic() - began < 1.0
    assert threading.active_count() == before
    assert len(yard.items()) < (3000 if state == "busy" else 200)


def test_a_stop_before_the_start_is_not_lost(live: YardMaker) -> None:
    """A watch that is started after the stop ends at once."""
    yard = live()
    yard.put("a.jpg")
    yard.stop.set()
    yard.watch.run()
    assert yard.items() == []


def test_a_hidden_folder_of_the_agent_wakes_nobody(live: YardMaker) -> None:
    """Where links go into the watched directory itself, they are neither pictures nor news."""
    yard = live(recursive=True, rescan_s=LONG_S)
    with yard.running():
        until(lambda: listening(yard))
        hidden = yard.root / ".acusight-agent" / "000000"
        hidden.mkdir(parents=True)
        (hidden / "door-1.jpg").write_bytes(WHOLE)
        time.sleep(0.3)
        assert (yard.items(), yard.watch._rounds._asked) == ([], False)

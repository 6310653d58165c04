from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from house_rig import House, arrive, photograph, sha256, until

if TYPE_CHECKING:
    from collections.abc import Iterator


def junk(folder: Path) -> Iterator[str]:
    """Fill a folder with what is no picture, or no honest one; yield the names that a person should be told of."""
    whole = photograph(99)
    os.mkfifo(folder / "fifo.jpg")
    os.mknod(folder / "device.jpg", 0o020600, os.makedev(1, 3))
    (folder / "passwd.jpg").symlink_to("/etc/passwd")
    (folder / "nowhere.png").symlink_to("gone")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "folder.jpg").mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(folder / "s.jpg"))
    (folder / "empty.jpg").touch()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / ".hidden.jpg").write_bytes(whole)
    (folder / "writing.jpg.part").write_bytes(whole)
    for name, data in {
        "text.jpg": b"this is no picture\n" * 100,
        "wide.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\2\0\0\0\0\0\0\0",
        "elf.png": Path("/bin/true").read_bytes(),
    }.items():
        (folder / name).write_bytes(data)
    yield from ("text.jpg", "elf.png")


def good(folder: Path) -> list[str]:
    """Put good pictures under strange names, some with hostile sidecars, beside the junk; return their digests."""
    names = ["a.jpg", "new\nline.jpg", "l" * 246 + ".jpg", "-rf.jpg", "q'\"$(x).jpg", "\udcff\udcfe.jpg", "日本.jpg"]
    digests = [arrive_long(folder / name, photograph(seed)) for seed, name in enumerate(names)]
    sidecars = {
        "deep.json": "[" * 100_000,
        "nan.json": '{"annotations": [{"class_value": "x", "geometry": [NaN, 0, 1e999, 1]}]}',
        "huge.json": '{"annotations": [' + "0," * 300_000 + "0]}",
        "wrong.txt": "one two three\n",
        "binary.txt": "\x00\x01\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    }
    for seed, (name, text) in enumerate(sidecars.items(), 50):
        (folder / name).write_text(text, encoding="latin-1")
        digests.append(arrive(folder / f"{Path(name).stem}.jpg", photograph(seed)))
    os.mkfifo(folder / "pipe.txt")
    digests.append(arrive(folder / "pipe.jpg", photograph(60)))
    return digests


def arrive_long(path: Path, data: bytes) -> str:
    """Put a file in place whose name leaves no room for another suffix."""
    digest = arrive(path.parent / "short.jpg.part", data)
    (path.parent / "short.jpg.part").rename(path)
    return digest


def test_junk_of_every_kind_stops_nothing(tmp_path: Path) -> None:
    """Beside pipes, devices, links, halves and hostile sidecars the good pictures arrive; the rest is told (I9)."""
    with House(tmp_path) as house:
        rejected = set(junk(house.watched))
        agent = house.run()
        digests = good(house.watched)
        house.settled(len(digests))
        until(lambda: rejected <= {event["path"] for event in agent.events("file_rejected")}, said=agent.tail)
        late = arrive(house.watched / "late.jpg", photograph(70))
        house.settled(len(digests) + 1)
        (house.watched / "half.jpg").write_bytes(photograph(99))
        house.settled(len(digests) + 2)
        agent.stop()
        house.check([*digests, late, sha256(photograph(99))])
        told = {event["path"] for event in agent.events("file_rejected")}
        assert told >= rejected
        assert not told & {"fifo.jpg", "device.jpg", "passwd.jpg", "loop.jpg", "s.jpg", ".hidden.jpg"}
        broken = {event["path"] for event in agent.events("sidecar_rejected")}
        assert {"deep.json", "nan.json", "huge.json", "wrong.txt"} <= broken
        assert not [event for event in agent.events() if event["level"] in {"critical", "error"}]
        assert (house.watched / "fifo.jpg").exists()


def test_each_bad_file_is_told_once(tmp_path: Path) -> None:
    """Rescans do not repeat what was said; a file that changed is looked at anew (I9)."""
    with House(tmp_path) as house:
        house.configure(watch=[{"rescan_s": 0.2}])
        (house.watched / "text.jpg").write_bytes(b"this is no picture")
        agent = house.run()
        agent.until("file_rejected")
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.settled(1)
        assert len(agent.events("file_rejected")) == 1
        arrive(house.watched / "text.jpg", photograph(2))
        house.settled(2)
        agent.stop()
        house.check([digest, sha256(photograph(2))])


def test_a_file_that_is_rewritten_in_place_is_never_mixed(tmp_path: Path) -> None:
    """`latest.jpg`, rewritten after adoption, is dropped with a reason or sent whole; new bytes are news (I1, I2)."""
    with House(tmp_path) as house:
        house.configure(upload={"workers": 1})
        path = house.watched / "latest.jpg"
        house.fault(delay_s=0.3)
        digests = [arrive(house.watched / "first.jpg", photograph(0))]
        agent = house.run()
        agent.until("item_spooled")
        for seed in range(1, 4):
            data = photograph(seed)
            with path.open("r+b" if path.exists() else "wb") as file:
                file.truncate(0)
                file.write(data)
            digests.append(sha256(data))
            agent.until("item_spooled", seed + 1)
        until(lambda: not house.rows("SELECT * FROM item"), said=agent.tail)
        agent.stop()
        dropped = len(agent.events("item_dropped"))
        assert house.check(digests, delivered=4 - dropped).total() == 4 - dropped
        assert path.read_bytes() == photograph(3)


def test_a_directory_that_comes_and_goes_stops_nothing(tmp_path: Path) -> None:
    """One that is missing at the start is watched once it is there, and again after it was removed (I9)."""
    with House(tmp_path) as house:
        other = house.root / "card"
        house.configure(watch=[{}, {"path": str(other), "rescan_s": 0.3}])
        agent = house.run()
        agent.until("directory_unavailable")
        digests = []
        for seed in range(2):
            digests.append(arrive(other / "a.jpg", photograph(seed)))
            house.settled(seed + 1)
            (other / "a.jpg").unlink()
            other.rmdir()
        agent.stop()
        house.check(digests)


def test_a_hostile_configuration_is_a_sentence(tmp_path: Path) -> None:
    """Deep nesting, a huge number and a device end with 78 and one line, not with a traceback (I9)."""
    with House(tmp_path, online=False) as house:
        for text in ("x = " + "[" * 50_000, "[upload]\nworkers = 1" + "0" * 5000):
            house.config.write_text(text, encoding="utf-8")
            ended = house.call("run", "--once")
            assert (ended.returncode, ended.stderr.count("\n")) == (78, 1), ended.stderr[-500:]
        house.config.unlink()
        house.config.symlink_to("/dev/zero")
        assert house.call("status").returncode == 78

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from house_rig import KEY, House, arrive, photograph, until, video

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "hunter2canary"
SECRETS = (KEY.removeprefix("adk_").encode(), PASSWORD.encode())


def children(house: House, agent: int) -> Iterator[Path]:
    """Yield the process folders of everything that the agent started."""
    for pid in house.living():
        if pid not in {agent, house.sandbox.pid}:
            yield Path(f"/proc/{pid}")


def leaks(house: House, where: dict[str, bytes]) -> list[str]:
    """Return the places that hold a secret."""
    files = {str(path): path.read_bytes() for folder in (house.spool, house.root / "run") for path in files_in(folder)}
    return [name for name, text in (files | where).items() if any(secret in text for secret in SECRETS)]


def files_in(folder: Path) -> list[Path]:
    """Return all plain files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def hand_over(house: House, given: str, cameras: list[dict[str, object]]) -> None:
    """Give the key to the agent in its file, or in the agent's environment."""
    house.configure(camera=cameras, log={"level": "debug"}, checkin={"enabled": True, "interval_s": 1})
    if given == "file":
        return
    lines = house.config.read_text(encoding="utf-8").splitlines()
    house.config.write_text("\n".join(line for line in lines if "device_key" not in line), encoding="utf-8")
    house.environment["ACUSIGHT_AGENT_SERVER__DEVICE_KEY"] = KEY


@pytest.mark.parametrize("given", ["file", "environment"])
def test_the_key_shows_nowhere(tmp_path: Path, given: str) -> None:
    """Neither key nor camera password is in a log, the status, the spool, or what another process sees (I7)."""
    with House(tmp_path) as house:
        video(house.root / "belt.avi", 5)
        picture = house.root / "picture.jpg"
        picture.write_bytes(photograph(1))
        show = f"import sys, time; sys.stdout.buffer.write(open({str(picture)!r}, 'rb').read()); "
        program = shlex.join([sys.executable, "-S", "-c", f"{show}sys.stdout.flush(); time.sleep(60)"])
        cameras: list[dict[str, object]] = [
            {"name": "belt", "source": str(house.root / "belt.avi"), "interval_s": 0},
            {"name": "gate", "source": f"cmd:{program}"},
            {"name": "door", "source": f"rtsp://operator:{PASSWORD}@127.0.0.1:9/1"},
        ]
        hand_over(house, given, cameras)
        arrive(house.watched / "a.jpg", photograph(2))
        agent = house.run()
        house.settled(7)
        seen = dict[str, bytes]()
        house.fault(route="any", status=401, message=f"unknown key {KEY}")
        arrive(house.watched / "denied.jpg", photograph(3))
        agent.until("link_paused")
        until(lambda: any("time.sleep" in line for line in house.living().values()))
        for folder in children(house, agent.pid):
            seen[f"{folder}/cmdline"] = (folder / "cmdline").read_bytes()
            seen[f"{folder}/environ"] = (folder / "environ").read_bytes()
        assert len(seen) >= 2
        seen["own command line"] = Path(f"/proc/{agent.pid}/cmdline").read_bytes()
        for verb in ("status", "status --json", "config show", "config show --json", "config check"):
            ended = house.call(*verb.split())
            seen[verb] = (ended.stdout + ended.stderr).encode()
        agent.stop()
        assert leaks(house, seen) == []
        assert not house.sandbox.requests().keys() - {"upload", "self", "checkin"}


def test_a_redirect_does_not_carry_the_key_away(tmp_path: Path) -> None:
    """An answer that points elsewhere is not followed: nobody else hears the key (I7)."""
    with House(tmp_path / "here") as house, House(tmp_path / "elsewhere") as other:
        house.fault(route="any", redirect=f"{other.sandbox.url}/device/images/upload", status=307)
        arrive(house.watched / "a.jpg", photograph(1))
        house.once(expected=5)
        assert other.sandbox.requests() == {}

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from house_rig import KEY, House, until, video

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "hunter2-is-no-secret"
PARAMETER = "swordfish%21"


def findings(house: House, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return what the doctor finds, by check."""
    told = json.loads(house.call("doctor", "--json", *arguments).stdout)
    assert told["schema"] == 1
    return {finding["check"]: finding for finding in told["findings"]}


def put_on_path(house: House, name: str, script: str) -> None:
    """Have a program of this name found first."""
    folder = house.root / "bin"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (folder / name).chmod(0o755)
    if not house.environment["PATH"].startswith(str(folder)):
        house.environment["PATH"] = f"{folder}:{house.environment['PATH']}"


def test_a_good_installation_is_well(tmp_path: Path) -> None:
    """Against a real platform every check passes, the last line is the verdict, and the code is 0."""
    with House(tmp_path) as house:
        video(house.root / "belt.avi", 10)
        house.configure(camera=[{"name": "belt", "source": str(house.root / "belt.avi")}])
        ended = house.call("doctor")
        assert ended.returncode == 0, ended.stdout
        lines = ended.stdout.splitlines()
        assert lines[-1].startswith("WELL")
        assert not [line for line in lines if line.startswith("PROBLEM")]
        for check in ("configuration", "key", "dns", "device", "spool", "folder captures", "opencv", "camera belt"):
            assert any(line.startswith(f"ok       {check} ") for line in lines), check
        assert not house.spool.exists()  # it changes nothing


def test_what_is_wrong_is_told_with_a_command_and_a_link(tmp_path: Path) -> None:
    """Server, folder and camera are away: each is a problem with its reason, its command, its link; the code is 1."""
    with House(tmp_path, online=False) as house:
        house.configure(
            watch=[{"path": str(house.root / "nowhere"), "name": "in"}],
            camera=[{"name": "gate", "source": f"rtsp://admin:{PASSWORD}@127.0.0.1:9/x"}],
        )
        found = findings(house)
        for check, section, command in (
            ("device", "the-server-does-not-answer", "curl "),
            ("folder in", "the-folder-is-not-there", "sudo install -d "),
            ("camera gate", "a-camera-cannot-be-opened", f"acusight-agent -c {house.config} camera probe gate"),
        ):
            assert found[check]["state"] == "problem"
            assert found[check]["link"] == f"docs/troubleshooting.md#{section}"
            assert found[check]["command"].startswith(command)
            assert found[check]["why"]


def test_a_problem_fails_the_run_and_the_verdict_comes_last(tmp_path: Path) -> None:
    """People read reason, command and link beneath what is wrong; the code is 1, and nothing is on standard error."""
    with House(tmp_path, online=False) as house:
        house.config.write_text("[uplod]\n", encoding="ascii")
        ended = house.call("doctor")
        assert (ended.returncode, ended.stderr) == (1, "")
        lines = ended.stdout.splitlines()
        assert lines[0].startswith("PROBLEM  configuration ")
        assert [line.split()[0] for line in lines[1:4]] == ["why:", "run:", "more:"]
        assert lines[-1].startswith("NOT WELL: 1 problem, ")
        assert lines[-1].endswith(f"; first run: acusight-agent -c {house.config} config check")


def test_a_refused_key_is_told_as_such(tmp_path: Path) -> None:
    """The platform answers 401: the key is the problem, not the link."""
    with House(tmp_path) as house:
        house.fault(route="self", status=401, code="INVALID_KEY", message="unknown key")
        found = findings(house)
        assert (found["device"]["state"], found["device"]["section"]) == ("problem", "the-key-is-refused")
        assert found["clock"]["state"] != "problem"


def test_cameras_of_a_running_agent_are_left_to_it(tmp_path: Path) -> None:
    """The agent holds them, so the doctor tells what the agent says of them."""
    with House(tmp_path) as house:
        video(house.root / "belt.avi", 5)
        house.configure(camera=[{"name": "belt", "source": str(house.root / "belt.avi"), "interval_s": 0}])
        house.run()
        house.settled(5)
        until(lambda: "read to its end by the running agent" in findings(house)["camera belt"]["what"])
        assert findings(house)["service"]["what"].startswith("an agent runs")


def test_the_service_is_asked_after(tmp_path: Path) -> None:
    """What systemctl says is told: here, of a unit that ended with 78."""
    with House(tmp_path, online=False) as house:
        told = "LoadState=loaded\\nActiveState=failed\\nResult=exit-code\\nExecMainStatus=78\\nNRestarts=0\\n"
        put_on_path(house, "systemctl", f"printf '{told}'")
        found = findings(house)["service"]
        assert (found["state"], found["section"]) == ("problem", "the-service-ended-with-78")


def test_the_bundle_holds_no_secret(tmp_path: Path) -> None:
    """Neither the key nor a camera's password is in the archive, wherever they were written, decoded ones included."""
    with House(tmp_path) as house:
        cameras = [
            {"name": "gate", "source": f"rtsp://admin:{PASSWORD}@127.0.0.1:9/x"},
            {"name": "yard", "source": f"http://127.0.0.1:9/video.cgi?user=a&pwd={PARAMETER}"},
            {"name": "hall", "source": f"cmd:false -i rtsp://admin:{PASSWORD}@127.0.0.1/y"},
        ]
        house.configure(camera=cameras)
        # A service that leaked everything: the archive must not pass it on.
        leak = f"echo 'using key {KEY}, password {PASSWORD}, {PARAMETER} or swordfish!'"
        put_on_path(house, "journalctl", leak)
        out = house.root / "support.tar.gz"
        ended = house.call("doctor", "--bundle", str(out))
        assert f"wrote {out}" in ended.stdout
        with tarfile.open(out) as archive:
            texts = {member.name.rpartition("/")[2]: _text(archive, member) for member in archive}
        assert set(texts) == {
            "README.txt",
            "doctor.json",
            "status.json",
            "configuration.txt",
            "versions.txt",
            "journal.txt",
        }
        everything = "\n".join(texts.values()) + ended.stdout + ended.stderr
        for secret in (KEY, KEY.removeprefix("adk_"), PASSWORD, PARAMETER, "swordfish"):
            assert secret not in everything, secret
        assert "using key ***, password ***, *** or ***" in texts["journal.txt"]
        assert json.loads(texts["doctor.json"])["findings"]
        assert json.loads(texts["status.json"])["schema"] == 1
        assert 'source = "rtsp://***@127.0.0.1:9/x"' in texts["configuration.txt"]
        assert out.stat().st_mode & 0o777 == 0o600


def test_a_broken_configuration_can_be_bundled(tmp_path: Path) -> None:
    """Support sees what is wrong with it, in place of the settings."""
    with House(tmp_path, online=False) as house:
        house.config.write_text("[uplod]\n", encoding="ascii")
        out = house.root / "support.tar.gz"
        assert house.call("doctor", "--bundle", str(out)).returncode == 1
        with tarfile.open(out) as archive:
            text = _text(archive, archive.getmember("acusight-agent-support/configuration.txt"))
        assert "unknown key; did you mean 'upload'?" in text


@pytest.mark.parametrize("out", ["/dev/null", "nowhere/support.tar.gz"])
def test_a_bundle_replaces_nothing_but_a_file(tmp_path: Path, out: str) -> None:
    """A place that cannot hold it is a usage error."""
    with House(tmp_path, online=False) as house:
        ended = house.call("doctor", "--bundle", out)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode()

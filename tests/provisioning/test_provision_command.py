from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from agent.commands import main
from agent.provisioning.premises import device_id_of, read_token
from agent.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """Run one platform for all tests of the module; it takes the keys that it gave, and one more."""
    with SandboxProcess(tmp_path_factory.mktemp("platform"), device_key="adk_0123456789abcdef") as process:
        yield process


@pytest.fixture
def sandbox(running: SandboxProcess) -> SandboxProcess:
    """Return the platform, without faults."""
    running.set_faults({})
    return running


@dataclass
class Ended:
    """What a command said."""

    code: int
    out: str
    err: str


class Desk:
    """A person at a device: a folder, a token of their own, the command."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.url = url
        self.key = folder / "device_key"
        self.config = folder / "config.toml"
        self._capsys = capsys
        self.token = self.new_token()

    def new_token(self) -> str:
        """Return a token that nobody has used."""
        return f"apt_{os.urandom(8).hex()}"

    def run(self, *arguments: str, url: str | None = "") -> Ended:
        """Provision with the token in its file."""
        (self.folder / "token").write_text(f"{self.token}\n", encoding="ascii")
        where = [] if url is None else ["--url", url or self.url]
        line = ["provision", *where, "--token-file", str(self.folder / "token"), *arguments]
        with pytest.raises(SystemExit) as ended:
            main(line)
        said = self._capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        secrets = [self.token, *([self.key.read_text(encoding="ascii").strip()] if self.key.exists() else [])]
        assert not any(secret in said.out + said.err for secret in secrets)
        return Ended(code, said.out, said.err)

    def server(self) -> dict[str, str]:
        """Return what the configuration says of the server."""
        server: dict[str, str] = tomllib.loads(self.config.read_text(encoding="utf-8"))["server"]
        return server


@pytest.fixture
def desk(
    tmp_path: Path, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """Return a desk at a device without anything on it."""
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, sandbox.url, capsys)


def device_id(number: str) -> list[str]:
    """Return the option that makes this device another one."""
    return ["--device-id", f"press-{number}-{os.urandom(4).hex()}"]


def test_from_nothing_to_a_device_that_may_deliver(desk: Desk) -> None:
    """Key and configuration are written, private, and the agent delivers with them; a second run changes nothing."""
    ended = desk.run(*device_id("1"))
    assert ended.code == 0, ended.err
    assert ended.out.startswith("provisioned as device sandbox-device (approved) at")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (desk.key, desk.config)] == [0o600, 0o600]
    assert desk.server()["url"] == desk.url
    assert desk.server()["device_key_file"] == "device_key"
    before = [(path.read_bytes(), path.stat().st_ino) for path in (desk.key, desk.config)]
    again = desk.run()
    assert (again.code, again.out.split(" at ", maxsplit=1)[0]) == (
        0,
        "provisioned already: device sandbox-device (approved)",
    )
    assert [(path.read_bytes(), path.stat().st_ino) for path in (desk.key, desk.config)] == before


def test_a_configuration_is_completed_with_its_comments(desk: Desk, sandbox: SandboxProcess) -> None:
    """The base that answers replaces the one that does not, and a key that stood in the file leaves it."""
    text = '# mine\n[server] # where\ndevice_key = "adk_01" # old\nurl = "{}" # to be\n\n# next\n[model]\n'
    desk.config.write_text(text.format(f"{sandbox.url}/api"), encoding="utf-8")
    desk.config.chmod(0o600)
    sandbox.set_faults({"fault": [{"route": "self", "status": 404, "count": 1}]})
    ended = desk.run(*device_id("2"), "--key-file", "keys/key", url=None)
    assert ended.code == 0, ended.err
    assert "does not know" in ended.err
    key = desk.folder / "keys" / "key"
    assert desk.config.read_text(encoding="utf-8") == (
        f'# mine\n[server] # where\nurl = "{sandbox.url}/api" # to be\ndevice_key_file = "{key}"\n\n# next\n[model]\n'
    )


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ({"status": 400}, 2, "--device-id"),
        ({"status": 401, "code": "INVALID_TOKEN"}, 6, "Make a new token"),
        ({"status": 401, "code": "TOKEN_EXPIRED"}, 6, "the token has expired"),
        ({"status": 409, "code": "DEVICE_EXISTS"}, 6, "another --device-id"),
        ({"status": 404}, 2, "Check --url"),
        ({"status": 503}, 5, "Try again later"),
        ({"drop": "after"}, 5, "not known"),
        ({"portal": True}, 2, "login page"),
    ],
)
def test_an_error_is_one_sentence_and_a_code(
    desk: Desk, sandbox: SandboxProcess, fault: dict[str, object], code: int, words: str
) -> None:
    """Whatever the platform says, a person reads what to do, and no file was made."""
    sandbox.set_faults({"fault": [{"route": "provision", **fault}]})
    ended = desk.run(*device_id("3"))
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert words in ended.err
    assert [path.name for path in desk.folder.iterdir()] == ["token"]


@pytest.mark.parametrize(
    ("arguments", "url", "code", "words"),
    [
        ([], NOBODY, 5, "Check that the server runs"),
        ([], "http://nowhere.invalid.local", 5, "name was not found"),
        ([], "http://example.com", 2, "unencrypted"),
        ([], "ftp://h", 2, "https://"),
        (["-c", "missing/dir/config.toml", "--key-file", "/proc/key"], "", 78, "/proc/key"),
    ],
)
def test_what_is_wrong_here_is_said_too(desk: Desk, arguments: list[str], url: str, code: int, words: str) -> None:
    """An address that cannot be, a server that is not there, a disk that refuses: none spends the token."""
    ended = desk.run(*arguments, url=url)
    assert (ended.code, ended.err.count("\n")) == (code, 1), ended.err
    assert words in ended.err
    assert desk.run(*device_id("4")).code == 0


def test_a_broken_configuration_spends_no_token(desk: Desk) -> None:
    """It is told as always, with its line."""
    desk.config.write_text("[server]\nurll = 3\n", encoding="utf-8")
    ended = desk.run()
    assert ended.code == 78
    assert "line 2" in ended.err or ":2" in ended.err


def test_an_environment_that_wins_is_told_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment would win over the new one's file."""
    monkeypatch.setenv("ACUSIGHT_AGENT_SERVER__DEVICE_KEY", "adk_0123456789abcdef")
    ended = desk.run()
    assert ended.code == 78
    assert "ACUSIGHT_AGENT_SERVER__DEVICE_KEY" in ended.err


def test_a_pending_device_says_so(desk: Desk, sandbox: SandboxProcess) -> None:
    """Programs are told by JSON; with `--wait` it lasts until somebody approves, here nobody."""
    sandbox.set_faults({"device_status": "pending"})
    ended = desk.run(*device_id("5"), "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["schema"], told["status"], told["renewed"], told["config_written"]) == (1, "pending", True, True)
    waited = desk.run("--wait", "--timeout-s", "0")
    assert waited.code == 5
    assert waited.err.splitlines()[0] == "the device is pending: waiting until it is approved on the platform"


def test_a_rejected_device_ends_with_6(desk: Desk, sandbox: SandboxProcess) -> None:
    """Also one that has its key already."""
    assert desk.run(*device_id("6")).code == 0
    sandbox.set_faults({"device_status": "rejected"})
    ended = desk.run()
    assert ended.code == 6
    assert "rejected" in ended.err


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_a_run_that_is_killed_can_be_run_again(desk: Desk, sandbox: SandboxProcess, seconds: float) -> None:
    """Wherever the power is cut, a key that was given is found by the next run, without a token."""
    (desk.folder / "token").write_text(desk.token, encoding="ascii")
    before = sandbox.requests().get("provision", {}).get("201", 0)
    sandbox.set_faults({"fault": [{"route": "self", "delay_s": 5, "count": 1}]})
    line = [sys.executable, "-m", "agent", "provision", "--url", desk.url, "--token-file", "token", *device_id("7")]
    with subprocess.Popen(line, cwd=desk.folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20
        while sandbox.requests().get("provision", {}).get("201", 0) == before and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    sandbox.set_faults({})
    if not (desk.folder / "device_key.new").read_bytes().startswith(b"adk_"):
        pytest.skip("killed before the answer was read, which no program can mend")
    ended = desk.run()
    assert ended.code == 0, ended.err
    assert "of an earlier run" in ended.err
    assert desk.key.exists()
    assert sandbox.requests()["provision"]["201"] == before + 1


def test_the_token_may_come_on_standard_input(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dash stands for it, so that a token need not lie in a file."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{desk.token}\n"))
    with pytest.raises(SystemExit) as ended:
        main(["provision", "--url", desk.url, "--token-file", "-", *device_id("8")])
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no provisioning token"), ("adk_0badc0de", "a device key"), ("apt_1 apt_2", "no provisioning token")],
)
def test_what_is_no_token_is_not_repeated(tmp_path: Path, text: str, words: str) -> None:
    """It may be another secret."""
    path = tmp_path / "token"
    path.write_text(text, encoding="ascii")
    with pytest.raises(Exception, match=words) as caught:
        read_token(path)
    assert not text or text not in str(caught.value)


def test_an_id_is_kept_and_gives_nothing_away() -> None:
    """The same board has the same id, a copied card on another board another one."""
    first = device_id_of("press", ["serial-1", "machine"])
    assert first == device_id_of("press", ["serial-1", "other"])
    assert first != device_id_of("press", ["serial-2", "machine"])
    assert device_id_of("press", ["", "machine"]).startswith("press-")
    assert device_id_of("", ["", ""]) == "device"
    assert "serial" not in first

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
from click.testing import CliRunner

from agent.commands.sandbox import command
from agent.errors import Halt, UsageError
from agent.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from pathlib import Path


UPLOAD = "/device/images/upload"
HEADERS = {"X-Device-Key": "adk_01"}
IMAGE = {"image": ("belt.jpg", b"\xff\xd8\xff a picture")}


def send(url: str, **more: Any) -> int:  # noqa: ANN401 (httpx's own options)
    """Upload the picture and return the status."""
    options = {"files": IMAGE, "headers": HEADERS, "trust_env": False, **more}
    return httpx.post(url + UPLOAD, **options).status_code


def run(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a sandbox that is not going to start."""
    line = [sys.executable, "-m", "agent.sandbox", *map(str, options)]
    return subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)


def test_a_folder_outlives_its_sandbox(tmp_path: Path) -> None:
    """Killed and started again on the same port, a sandbox has its uploads, knows their bytes and counts on."""
    with SandboxProcess(tmp_path) as sandbox:
        url = sandbox.url
        assert send(url) == 201
        kept = sandbox.uploads()
        sandbox.kill()
        with pytest.raises(Halt, match="does not answer"):
            sandbox.count()
        sandbox.start()
        assert sandbox.url == url
        assert sandbox.uploads() == kept
        assert send(url) == 409
        assert send(url, files={"image": ("b.png", b"\x89PNG\r\n\x1a\n")}) == 201
        assert [upload["id"] for upload in sandbox.uploads()] == [1, 2]
        assert sandbox.stop() == 0


def test_a_folder_that_breaks_is_the_platforms_fault(tmp_path: Path) -> None:
    """A picture that cannot be stored is a 500 in the envelope; the sandbox goes on."""
    with SandboxProcess(tmp_path) as sandbox:
        (tmp_path / "images").rmdir()
        answer = httpx.post(sandbox.url + UPLOAD, files=IMAGE, headers=HEADERS, trust_env=False)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_SERVER_ERROR")
        (tmp_path / "images").mkdir()
        assert send(sandbox.url) == 201
        assert sandbox.requests() == {"upload": {"500": 1, "201": 1}}


def test_uploads_that_come_together_are_all_kept(tmp_path: Path) -> None:
    """Of uploads at the same time each gets a number of its own and its own bytes."""
    contents = [b"\xff\xd8\xff" + bytes([number]) * 300_000 for number in range(12)]

    async def send_all(url: str) -> list[int]:
        async with httpx.AsyncClient(headers=HEADERS, trust_env=False, timeout=20) as client:
            posts = [client.post(url + UPLOAD, files={"image": ("a.jpg", content)}) for content in contents]
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    with SandboxProcess(tmp_path) as sandbox:
        assert asyncio.run(send_all(sandbox.url)) == [201] * 12
        kept = sandbox.uploads()
        assert [upload["id"] for upload in kept] == list(range(1, 13))
        assert {sandbox.image(upload["id"]) for upload in kept} == set(contents)


def test_it_stops_in_time_whatever_its_clients_do(tmp_path: Path) -> None:
    """With an idle, a stuck and a delayed client it ends within 2 s, with status 0 and in silence."""
    complaints = tmp_path / "stderr"
    script = tmp_path / "faults.toml"
    script.write_text("[[fault]]\ndelay_s = 60\n", encoding="utf-8")
    with complaints.open("wb") as stderr, SandboxProcess(tmp_path / "d", faults=script, stderr=stderr) as sandbox:
        half = b"POST /device/images/upload HTTP/1.1\r\nHost: x\r\nX-Device-Key: adk_01\r\nContent-Length: 9\r\n\r\nabc"
        clients = [socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) for _ in range(3)]
        try:
            clients[1].sendall(half)
            clients[2].sendall(half + b"defghi")
            assert sandbox.count() == 0
            began = time.monotonic()
            assert sandbox.stop() == 0
            assert time.monotonic() - began < 2
        finally:
            for client in clients:
                client.close()
    assert complaints.read_bytes() == b""


def test_ctrl_c_is_a_normal_end(tmp_path: Path) -> None:
    """Interrupted from the keyboard it ends with status 0 and in silence."""
    line = [sys.executable, "-m", "agent.sandbox", "--dir", str(tmp_path), "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith(b"Sandbox ready at http://127.0.0.1:")
        child.send_signal(signal.SIGINT)
        assert child.wait(5) == 0
        assert child.stderr.read() == b""


def test_duplicates_may_be_accepted(tmp_path: Path) -> None:
    """With `--duplicates accept` the same bytes are kept once, and listed twice."""
    with SandboxProcess(tmp_path, duplicates="accept") as sandbox:
        assert [send(sandbox.url), send(sandbox.url)] == [201, 201]
        assert [upload["duplicate"] for upload in sandbox.uploads()] == [False, True]
        assert len(list((tmp_path / "images").iterdir())) == 1


def test_it_speaks_tls_and_takes_its_key_from_a_file(tmp_path: Path) -> None:
    """With a certificate it serves HTTPS and resets connections there too; the key file names the one key."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "key").write_text("adk_0a\n", encoding="utf-8")
    (tmp_path / "faults.toml").write_text('[[fault]]\nfrom = 3\ndrop = "after"\n', encoding="utf-8")
    options = ["--dir", tmp_path / "d", "--port", "0", "--tls-cert", tmp_path / "cert.pem"]
    options += ["--device-key-file", tmp_path / "key", "--faults", tmp_path / "faults.toml", "--verbose"]
    line = [sys.executable, "-m", "agent.sandbox", *map(str, options)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            ready = child.stdout.readline()
            url = ready.split()[3]
            assert ready == f"Sandbox ready at {url} (uploads in {tmp_path / 'd'})\n"
            trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
            assert send(url, verify=trust) == 401
            assert send(url, verify=trust, headers={"X-Device-Key": "adk_0a"}) == 201
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                send(url, verify=trust, headers={"X-Device-Key": "adk_0a"})
        finally:
            child.terminate()
        assert child.wait(5) == 0
        assert child.stderr.read() == "stored 'belt.jpg' (13 bytes)\n"


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    """A port that somebody else has is one line on standard error and status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--dir", tmp_path, "--port", str(port))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1 port {port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_is_said_in_one_sentence(tmp_path: Path) -> None:
    """A folder that cannot be made is one line on standard error and status 1."""
    (tmp_path / "file").write_bytes(b"")
    ended = run("--dir", tmp_path / "file" / "d", "--port", "0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "file/d" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_sandbox_that_does_not_start_is_a_halt(tmp_path: Path) -> None:
    """Whoever starts a sandbox hears that it did not, and with which status."""
    (tmp_path / "file").write_bytes(b"")
    sandbox = SandboxProcess(tmp_path / "file", stderr=subprocess.DEVNULL)
    with pytest.raises(Halt, match=r"did not start \(status 1\)"):
        sandbox.start()
    assert sandbox.stop() is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--device-key", "nonsense"], "not of the form adk_<hex>"),
        (["--device-key", "adk_01", "--device-key-file", "x"], "exclude each other"),
        (["--device-key-file", "/nowhere/key"], "cannot be read"),
        (["--faults", "/nowhere/faults.toml"], "cannot be read"),
        (["--tls-key", "x"], "--tls-key without --tls-cert"),
        (["--tls-cert", "/nowhere/cert.pem"], "cannot be used"),
        (["--port", "99999"], "99999"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: list[str], complaint: str) -> None:
    """A wrong option is one error that says what is wrong."""
    result = CliRunner().invoke(command, ["--dir", str(tmp_path), "--port", "0", *options])
    assert complaint in f"{result.exception}{result.output}"
    assert result.exit_code != 0


def test_the_help_explains_faults() -> None:
    """`--help` has an example and the keys of a fault rule."""
    help_text = CliRunner().invoke(command, ["--help"]).output
    for word in ("Examples:", "[[fault]]", "drop", "retry_after", "portal"):
        assert word in help_text


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the extra's packages the command says what to install."""
    for name in [name for name in sys.modules if name.startswith("agent.sandbox")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sys.modules["agent"], "sandbox", raising=False)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    result = CliRunner().invoke(command, ["--dir", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "pip install 'acusight-agent[sandbox]'" in str(result.exception)

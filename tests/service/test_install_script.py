"""The real install.sh below another root; what it installs there is a stand-in that notes how it is called."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "install.sh"
PREFIX = "/opt/acusight-agent"
PATIENCE_S = 150
"""An environment takes 5 s of a processor; much longer where others have it too."""
STAND_IN = """\
import sys
from pathlib import Path

def main():
    home = Path(sys.prefix)
    with (home.parent.parent / "calls").open("a") as calls:
        calls.write(" ".join(sys.argv[1:]) + "\\n")
    if sys.argv[1:] == ["version"]:
        print("stand-in", "{version}")
"""


def wheel(folder: Path, version: str) -> Path:
    """Write a wheel by the agent's name, without dependencies."""
    name, info = f"acusight_agent-{version}", f"acusight_agent-{version}.dist-info"
    files = {
        "stand_in.py": STAND_IN.replace("{version}", version),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: acusight-agent\nVersion: {version}\nProvides-Extra: page\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nacusight-agent = stand_in:main\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    folder.mkdir(exist_ok=True)
    target = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return target


def install(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script below a root, without OpenCV and without a package index."""
    options = ("--root", root, "--python", sys.executable, "--no-opencv")
    return subprocess.run(
        ["sh", SCRIPT, *options, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(root)},
    )


def calls(root: Path) -> list[str]:
    """Return how the stand-in was called since the last look."""
    path = root / "calls"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    path.write_text("", encoding="ascii")
    return lines


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty root."""
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.mark.timeout(3 * PATIENCE_S)
def test_it_is_installed_upgraded_and_taken_away(root: Path, tmp_path: Path) -> None:
    """Each step leaves the environment and the service as it says; what people wrote and what waits stays."""
    environment, kept = root / PREFIX.lstrip("/"), [root / "etc/acusight-agent/config.toml", root / "var/lib/a/spool"]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_text("mine", encoding="ascii")

    wheels = wheel(tmp_path / "wheels", "1.0").parent
    first = install(root, "--wheels", wheels)
    assert first.returncode == 0, first.stderr
    assert first.stdout.endswith("install: done: stand-in 1.0\n")
    service = f"service install --program {PREFIX}/bin/acusight-agent --root {root}"
    assert calls(root) == [service, "version"]
    assert (root / "usr/local/bin/acusight-agent").readlink() == Path(PREFIX, "bin/acusight-agent")
    assert "include-system-site-packages = true" in (environment / "pyvenv.cfg").read_text(encoding="utf-8")
    assert list(environment.rglob("stand_in.*.pyc"))

    wheel(wheels, "1.1")
    second = install(root, "--wheels", wheels, "--upgrade")
    assert (second.returncode, "making an environment" in second.stdout) == (0, False)
    assert second.stdout.endswith("install: done: stand-in 1.1\n")
    assert calls(root) == [service, "version"]

    third = install(root, "--uninstall")
    assert (third.returncode, third.stdout) == (0, f"install: removed {environment}\n")
    assert calls(root) == [f"service uninstall --root {root}"]
    assert not environment.exists()
    assert not (root / "usr/local/bin/acusight-agent").is_symlink()
    assert [path.read_text(encoding="ascii") for path in kept] == ["mine", "mine"]
    again = install(root, "--uninstall")
    assert (again.returncode, again.stdout) == (0, f"install: nothing is installed in {environment}\n")


def test_a_folder_of_somebody_else_is_left_alone(root: Path) -> None:
    """An environment is never made over, or removed with, what another program keeps there."""
    theirs = root / "opt/acusight-agent/theirs"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    ended = install(root)
    assert (ended.returncode, "holds something else, and was left alone" in ended.stderr) == (1, True)
    assert install(root, "--uninstall").returncode == 0
    assert theirs.exists()


def test_what_is_not_there_is_not_upgraded(root: Path) -> None:
    """An upgrade of nothing says so, and installs nothing."""
    ended = install(root, "--upgrade")
    assert (ended.returncode, ended.stderr.startswith("install: there is no installation in ")) == (1, True)
    assert not list(root.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--prefix", "/"], 2, "a plain absolute path"),
        (["--prefix", "/opt"], 2, "at least two levels below /"),
        (["--prefix", "/opt/../etc"], 2, "a plain absolute path"),
        (["--prefix", "/opt/a b"], 2, "a plain absolute path"),
        (["--prefix"], 2, "--prefix needs a value"),
        (["--frobnicate"], 2, "unknown option --frobnicate"),
        (["--python", "/nonexistent/python"], 1, "there is no /nonexistent/python: apt install python3"),
        (["--root", "/nonexistent/root"], 1, "there is no folder for --root"),
    ],
)
def test_a_slip_is_refused_before_anything_is_done(root: Path, arguments: list[str], code: int, said: str) -> None:
    """Each is one sentence with the remedy, and nothing was made."""
    ended = install(root, *arguments)
    assert (ended.returncode, said in ended.stderr) == (code, True), ended.stderr
    assert not list(root.iterdir())


def test_an_old_python_is_refused_by_its_version(root: Path, tmp_path: Path) -> None:
    """The sentence names what it is and what is needed."""
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" != -V ] || echo Python 3.9.2\n[ "$1" = -V ]\n', encoding="ascii")
    old.chmod(0o755)
    ended = install(root, "--python", old)
    assert ended.returncode == 1
    assert f"Python 3.11 or newer is needed, and {old} is Python 3.9.2" in ended.stderr


def test_the_help_names_every_option() -> None:
    """What the script takes is what its help tells."""
    told = subprocess.run(["sh", SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    text = SCRIPT.read_text(encoding="utf-8")
    taken = {
        word for line in text.splitlines() for word in line.split() if word.startswith("--") and line.endswith(";;")
    }
    assert {"--no-doctor", "--prefix"} <= {word.rstrip(")") for word in taken} | {"--prefix"}
    for option in ("--upgrade", "--uninstall", "--prefix", "--root", "--python", "--wheel ", "--wheels", "--no-opencv"):
        assert option in told


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    """The scripts are sound by the rules of the trade."""
    scripts = [SCRIPT, *sorted((SCRIPT.parent / "packaging").glob("deb/*.sh"))]
    checked = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")

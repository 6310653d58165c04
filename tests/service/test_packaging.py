"""What the Debian package and the container are made of; that the package works is seen on a booted machine."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "deb"
LOCK = """\
# This file was made.
anyio==4.0 ; python_version < '4' \\
    --hash=sha256:aa
httpx==0.28 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
pytest==8.3 \\
    --hash=sha256:dd
"""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """Return the builder, which is a script and no part of a package."""
    spec = importlib.util.spec_from_file_location("deb_build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_the_agent_needs_is_found_and_no_more(build: ModuleType) -> None:
    """Dependencies of dependencies are there for every Python; OpenCV and what developers use is not."""
    names = build.needed("acusight-agent", build.EXTRAS)
    assert {"click", "httpx", "httpcore", "pydantic-core", "uvicorn", "prometheus-client"} <= names
    assert not names & {"opencv-python-headless", "numpy", "pytest", "python-multipart", "rich"}


def test_the_locks_entries_are_taken_with_their_hashes(build: ModuleType) -> None:
    """Only the wanted ones, whole; one that the lock does not have stops the build."""
    text = build.excerpt(LOCK, {"httpx", "anyio"})
    assert text.count("--hash") == 3
    assert "pytest" not in text
    assert text.startswith("anyio==4.0 ; python_version < '4' \\\n    --hash=sha256:aa\nhttpx==0.28")
    with pytest.raises(build.Unbuildable, match="frobnicate"):
        build.excerpt(LOCK, {"httpx", "frobnicate"})


def test_everything_that_is_needed_is_locked(build: ModuleType) -> None:
    """The real lock has an entry, with hashes, for each."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    text = build.excerpt(lock, build.needed("acusight-agent", build.EXTRAS))
    assert all("--hash" in entry for entry in re.split(r"\n(?=[a-z])", text.strip()))


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")
def test_the_package_has_every_file_in_its_place(build: ModuleType, tmp_path: Path) -> None:
    """All units of systemd/, the script and the documents are in it, owned by root, with scripts that can be read."""
    tree = tmp_path / "tree"
    (tree / build.SHARE / "wheels").mkdir(parents=True)
    build.lay_out(tree)
    build.control(tree, "1.2-3", "amd64")
    package = tmp_path / "a.deb"
    build.run("dpkg-deb", "--root-owner-group", "--build", tree, package)
    listing = build.run("dpkg-deb", "--contents", package)
    assert all(" root/root " in line for line in listing.splitlines())
    units = [path.name for path in (ROOT / "systemd").iterdir() if path.suffix in {".service", ".path", ".socket"}]
    for unit in units:
        assert f" ./usr/lib/systemd/system/{unit}\n" in listing
    for path in ("usr/lib/sysusers.d/acusight-agent.conf", "usr/lib/acusight-agent/install.sh"):
        assert f" ./{path}\n" in listing
    assert " ./usr/bin/acusight-agent -> /opt/acusight-agent/bin/acusight-agent\n" in listing
    assert " ./usr/share/doc/acusight-agent/docs/troubleshooting.md\n" in listing
    assert (
        build.run("dpkg-deb", "--field", package, "Version", "Architecture") == "Version: 1.2-3\nArchitecture: amd64\n"
    )
    for script in build.SCRIPTS:
        text = (tree / "DEBIAN" / script).read_text(encoding="utf-8")
        assert "@" not in re.sub(r'"\$@"', "", text)
        subprocess.run(["sh", "-n", tree / "DEBIAN" / script], check=True)
    assert all(unit in (tree / "DEBIAN/postrm").read_text(encoding="utf-8") for unit in units)


def test_a_purge_leaves_the_spool_alone() -> None:
    """No script of the package removes anything below /var/lib."""
    for script in FOLDER.glob("*.sh"):
        for line in script.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"^\s*rm .*(/var|\$)", line), f"{script.name}: {line}"


def test_make_knows_the_package() -> None:
    """`make deb` is one of the verbs."""
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "make deb" in told
    assert sys.version_info >= (3, 11)


class TestContainer:
    """The Dockerfile, of which everything is checked that needs no engine."""

    TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    def steps(self, verb: str) -> list[list[str]]:
        """Return the words of each instruction of a kind."""
        lines = self.TEXT.replace("\\\n", " ").splitlines()
        return [line.split()[1:] for line in lines if line.startswith(f"{verb} ")]

    def test_what_is_copied_is_there_and_gets_in(self) -> None:
        """Every source exists, and `.dockerignore` lets it through."""
        let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        sources = {source for words in self.steps("COPY") for source in words[:-1]}
        assert sources
        assert all((ROOT / source).exists() for source in sources)
        assert sources == let_in

    def test_it_runs_as_nobody_special_on_a_volume(self) -> None:
        """Neither root nor a spool that goes with the container; the service's folders are named as systemd does."""
        assert self.steps("USER") == [["acusight"]]
        assert self.steps("VOLUME") == [["/var/lib/acusight-agent"]]
        assert "STATE_DIRECTORY=/var/lib/acusight-agent" in self.steps("ENV")[0]

    def test_its_lines_for_the_host_are_told(self) -> None:
        """Devices, folders, the spool and the time to stop are in the comments, with a time above the grace."""
        for option in (
            "--device /dev/video0",
            "--volume /srv/pictures",
            "--volume acusight-spool:",
            "--group-add video",
        ):
            assert option in self.TEXT
        found = re.search(r"--stop-timeout (\d+)", self.TEXT)
        assert found is not None
        assert int(found[1]) > 9

    def test_every_build_stage_that_is_copied_from_exists(self) -> None:
        """Stages are named once, and what refers to one finds it."""
        stages = {words[2] for words in self.steps("FROM") if len(words) == 3}
        assert set(re.findall(r"from=(\w+)", self.TEXT)) == stages

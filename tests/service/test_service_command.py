from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.setup.units import ENABLED, MAIN, drop_ins, fitted, named, place_of, shipped, unit_files

ROOT = Path(__file__).parents[2]
PROGRAM = "/opt/elsewhere/bin/acusight-agent"
needs_systemd = pytest.mark.skipif(not shutil.which("systemctl"), reason="systemctl is not installed")


def service(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the verb."""
    return subprocess.run(
        [sys.executable, "-m", "agent", "service", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a program in it."""
    program = tmp_path / PROGRAM.lstrip("/")
    program.parent.mkdir(parents=True)
    program.touch()
    return tmp_path


def tree(root: Path) -> dict[str, str]:
    """Return all files below a root, with their contents, but those of the users."""
    users = {"passwd", "group", "shadow", "gshadow", ".pwd.lock"}
    return {
        str(path.relative_to(root)): str(path.readlink()) if path.is_symlink() else path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name not in users
    }


def test_every_file_of_the_folder_has_its_place() -> None:
    """Whatever lies in systemd/ is put in place: a unit that is added later is not forgotten."""
    folder = ROOT / "systemd"
    assert shipped() == folder
    assert {path.name for path in folder.iterdir() if path.is_file()} == {path.name for path in unit_files(folder)}
    assert {path.name for path in drop_ins(folder)} >= {"raspberry-pi-csi.conf", "jetson-csi.conf"}
    assert set(ENABLED) <= {path.name for path in unit_files(folder)}
    assert place_of(folder / MAIN) == Path("etc/systemd/system/acusight-agent.service")
    assert place_of(folder / "acusight-agent.sysusers.conf") == Path("etc/sysusers.d/acusight-agent.conf")


def test_the_wheel_brings_the_same_files(tmp_path: Path) -> None:
    """There is one copy of each in the repository, and an installed agent has it all the same."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    folder = ROOT / "systemd"
    with zipfile.ZipFile(wheel) as archive:
        brought = {name.removeprefix("agent/units/"): name for name in archive.namelist() if "agent/units/" in name}
        assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(brought)
        assert archive.read(brought[MAIN]) == (folder / MAIN).read_bytes()


def test_a_unit_is_printed_as_it_fits_this_installation() -> None:
    """The program that it starts is the one beside this interpreter, unless another is named."""
    own = Path(sys.executable).with_name("acusight-agent")
    assert f"\nExecStart={own} --config /etc/acusight-agent/config.toml run\n" in service("print").stdout
    assert f"\nExecStart={PROGRAM} " in service("print", "--program", PROGRAM).stdout
    printed = service("print", "raspberry-pi-csi.conf").stdout
    assert printed == (ROOT / "systemd/drop-ins/raspberry-pi-csi.conf").read_text(encoding="utf-8")


def test_an_unknown_unit_is_answered_with_the_known_ones() -> None:
    """One line, with the names."""
    ended = service("print", "nginx.service")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "there is no unit file nginx.service. There are: " in ended.stderr


@pytest.mark.parametrize("program", ["acusight-agent", "/opt/a b/acusight-agent", "/opt/%h/x", '/opt/"x"'])
def test_a_path_that_systemd_would_misread_is_refused(program: str) -> None:
    """Spaces, quotes and specifiers do not get into a unit."""
    with pytest.raises(UsageError, match="cannot be started from"):
        fitted("ExecStart=/opt/acusight-agent/bin/acusight-agent run", program)


@needs_systemd
def test_it_is_installed_and_uninstalled_below_a_root(root: Path) -> None:
    """Units, user and configuration are put in place; a second time changes nothing; then only the units go."""
    first = service("install", "--root", root, "--program", PROGRAM)
    assert (first.returncode, first.stderr) == (0, "")
    installed = tree(root)
    units = root / "etc/systemd/system"
    assert f"ExecStart={PROGRAM} " in installed[f"etc/systemd/system/{MAIN}"]
    assert (units / "multi-user.target.wants" / MAIN).is_symlink()
    config = root / "etc/acusight-agent/config.toml"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert "acusight" in (root / "etc/passwd").read_text(encoding="utf-8") or os.geteuid() != 0

    config.write_text("# mine\n", encoding="ascii")
    second = service("install", "--root", root, "--program", PROGRAM)
    assert f"kept {config}" in second.stdout
    assert "wrote" not in second.stdout
    assert tree(root) == installed | {"etc/acusight-agent/config.toml": "# mine\n"}

    other = units / "acusight-agent.service.d/mine.conf"
    other.parent.mkdir()
    other.write_text("[Service]\n", encoding="ascii")
    last = service("uninstall", "--root", root)
    assert (last.returncode, last.stderr) == (0, "")
    assert last.stdout.splitlines()[-1].startswith(f"left as they are: {config.parent} ")
    assert set(tree(root)) == {
        PROGRAM.lstrip("/"),
        "etc/acusight-agent/acusight-agent.schema.json",
        "etc/acusight-agent/config.toml",
        "etc/systemd/system/acusight-agent.service.d/mine.conf",
    }


def test_an_upgraded_unit_replaces_the_old_one(root: Path) -> None:
    """A unit of an earlier release is written anew, and said so."""
    target = root / "etc/systemd/system" / MAIN
    target.parent.mkdir(parents=True)
    target.write_text("[Service]\nExecStart=/old\n", encoding="ascii")
    ended = service("install", "--root", root, "--program", PROGRAM)
    assert f"wrote {target}" in ended.stdout
    assert PROGRAM in target.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/home/pi/venv/bin/acusight-agent", "the unit hides /home"),
        ("/opt/none/bin/acusight-agent", "there is no program /opt/none/bin/acusight-agent"),
    ],
)
def test_a_program_that_the_service_cannot_start_is_refused(root: Path, program: str, said: str) -> None:
    """Nothing is written for a service that could not run."""
    ended = service("install", "--root", root, "--program", program)
    assert (ended.returncode, said in ended.stderr) == (2, True)
    assert not (root / "etc").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_only_root_changes_the_system() -> None:
    """Anybody else is told so before anything is tried."""
    code = (
        "import os; from pathlib import Path; from agent.setup.installation import check_rights\n"
        "os.setuid(65534); check_rights(Path('/x')); check_rights(Path('/'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert "only root can change services. Run it with sudo." in ended.stderr


def test_the_named_file_is_found_among_units_and_drop_ins() -> None:
    """Both kinds are known by their file names."""
    assert named(shipped(), "jetson-csi.conf").parent.name == "drop-ins"
    assert named(shipped(), MAIN).name == MAIN

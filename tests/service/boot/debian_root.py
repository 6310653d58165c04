"""A Debian to boot: debootstrap and the agent's dependencies once, kept for the next time; a copy for each boot."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("acl", "dbus", "python3", "python3-apt", "python3-venv", "systemd", "systemd-sysv")
EXTRAS = ("camera", "page", "sandbox")
AGENT = "/opt/acusight-agent"  # the virtual environment that the unit names
MANYLINUX = ("2_17", "2_24", "2_26", "2_27", "2_28")


class Unbuildable(Exception):
    """The root could not be made; says which command failed, and with what."""


def prepare(cache: Path, suite: str) -> Path:
    """Return a root with everything but the agent itself, made now or found in `cache`; by one process at a time."""
    wanted = requirements()
    recipe = hashlib.sha256(repr((PACKAGES, wanted)).encode()).hexdigest()[:12]
    finished = cache / f"{suite}-{recipe}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            with workplace(cache) as folder:
                root = folder / "root"
                run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, root, MIRROR)
                _install(root, *wanted)
                root.rename(finished)
    return finished


@contextmanager
def workplace(cache: Path) -> Iterator[Path]:
    """Give a folder that is gone afterwards; clear away those of processes that were killed before they could."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob("work-*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            shutil.rmtree(left, ignore_errors=True)  # a command of theirs may still be at work in it
    with tempfile.TemporaryDirectory(prefix=f"work-{os.getpid()}-", dir=cache) as folder:
        yield Path(folder)


def copy(prepared: Path, root: Path) -> None:
    """Make a root of its own for one boot, with the agent as it is in this checkout."""
    run("cp", "-a", "--reflink=auto", prepared, root)
    with tempfile.TemporaryDirectory() as wheels:
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, REPOSITORY)
        (wheel,) = Path(wheels).iterdir()
        shutil.copy(wheel, root / "tmp")
        run("chroot", root, f"{AGENT}/bin/pip", "install", "--no-deps", "--no-index", f"/tmp/{wheel.name}")  # noqa: S108 (of a root that nobody else has)


def pip(*arguments: str | Path) -> None:
    """Run this interpreter's pip, which knows the package index."""
    run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def run(*command: str | Path) -> str:
    """Run a command and return what it printed; raises Unbuildable where it fails or takes five minutes."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unbuildable(str(error)) from error
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.strip())[-1500:]
        raise Unbuildable(f"{' '.join(map(str, command))} ended with {result.returncode}: {said}")
    return result.stdout


def requirements() -> tuple[str, ...]:
    """Return what the agent needs, with the extras that are tried here."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [requirement for extra in EXTRAS for requirement in project["optional-dependencies"][extra]]
    return (*project["dependencies"], *optional)


def download(root: Path, target: Path, *wanted: str) -> None:
    """Fetch wheels for the root's Python with this machine's pip, as the root has no network."""
    version = run("chroot", root, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    machine = platform.machine()
    tags = [f"--platform=manylinux_{glibc}_{machine}" for glibc in MANYLINUX] + [f"--platform=manylinux2014_{machine}"]
    pip("download", "--only-binary=:all:", f"--python-version={version}", *tags, f"--dest={target}", *wanted)


def _install(root: Path, *wanted: str) -> None:
    wheels = root / "wheels"
    download(root, wheels, *wanted)
    run("chroot", root, "python3", "-m", "venv", AGENT)
    run("chroot", root, f"{AGENT}/bin/pip", "install", "--no-index", "--find-links=/wheels", *wanted)
    shutil.rmtree(wheels)

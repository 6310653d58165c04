"""Build the Debian package: python packaging/deb/build.py [DIRECTORY]; prints the path of what it made.

The package holds wheels, in the locked versions and checked by the lock's hashes, and makes the environment from them
on the device. Needs dpkg-deb, pip with a package index, and, as the interpreter, an environment with hatchling.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NAME = "acusight-agent"
EXTRAS = ("page",)
PYTHONS = ("3.11", "3.12", "3.13")
"""Debian 12, Ubuntu 24.04, Debian 13."""
GLIBCS = ("2_17", "2_24", "2_26", "2_27", "2_28")
SHARE = f"usr/lib/{NAME}"
UNITS = "usr/lib/systemd/system"
SCRIPTS = ("postinst", "prerm", "postrm")
DOCS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "config.example.toml")


class Unbuildable(Exception):
    """The package could not be made; says which command failed, and with what."""


def main(target: Path) -> Path:
    """Build the package into `target` and return its path."""
    version, architecture = _version(), run("dpkg", "--print-architecture").strip()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir(mode=0o755)
        fetch_wheels(tree / SHARE / "wheels")
        lay_out(tree)
        control(tree, version, architecture)
        package = target / f"{NAME}_{version}_{architecture}.deb"
        # Nearly all of it is wheels, which are packed already: xz would take five seconds for two percent.
        run("dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", tree, package)
    return package


def fetch_wheels(wheels: Path) -> None:
    """Put the agent's own wheel and those of all that it needs into a folder, for each Python."""
    wheels.mkdir(parents=True)
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={wheels}", REPOSITORY)
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
        wanted.write_text(excerpt(lock, needed(NAME, EXTRAS)), encoding="utf-8")
        for python in PYTHONS:
            pip(
                "download",
                "--no-deps",
                "--require-hashes",
                *_for(python),
                f"--dest={wheels}",
                f"--requirement={wanted}",
            )
        for python in PYTHONS:
            # Nothing is missing: with these wheels alone the agent can be installed.
            offline = ("--no-index", f"--find-links={wheels}", f"--target={folder}/none")
            pip("install", "--dry-run", *_for(python), *offline, f"{NAME}[{','.join(EXTRAS)}]")


def needed(name: str, extras: tuple[str, ...]) -> set[str]:
    """Return the names of all packages that one needs, by what is installed beside this interpreter."""
    found: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        package, wanted = waiting.pop()
        for text in importlib.metadata.requires(package) or ():
            requirement = Requirement(text)
            other = canonicalize_name(requirement.name)
            # Those that only another Python or system needs are left out; the check afterwards would miss them.
            if other in found or not _applies(requirement, wanted):
                continue
            found.add(other)
            waiting.append((other, tuple(requirement.extras)))
    return found


def excerpt(lock: str, names: set[str]) -> str:
    """Return the lock's entries for some packages; raises `Unbuildable` where it has none for one of them."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock)
    chosen = {
        canonicalize_name(found[1]): entry
        for entry in entries
        if (found := re.match(r"([A-Za-z0-9._-]+)==", entry)) and canonicalize_name(found[1]) in names
    }
    if missing := names - set(chosen):
        raise Unbuildable(f"not in requirements.lock: {', '.join(sorted(missing))}")
    return "\n".join(chosen[name] for name in sorted(chosen)) + "\n"


def lay_out(tree: Path) -> None:
    """Put the files where they go."""
    share = tree / SHARE
    shutil.copy(REPOSITORY / "install.sh", share / "install.sh")
    (share / "install.sh").chmod(0o755)
    for path in sorted((REPOSITORY / "systemd").iterdir()):
        if path.name.endswith((".sysusers.conf", ".tmpfiles.conf")):
            kind = path.name.split(".")[-2]
            _copy(path, tree / f"usr/lib/{kind}.d" / path.name.replace(f".{kind}", ""))
        elif path.is_file():
            _copy(path, tree / UNITS / path.name)
    documents = tree / f"usr/share/doc/{NAME}"
    for name in DOCS:
        _copy(REPOSITORY / name, documents / name)
    for path in sorted((REPOSITORY / "docs").glob("*.md")):
        _copy(path, documents / "docs" / path.name)
    for path in sorted((REPOSITORY / "systemd/drop-ins").glob("*.conf")):
        _copy(path, documents / "drop-ins" / path.name)
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin" / NAME).symlink_to(f"/opt/{NAME}/bin/{NAME}")


def control(tree: Path, version: str, architecture: str) -> None:
    """Write what dpkg reads: the description, the scripts, and a digest of each file."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    folder = tree / "DEBIAN"
    folder.mkdir(mode=0o755)
    size = sum(path.stat().st_size for path in files) // 1024
    text = (HERE / "control").read_text(encoding="utf-8")
    for name, value in (("VERSION", version), ("ARCHITECTURE", architecture), ("SIZE", str(size))):
        text = text.replace(f"@{name}@", value)
    (folder / "control").write_text(text, encoding="utf-8")
    digests = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files)  # noqa: S324 (dpkg's format)
    (folder / "md5sums").write_text("".join(digests), encoding="utf-8")
    shutil.copy(HERE / "triggers", folder / "triggers")
    units = sorted(path.name for path in (tree / UNITS).iterdir())
    for script in SCRIPTS:
        text = (HERE / f"{script}.sh").read_text(encoding="utf-8").replace("@UNITS@", " ".join(units))
        (folder / script).write_text(text, encoding="utf-8")
        (folder / script).chmod(0o755)


def pip(*arguments: str | Path) -> None:
    """Run this interpreter's pip, which knows the package index."""
    run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def run(*command: str | Path) -> str:
    """Run a command and return what it printed; raises `Unbuildable` where it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unbuildable(str(error)) from error
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip())[-1500:]
        raise Unbuildable(f"{' '.join(map(str, command))} ended with {ended.returncode}: {said}")
    return ended.stdout


def _for(python: str) -> tuple[str, ...]:
    """Return pip's options for another Python than its own, on this architecture."""
    machine = platform.machine()
    tags = [*(f"manylinux_{glibc}_{machine}" for glibc in GLIBCS), f"manylinux2014_{machine}"]
    return ("--only-binary=:all:", f"--python-version={python}", *(f"--platform={tag}" for tag in tags))


def _applies(requirement: Requirement, extras: tuple[str, ...]) -> bool:
    marker = requirement.marker
    if marker is None:
        return True
    return any(
        marker.evaluate({"extra": extra, "python_version": python, "python_full_version": f"{python}.0"})
        for extra in ("", *extras)
        for python in PYTHONS
    )


def _version() -> str:
    """Return the agent's version; $ACUSIGHT_DEB_REVISION makes several packages of one, as the tests need."""
    found = re.search(
        r'^__version__ = "([^"]+)"', (REPOSITORY / "agent/__init__.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    if found is None:
        raise Unbuildable("agent/__init__.py tells no version")
    return f"{found[1]}-{os.environ.get('ACUSIGHT_DEB_REVISION', '1')}"


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)
    target.chmod(0o644)


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{main(Path(sys.argv[1] if sys.argv[1:] else REPOSITORY / 'dist'))}\n")
    except Unbuildable as error:
        sys.exit(f"make deb: {error}")

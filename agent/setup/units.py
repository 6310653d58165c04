"""The unit files that come with the agent: which they are, where they go, and how they fit this installation."""

from __future__ import annotations

import re
from pathlib import Path

import agent
from agent.errors import UsageError

MAIN = "acusight-agent.service"
STANDARD = "/opt/acusight-agent/bin/acusight-agent"
"""The program that the files name; an installation elsewhere puts its own in its place."""
ENABLED = (MAIN, "acusight-agent-key.path")
"""What is started with the system; the others are started by these, or by choice."""
PAGE = "acusight-agent-page.service"

SYSTEM = Path("etc/systemd/system")
_PLACES = {
    ".sysusers.conf": ("etc/sysusers.d", ".conf"),
    ".tmpfiles.conf": ("etc/tmpfiles.d", ".conf"),
}
_KINDS = frozenset({".service", ".path", ".socket", ".timer"})
# What systemd reads as it stands: no space, no quote, no specifier.
_PLAIN = re.compile(r"/[\w/.+@-]*")


def shipped() -> Path:
    """Return the folder of the files: in the package, or in the checkout that the agent runs from."""
    package = Path(agent.__file__).parent
    inside, beside = package / "units", package.parent / "systemd"
    return inside if inside.is_dir() else beside


def unit_files(folder: Path) -> list[Path]:
    """Return the files that are put in place: units, users and folders, no drop-ins."""
    return sorted(path for path in folder.iterdir() if path.is_file() and _place(path.name) is not None)


def drop_ins(folder: Path) -> list[Path]:
    """Return the drop-ins, which are for a person to choose from."""
    return sorted((folder / "drop-ins").glob("*.conf"))


def place_of(path: Path) -> Path:
    """Return where a file goes, relative to the root of the file system."""
    place = _place(path.name)
    if place is None:
        raise UsageError(f"{path.name} is no unit file")
    return place


def fitted(text: str, program: str) -> str:
    """Return a unit's text with this installation's program; raises `UsageError` for a path that systemd misreads."""
    if not _PLAIN.fullmatch(program):
        raise UsageError(
            f"a service cannot be started from {program}", remedy="Install it under a plain absolute path."
        )
    return text.replace(STANDARD, program)


def named(folder: Path, name: str) -> Path:
    """Return the file or drop-in of a name; raises `UsageError` with the names that there are."""
    known = {path.name: path for path in (*unit_files(folder), *drop_ins(folder))}
    if name not in known:
        raise UsageError(f"there is no unit file {name}", remedy=f"There are: {', '.join(known)}")
    return known[name]


def _place(name: str) -> Path | None:
    for ending, (folder, short) in _PLACES.items():
        if name.endswith(ending):
            return Path(folder, name.removesuffix(ending) + short)
    return SYSTEM / name if Path(name).suffix in _KINDS else None

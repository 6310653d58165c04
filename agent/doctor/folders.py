"""Watched folders: whether the daemon's user may read them, and whether the kernel will tell of new files."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.doctor.finding import Finding, ok, problem, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent.config.sources import WatchSettings
    from agent.doctor.person import Access, Person

INOTIFY = Path("/proc/sys/fs/inotify")
COUNTED_AT_MOST = 200_000
"""Folders below recursive ones are counted up to here: a walk over more takes minutes on a slow disk."""
EDIT_UNIT = "sudo systemctl edit acusight-agent"
SPARE_INSTANCES = 16
"""What other programs of the same user need; a desktop uses some tens."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A watched folder: what the daemon's user may do with it, None where nobody could find out.

    `hidden` says that the unit keeps the service from seeing it, `walled` that it may not write there.
    """

    name: str
    path: Path
    access: Access | None
    keeps: bool = True
    hidden: bool = False
    walled: bool = False


@dataclass(frozen=True, slots=True)
class Walls:
    """What a unit keeps its service from; nothing where there is no unit."""

    protect_home: str = ""
    protect_system: str = ""
    bound: str = ""
    opened: str = ""

    @classmethod
    def of(cls, unit: Mapping[str, str] | None) -> Walls:
        """Return the walls of what `systemctl show` says."""
        names = ("ProtectHome", "ProtectSystem", "BindPaths", "ReadWritePaths")
        return cls(*((unit or {}).get(name, "") for name in names))

    def hide(self, path: Path) -> bool:
        """Tell whether the service cannot see a path."""
        homes = (Path("/home"), Path("/root"), Path("/run/user"))
        if self.protect_home not in {"yes", "tmpfs"} or not any(path.is_relative_to(home) for home in homes):
            return False
        return not any(path.is_relative_to(place) for place in _places(self.bound))

    def close(self, path: Path) -> bool:
        """Tell whether the service may not write below a path, whoever owns it."""
        if self.protect_system != "strict":
            return False
        return not any(path.is_relative_to(place) for place in _places(f"{self.opened} {self.bound}"))


@dataclass(frozen=True, slots=True)
class Inotify:
    """The kernel's limits, None where it tells none, and what the configuration needs of them."""

    max_watches: int | None
    max_instances: int | None
    needed_watches: int
    needed_instances: int


def findings(folders: Iterable[Folder], person: Person) -> Iterator[Finding]:
    """Judge every watched folder."""
    for folder in folders:
        yield _folder(folder, person)


def _folder(folder: Folder, person: Person) -> Finding:
    check, access = f"folder {folder.name}", folder.access
    if access is None or not person.reachable:
        return skipped(check, f"only root or {person.name} can tell whether {folder.path} can be read")
    if folder.hidden or not access.is_folder:
        return _unseen(folder, access, check)
    give = f"sudo setfacl -R -m u:{person.name}:rwX -m d:u:{person.name}:rwX {_quoted(folder.path)}"
    if not access.enter:
        what = f"{person.name} may not read {folder.path}"
        return problem(check, what, "Pictures in it are not seen.", give, "the-folder-cannot-be-read")
    if not access.write or folder.walled:
        return _only_read(folder, check, EDIT_UNIT if access.write else give)
    return ok(check, f"{folder.path} can be read and written")


def _unseen(folder: Folder, access: Access, check: str) -> Finding:
    path = _quoted(folder.path)
    if folder.hidden:
        what = f"the service cannot see {folder.path}: its unit hides /home, /root and /run/user"
        return problem(check, what, "ProtectHome=yes is in force.", EDIT_UNIT, "the-unit-hides-the-folder")
    if access.error:
        what = f"{folder.path} cannot be watched: {access.error}"
        why = "It is taken up once it is there; until then no picture comes from it."
        return problem(check, what, why, f"sudo install -d {path}", "the-folder-is-not-there")
    what = f"{folder.path} is no folder"
    return problem(check, what, "A folder is watched, not a file.", f"ls -ld {path}", "the-folder-is-not-there")


def _only_read(folder: Folder, check: str, command: str) -> Finding:
    what = f"the agent may read {folder.path}, and not write there"
    why = "So it copies each picture instead of linking it: twice the writing."
    if not folder.keeps:
        why = "after_delivery cannot delete or move what was delivered; and each picture is copied."
        return problem(check, what, why, command, "the-folder-cannot-be-written")
    return warning(check, what, why, command, "the-folder-cannot-be-written")


def inotify_finding(inotify: Inotify) -> Finding:
    """Judge whether the kernel's limits suffice; where they do not, the regular scans still find new files."""
    if inotify.max_watches is None or inotify.max_instances is None:
        return skipped("inotify", "the kernel tells no limits")
    why = "Beyond that new files are found by the scans alone, later (rescan_s)."
    limits = (
        ("max_user_watches", inotify.needed_watches, inotify.max_watches),
        ("max_user_instances", inotify.needed_instances + SPARE_INSTANCES, inotify.max_instances),
    )
    for name, needed, most in limits:
        if needed > most:
            what = f"about {needed} are needed of fs.inotify.{name}, which is {most}"
            raised = f"sudo sysctl -w fs.inotify.{name}={max(2 * needed, 8192 if 'watches' in name else 256)}"
            return warning("inotify", what, why, raised, "inotify-limits-are-low")
    return ok("inotify", f"{inotify.needed_watches} of {inotify.max_watches} watches needed")


def inotify_of(watches: Iterable[WatchSettings]) -> Inotify:
    """Read the limits and count what is needed."""
    watches = list(watches)
    needed = sum(_count(watch.path) if watch.recursive else 1 for watch in watches)
    return Inotify(_limit("max_user_watches"), _limit("max_user_instances"), needed, len(watches))


def _places(text: str) -> list[Path]:
    """Return the targets of paths as systemd lists them: `-/srv/pictures`, or `/source:/target:rbind`."""
    words = [word.lstrip("-+") for word in text.split()]
    return [Path(parts[1] if len(parts := word.split(":")) > 1 else word) for word in words]


def _count(root: Path) -> int:
    count = 0
    for _, _, _ in os.walk(root):
        count += 1
        if count >= COUNTED_AT_MOST:
            break
    return count


def _limit(name: str) -> int | None:
    try:
        return int((INOTIFY / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))

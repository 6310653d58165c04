"""As whom the daemon lives: its user and groups, and what that user may do with a path."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.config.paths import SYSTEM_CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SERVICE_USER = "acusight"
LOOK_S = 8.0

# Asked in a child: only a process that is that user gets the kernel's own answer, access control lists included.
_LOOK = """
import json, os, sys
def told(path):
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return [error.strerror, False, False, False]
    return ["", (mode & 0o170000) == 0o040000, os.access(path, os.R_OK | os.X_OK), os.access(path, os.W_OK)]
print(json.dumps({path: told(path) for path in json.load(sys.stdin)}))
"""


@dataclass(frozen=True, slots=True)
class Person:
    """The user as which the daemon runs: the service's own or whoever asks, and whether this process may act as it."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]
    reachable: bool = True
    is_service: bool = False

    def is_this_process(self) -> bool:
        """Tell whether it is the user who asks."""
        return self.uid == os.geteuid()


@dataclass(frozen=True, slots=True)
class Access:
    """What a user may do with a path; `error` says why it cannot even be looked at."""

    error: str = ""
    is_folder: bool = False
    enter: bool = False
    write: bool = False


def daemon_user(config: Path | None) -> Person:
    """Return the user of the daemon: the service's own for its configuration, else whoever asks."""
    if config == SYSTEM_CONFIG:
        try:
            entry = pwd.getpwnam(SERVICE_USER)
        except KeyError:
            pass
        else:
            groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
            reachable = os.geteuid() in {0, entry.pw_uid}
            return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, reachable, is_service=True)
    return Person(_name(os.geteuid()), os.geteuid(), os.getegid(), frozenset(os.getgroups()))


def access_of(person: Person, paths: Iterable[Path], environment: Mapping[str, str]) -> dict[str, Access] | None:
    """Return what the user may do with each path; None where that cannot be found out in time."""
    become = {} if person.is_this_process() or not person.reachable else _become(person)
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LOOK],
            input=json.dumps([str(path) for path in paths]).encode(),
            capture_output=True,
            timeout=LOOK_S,
            check=True,
            env=dict(environment),
            cwd="/",
            **become,  # type: ignore[call-overload]  # its own keywords
        )
        told = json.loads(ended.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return {path: Access(*answer) for path, answer in told.items()}


def group_name(gid: int) -> str:
    """Return a group's name, its number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _become(person: Person) -> dict[str, object]:
    return {"user": person.uid, "group": person.gid, "extra_groups": sorted(person.groups)}


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

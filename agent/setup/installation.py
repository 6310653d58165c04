"""Puts the service in place, and takes it away again; run twice it does no harm, and it says each thing that it did.

Below another root than `/` only files are put in place: for images, packages and tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config.example import write_example
from agent.config.schema import write_schema
from agent.errors import AgentError, UsageError
from agent.setup.units import ENABLED, MAIN, PAGE, SYSTEM, fitted, place_of, unit_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

USER = "acusight"
CONFIG = Path("etc/acusight-agent/config.toml")
KEY = Path("etc/acusight-agent/device_key")
COMMAND_S = 60.0
HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 (places that the unit hides)


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation below `root`: `program` is what the units start, `units` the folder they come from."""

    root: Path
    program: str
    units: Path
    environment: Mapping[str, str]

    @property
    def is_live(self) -> bool:
        """Tell whether this is the running system, and systemd runs it."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()

    def install(self, *, start: bool) -> Iterator[str]:
        """Write units, user and configuration, and enable the service; yields what was done."""
        self._check()
        for path in unit_files(self.units):
            yield self._put(path)
        yield from self._make_user()
        yield from self._configure()
        if self.is_live:
            self._run("systemctl", "daemon-reload")
        yield self._enable()
        if start and self.is_live:
            self._run("systemctl", "restart", *ENABLED)
            self._run("systemctl", "try-restart", PAGE)
            yield "started; see: systemctl status acusight-agent"

    def uninstall(self) -> Iterator[str]:
        """Stop the service and remove its units; configuration, key, pictures and the user stay."""
        if self.is_live:
            names = [path.name for path in unit_files(self.units) if place_of(path).parent == SYSTEM]
            present = [name for name in names if (self.root / SYSTEM / name).exists()]
            if present:
                self._run("systemctl", "disable", "--now", *present)
        else:
            self._systemctl_offline("disable")
        for path in unit_files(self.units):
            target = self.root / place_of(path)
            if target.exists():
                with _file_errors("remove", target):
                    target.unlink()
                yield f"removed {target}"
        if self.is_live:
            self._run("systemctl", "daemon-reload")
        yield (
            f"left as they are: {self.root / CONFIG.parent} (configuration and key), "
            f"{self.root / 'var/lib/acusight-agent'} (pictures that wait, and receipts), the user {USER}"
        )

    def _check(self) -> None:
        for place in HIDDEN:
            if self.program.startswith(place):
                raise UsageError(
                    f"the service could not see its program {self.program}: the unit hides {place.rstrip('/')}",
                    remedy="Install the agent into /opt/acusight-agent, as install.sh does.",
                )
        if not (self.root / self.program.lstrip("/")).exists():
            raise UsageError(f"there is no program {self.program}", remedy="Give the installed one: --program PATH.")

    def _put(self, path: Path) -> str:
        target = self.root / place_of(path)
        text = fitted(path.read_text(encoding="utf-8"), self.program)
        with _file_errors("write", target):
            if target.is_file() and target.read_text(encoding="utf-8") == text:
                return f"kept {target}"
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.new")
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o644)
            temporary.replace(target)
        return f"wrote {target}"

    def _make_user(self) -> Iterator[str]:
        if shutil.which("systemd-sysusers"):
            self._run("systemd-sysusers", f"--root={self.root}", "acusight-agent.conf")
            yield f"the user {USER} is there, in the group video"
        elif self.root == Path("/") and _owner(self.root) is None:
            self._run("useradd", "--system", "--home-dir=/var/lib/acusight-agent", "--user-group", USER)
            self._run("usermod", "--append", "--groups=video", USER)
            yield f"made the user {USER}, in the group video"

    def _configure(self) -> Iterator[str]:
        path = self.root / CONFIG
        with _file_errors("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            write_schema(path.parent)
            yield f"kept {path}"
            return
        write_example(path, replace=False)
        owner = _owner(self.root)
        if owner is not None and os.geteuid() == 0:
            with _file_errors("give away", path):
                os.chown(path, *owner)
        yield f"wrote {path}: name a source and the server in it"

    def _enable(self) -> str:
        if self.is_live:
            self._run("systemctl", "enable", *ENABLED)
        elif not self._systemctl_offline("enable"):
            return f"there is no systemctl: to have it started with the system, enable {' and '.join(ENABLED)}"
        return "the service is started with the system from now on"

    def _systemctl_offline(self, verb: str) -> bool:
        if not shutil.which("systemctl"):
            return False
        if (self.root / SYSTEM / MAIN).exists():
            self._run("systemctl", f"--root={self.root}", verb, *ENABLED)
        return True

    def _run(self, *command: str) -> None:
        try:
            ended = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_S,
                check=False,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AgentError(f"{' '.join(command)} did not work: {error}") from None
        if ended.returncode:
            said = " ".join(ended.stderr.split())[-300:] or f"status {ended.returncode}"
            raise AgentError(f"{' '.join(command)} did not work: {said}")


def check_rights(root: Path) -> None:
    """Raise `UsageError` unless this process may change the system; another root is whoever's it is."""
    if root == Path("/") and os.geteuid() != 0:
        raise UsageError("only root can change services", remedy="Run it with sudo.")


def _owner(root: Path) -> tuple[int, int] | None:
    """Return the numbers of the service's user and group as that system has them; None where it has no such user."""
    try:
        lines = (root / "etc/passwd").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for fields in (line.split(":") for line in lines):
        if fields[0] == USER:
            return int(fields[2]), int(fields[3])
    return None


@contextmanager
def _file_errors(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AgentError(f"cannot {doing} {path}: {error.strerror}") from None

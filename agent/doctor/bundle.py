"""The archive for support: what a stranger needs to understand a device from afar, and no secret of it."""

from __future__ import annotations

import gzip
import io
import os
import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from agent import __version__
from agent.config.redaction import redacted
from agent.errors import AgentError, UsageError
from agent.spool.durable import fsync_directory, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from agent.doctor.configuration import Read

FOLDER = "acusight-agent-support"
JOURNAL_LINES = 500
JOURNAL_S = 10.0
LARGEST = 2_000_000
SHORTEST_SECRET = 4
"""A shorter one would blot out half of every text; its place in a URL hides it anyway."""

_URL_SECRET = re.compile(r"://(?:[^\s/@:]*:)?([^\s\"'<>]*)@")
_PARAMETER = re.compile(r"\b(?:pass(?:word|wd)?|pwd|loginpas|token|secret|key|user-pw)=([^\s&\"']+)", re.IGNORECASE)

ABOUT = """\
Made by acusight-agent doctor --bundle on {now}.

doctor.json        everything that was looked at
status.json        the queue, the link and the sources
configuration.txt  the settings in effect
versions.txt       the agent, Python, the system
journal.txt        the last {lines} lines of the service's log, where they may be read

The device key and the passwords of cameras are replaced by ***. Names of files, hosts and cameras are in it, as are
the arguments of cmd: sources: look through it before you send it.
"""


def secrets_of(found: Read) -> list[str]:
    """Return every secret that the configuration holds: the key, and the sources' passwords, as written and decoded."""
    secrets = [found.key.get_secret_value()] if found.key else []
    configuration = found.configuration
    for camera in configuration.settings.camera if configuration else ():
        for pattern in (_URL_SECRET, _PARAMETER):
            for secret in pattern.findall(camera.source):
                secrets += [secret, unquote(secret)]
    # The longest first: one may be a part of another.
    return sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)


def check_target(out: Path) -> None:
    """Raise `UsageError` where `out` cannot be written, or is something that must not be replaced."""
    if not out.parent.is_dir() or (out.exists() and not out.is_file()):
        raise UsageError(f"cannot write {out}", remedy="Name a file in a folder that is there.")


def write_bundle(out: Path, parts: Mapping[str, str], secrets: Iterable[str], now: datetime) -> None:
    """Write the archive, whole or not at all, readable by its owner alone; every part is cleaned of secrets first.

    Raises `Wait` where the disk refuses it.
    """
    secrets = list(secrets)
    about = ABOUT.format(now=f"{now:%Y-%m-%d %H:%M} UTC", lines=JOURNAL_LINES)
    texts = {"README.txt": about, **{name: redacted(text, secrets) for name, text in parts.items()}}
    data = _archive(texts, now)
    write_file(out.with_name(f".{out.name}.{os.getpid()}.tmp"), out, [data])
    fsync_directory(out.parent)


def _archive(texts: Mapping[str, str], now: datetime) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for name, text in texts.items():
            data = text.encode("utf-8", "backslashreplace")[-LARGEST:]
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(now.timestamp())
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def versions() -> str:
    """Return what is installed, one line each."""
    return "\n".join(_versions()) + "\n"


def _versions() -> Iterator[str]:
    yield f"acusight-agent {__version__}"
    yield f"Python {sys.version}".replace("\n", " ")
    yield f"kernel {' '.join(platform.uname())}"
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        system = "unknown"
    yield f"system {system}"
    try:
        yield f"board {Path('/proc/device-tree/model').read_text(encoding='utf-8').rstrip(chr(0))}"
    except (OSError, UnicodeError):
        yield f"board {platform.machine()}"


def journal(environment: Mapping[str, str]) -> str:
    """Return the end of the service's log, or why there is none."""
    command = ["journalctl", "--unit=acusight-agent*", f"--lines={JOURNAL_LINES}", "--no-pager", "--output=short-iso"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=JOURNAL_S, check=False, env=dict(environment))
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the journal cannot be read: {error}\n"
    return (ended.stdout + ended.stderr).decode("utf-8", "replace")


def told(source: object) -> str:
    """Return what a callable says, or the error that it met: one part that fails leaves the others in the archive."""
    try:
        return str(source() if callable(source) else source)
    except AgentError as error:
        return f"{error}\n"

"""What a contestant is: a command that sends the files of a job, as a user would run it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

HERE = Path(__file__).parent
ROOT = HERE.parent
KEY = "adk_0123456789abcdef"
SETTINGS = re.compile(
    r"ACUSIGHT_|XDG_|RCLONE_|AWS_|SSL_CERT_|PYTHONDONTWRITEBYTECODE|.*CA_BUNDLE$|.*_proxy$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be sent, where to, and a folder for the contestant's own files, kept for its restart."""

    url: str
    folder: Path
    work: Path
    workers: int = 2
    ca: Path | None = None
    manifest: Path | None = None

    @property
    def upload(self) -> str:
        """Return where forms are posted to."""
        return f"{self.url}/device/images/upload"


class Peer:
    """One contestant. `watches`: it waits for files that come; `most` bounds a slow one's work, which has one turn."""

    name = ""
    watches = False
    ready = ""
    ends = ""
    most: int | None = None
    parallel = False
    programs: ClassVar[tuple[str, ...]] = ()

    def missing(self) -> str:
        """Return why it cannot run here, or nothing."""
        absent = [program for program in self.programs if shutil.which(program) is None]
        return f"not installed: {', '.join(absent)}" if absent else ""

    def command(self, job: Job) -> list[str]:
        """Return what to run; what it needs of files is made."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return its environment: this checkout's agent, and no proxies or settings of whoever measures."""
        kept = {name: value for name, value in os.environ.items() if not SETTINGS.match(name)}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

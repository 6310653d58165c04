"""The contestants: what a user would pick, and the agent.

A peer that cannot run here says why in `missing`; nothing is installed for it but a throwaway environment for the plain
script.
"""

from __future__ import annotations

import atexit
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from agents import Agent, AgentClient, AgentDaemon
from peer import HERE, KEY, Job, Peer

HOW_TO = "the peers that are Debian packages: sudo apt install curl rclone inotify-tools strace"


def _curl(job: Job) -> str:
    ca = f"--cacert {shlex.quote(str(job.ca))} " if job.ca else ""
    return f"curl -sSf {ca}-o /dev/null -H {shlex.quote('X-Device-Key: ' + KEY)}"


class CurlEach(Peer):
    """A curl process for each file, in a shell's loop."""

    name = "curl, one after another"
    programs = ("curl",)
    most = 150

    def command(self, job: Job) -> list[str]:
        """Return the loop."""
        loop = f'for f in {shlex.quote(str(job.folder))}/*.jpg; do [ -e "$f" ] && {_curl(job)} -F "image=@$f" '
        return ["sh", "-c", f"{loop}{job.upload}; done; true"]


class CurlParallel(Peer):
    """One curl process for all files."""

    name = "curl --parallel"
    programs = ("curl",)
    parallel = True

    def command(self, job: Job) -> list[str]:
        """Write the list of requests."""
        request = f'url = "{job.upload}"\nheader = "X-Device-Key: {KEY}"\noutput = "/dev/null"\n'
        if job.ca:
            request += f'cacert = "{job.ca}"\n'
        entries = [f'{request}form = "image=@{path}"\n' for path in sorted(job.folder.iterdir())]
        (job.work / "curl.conf").write_text("next\n".join(entries))
        if not entries:
            return ["true"]
        config = str(job.work / "curl.conf")
        return ["curl", "-sSf", "--parallel", "--parallel-max", str(job.workers), "-K", config]


class CurlInotify(Peer):
    """A shell's loop around inotifywait, with a curl process for each file."""

    name = "inotifywait + curl"
    programs = ("inotifywait", "curl")
    watches = True
    ready = "Watches established"
    ends = "inotifywait"
    most = 150

    def command(self, job: Job) -> list[str]:
        """Return the pipeline."""
        folder = shlex.quote(str(job.folder))
        wait = f"inotifywait -m -e close_write -e moved_to --format %w%f {folder}"
        send = f'case "$f" in */.*) ;; *.jpg) {_curl(job)} -F "image=@$f" {job.upload};; esac'
        return ["sh", "-c", f"{wait} | while read -r f; do {send}; done; true"]


class Script(Peer):
    """The plain script, run with an environment that has what it imports."""

    name = "script (requests)"
    environment_made: ClassVar[Path | None] = None
    refused: ClassVar[str] = ""

    def missing(self) -> str:
        """Make an environment where this one lacks the packages."""
        if importlib.util.find_spec("requests") and importlib.util.find_spec("watchdog"):
            return ""
        if Script.environment_made is None and not Script.refused:
            _make_environment()
        return Script.refused

    def command(self, job: Job) -> list[str]:
        """Return the script's command."""
        made = Script.environment_made
        python = sys.executable if made is None else str(made / "bin/python")
        ca = ["--ca", str(job.ca)] if job.ca else []
        return [python, str(HERE / "plain_script.py"), job.upload, str(job.folder), *ca, *self.options()]

    def options(self) -> list[str]:
        """Return what it is told beside that."""
        return []


def _make_environment() -> None:
    place = Path(tempfile.mkdtemp(prefix="bench-script-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", place], check=True, capture_output=True)
        install = [str(place / "bin/python"), "-m", "pip", "install", "-q", "requests", "watchdog"]
        subprocess.run(install, check=True, capture_output=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        Script.refused = f"requests and watchdog cannot be installed: {type(error).__name__}"
    else:
        Script.environment_made = place


class ScriptWatching(Script):
    """The same, for files that come."""

    name = "script (requests + watchdog)"
    watches = True
    ready = "watching"
    most = 150

    def options(self) -> list[str]:
        """Have it watch."""
        return ["--watch"]


class Rclone(Peer):
    """Rclone copy to a bucket; the target is a folder of this run's own, so that a second run finds what is there."""

    name = "rclone copy (S3)"
    programs = ("rclone",)
    parallel = True

    def command(self, job: Job) -> list[str]:
        """Return the copy."""
        ca = ["--ca-cert", str(job.ca)] if job.ca else []
        workers = ["--transfers", str(job.workers), "--checkers", str(job.workers)]
        options = ["--config", "/dev/null", "--retries", "1", *workers, *ca]
        return ["rclone", "copy", str(job.folder), *self.target(job), *options]

    def target(self, job: Job) -> list[str]:
        """Return where to, and what the backend has to know."""
        keys = ["--s3-access-key-id", "bench", "--s3-secret-access-key", "bench", "--s3-no-check-bucket"]
        return [f":s3:s3/{job.work.name}", "--s3-provider", "Other", "--s3-endpoint", job.url, *keys]


class RcloneDav(Rclone):
    """The same to WebDAV, where rclone makes three requests a file and waits 10 ms before each."""

    name = "rclone copy (WebDAV)"
    most = 150

    def target(self, job: Job) -> list[str]:
        """Return where to."""
        return [f":webdav:{job.work.name}", "--webdav-vendor", "other", "--webdav-url", f"{job.url}/dav"]


class BareClient(Peer):
    """Python's http.client."""

    name = "http.client"

    def command(self, job: Job) -> list[str]:
        """Return the script's command."""
        ca = [str(job.ca)] if job.ca else []
        return [sys.executable, str(HERE / "bare_client.py"), job.url, str(job.folder), *ca]


BATCH: tuple[Peer, ...] = (
    CurlEach(),
    CurlParallel(),
    CurlInotify(),
    Script(),
    Rclone(),
    RcloneDav(),
    BareClient(),
    AgentClient(),
    Agent(),
)
WATCHING: tuple[Peer, ...] = (CurlInotify(), ScriptWatching(), AgentDaemon())

"""The source grammar: what the text of a camera's `source` means. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["index", "device", "stream", "file", "gst", "command"]

GRAMMAR = "an index (0), /dev/…, rtsp://…, http(s)://…, a video file or glob, gst:<pipeline> or cmd:<program>"
STREAMS = ("rtsp", "rtsps", "http", "https")

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# Up to the last @: unescaped "@" and "/" stand in many camera passwords, and hiding too much harms less.
_USER = re.compile(r"(?<=://)[^\s\"'<>]*@")
# Many cameras take their password as a parameter: /video.cgi?user=admin&pwd=secret
_PARAMETER = re.compile(r"\b((?:pass(?:word|wd)?|pwd|loginpas|token|secret|user-pw)=)[^\s&\"']+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """Where pictures come from; `target` may hold a password, `shown` never does."""

    kind: Kind
    target: str = field(repr=False)

    @property
    def live(self) -> bool:
        """Tell whether frames that are not taken are gone; only a file waits."""
        return self.kind != "file"

    @property
    def shown(self) -> str:
        """Return the source for logs and people."""
        prefix = {"gst": "gst:", "command": "cmd:"}.get(self.kind, "")
        return redact(prefix + self.target)

    @property
    def arguments(self) -> list[str]:
        """Return the program of a command and its arguments, split as a shell would, without a shell."""
        return shlex.split(self.target)


def parse_source(text: str) -> Source:
    """Read one `source`.

    Raises `ValueError` with a sentence that names the remedy and shows no password.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise ValueError(f"the source is empty; give {GRAMMAR}")
    if text.isascii() and text.isdigit():
        return Source("index", text)
    if text.startswith("/dev/") and not text.startswith("/dev/shm/"):  # noqa: S108 (a prefix that is refused, not used)
        return Source("device", text)
    if text.startswith("gst:"):
        return _after("gst", text)
    if text.startswith("cmd:"):
        return _after("command", text)
    return _stream_or_file(text)


def _after(kind: Literal["gst", "command"], text: str) -> Source:
    prefix, _, target = text.partition(":")
    source = Source(kind, target.strip())
    if not source.target:
        raise ValueError(f"nothing follows {prefix}: in the source")
    if kind == "command":
        try:
            source.arguments  # noqa: B018 (split once here, so that a bad quote is a configuration error)
        except ValueError as error:
            raise ValueError(f"the command {source.shown} cannot be split: {error}") from None
    return source


def _stream_or_file(text: str) -> Source:
    found = _SCHEME.match(text)
    if found is None:
        return Source("file", text)
    if found[1].lower() not in STREAMS:
        raise ValueError(f"{redact(text)} is of an unknown kind; give {GRAMMAR}")
    return Source("stream", text)


def redact(text: str) -> str:
    """Return the text with the credentials of every URL in it, and password parameters, shown as `***`."""
    return _PARAMETER.sub(r"\1***", _USER.sub("***@", text))

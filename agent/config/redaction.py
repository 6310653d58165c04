"""What may be shown: text without secrets, on one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"

_TOKEN = re.compile(r"\b(adk|apt)_[0-9A-Za-z]+")
# Greedy up to the last "@": unescaped "@" and "/" are common in camera passwords, and hiding too much harms less.
_USERINFO = re.compile(r"(?<=://)[^\s\"'<>]*@")
_QUERY = re.compile(r"([?&](?:password|passwd|pwd|pass|token|secret|(?:api[_-]?)?key)=)[^&\s\"'<>]*", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Hide `secrets`, whatever looks like a key or token of the platform, and credentials in URLs."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _TOKEN.sub(rf"\1_{HIDDEN}", text)
    text = _USERINFO.sub(f"{HIDDEN}@", text)
    return _QUERY.sub(rf"\1{HIDDEN}", text)


def printable(text: str) -> str:
    """Escape line breaks, terminal codes and bytes that are no text, so that a name cannot forge a line."""
    return _UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)

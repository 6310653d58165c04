"""Takes an upload's form apart, as a server has to."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

NAME = re.compile(rb'\bname="([^"]*)"')
FILENAME = re.compile(rb'\bfilename="([^"]*)"')
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True, slots=True)
class Upload:
    """One picture that came in; `taken` is the capture time that its metadata names, where there are any."""

    filename: str
    sha256: str
    size: int
    taken: str = ""


def picture_in(body: memoryview, boundary: bytes) -> Upload:
    """Return the picture of a form; raises `ValueError` where the form is not sound."""
    delimiter = b"--" + boundary
    whole = body.obj
    assert isinstance(whole, bytearray)
    found: Upload | None = None
    taken = ""
    at, end = 0, len(body)
    while whole[at : at + len(delimiter) + 2] == delimiter + b"\r\n":
        at += len(delimiter) + 2
        head_end = whole.find(b"\r\n\r\n", at, end)
        head = bytes(whole[at:head_end])
        # From behind: a picture is long, and the last part of these forms.
        behind = whole.find(b"\r\n" + delimiter, head_end, min(end, head_end + 65_536))
        if behind < 0:
            behind = whole.rfind(b"\r\n" + delimiter, head_end, end)
        name = NAME.search(head)
        if head_end < 0 or behind < 0 or name is None:
            raise ValueError("a part without end or name")
        content = body[head_end + 4 : behind]
        if name[1] == b"image":
            found = _picture(head, content)
        elif name[1] == b"metadata":
            taken = str(json.loads(bytes(content)).get("timestamp", ""))
        at = behind + 2
    if bytes(whole[at:end]).rstrip(b"\r\n") != delimiter + b"--" or found is None:
        raise ValueError("a form without its end or its picture")
    return Upload(found.filename, found.sha256, found.size, taken) if taken else found


def _picture(head: bytes, content: memoryview) -> Upload:
    filename = FILENAME.search(head)
    if filename is None or not bytes(content[:8]).startswith(MAGIC):
        raise ValueError("a part that is no picture")
    return Upload(filename[1].decode(), hashlib.sha256(content).hexdigest(), len(content))

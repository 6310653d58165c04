"""Bare `http.client`, each file streamed, one after another: the least that an upload from Python can cost.

python benchmarks/bare_client.py URL FOLDER [CA]
"""

from __future__ import annotations

import http.client
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

TAIL = b"\r\n--bench--\r\n"


def form(head: bytes, stream: BinaryIO, tail: bytes) -> Iterator[bytes]:
    """Yield a form in pieces."""
    yield head
    while piece := stream.read(65_536):
        yield piece
    yield tail


def connect(url: str, ca: str | None) -> http.client.HTTPConnection:
    """Return a connection."""
    address = urlsplit(url)
    assert address.hostname is not None
    if address.scheme == "http":
        return http.client.HTTPConnection(address.hostname, address.port)
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(address.hostname, address.port, context=context)


def main(url: str, folder: Path, ca: str | None) -> None:
    """Send a folder."""
    connection = connect(url, ca)
    for path in sorted(folder.iterdir()):
        head = f'--bench\r\nContent-Disposition: form-data; name="image"; filename="{path.name}"\r\n\r\n'.encode()
        with path.open("rb") as stream:
            headers = {
                "Content-Type": "multipart/form-data; boundary=bench",
                "Content-Length": str(len(head) + path.stat().st_size + len(TAIL)),
                "X-Device-Key": "adk_0123456789abcdef",
            }
            connection.request("POST", "/device/images/upload", form(head, stream, TAIL), headers)
            connection.getresponse().read()
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)  # noqa: PLR2004 (the third)

"""As much of WebDAV as `rclone copy` needs: it lists a folder, makes it, puts files, and looks at what it put."""

from __future__ import annotations

import re
import threading
from http import HTTPStatus
from xml.sax.saxutils import escape

ROOT = "/dav"
DEPTH = re.compile(rb"\r\ndepth: *1\b", re.IGNORECASE)
HEAD = b"HTTP/1.1 %d %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s"
KINDS = {True: "<D:collection/>", False: ""}


class Shelf:
    """What was put where; the sizes are all that a listing tells."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[str, int | None] = {ROOT: None}

    def put(self, path: str, size: int, _: bytes) -> bytes:
        """Enter a file and return the answer."""
        with self._lock:
            self._sizes[_plain(path)] = size
        return _answer(HTTPStatus.CREATED)

    def answer(self, method: str, path: str, head: bytes) -> bytes:
        """Answer anything that carries no picture."""
        path = _plain(path)
        with self._lock:
            if method == "MKCOL":
                made = path not in self._sizes
                self._sizes.setdefault(path, None)
                return _answer(HTTPStatus.CREATED if made else HTTPStatus.METHOD_NOT_ALLOWED)
            if method != "PROPFIND":
                return _answer(HTTPStatus.METHOD_NOT_ALLOWED)
            if path not in self._sizes:
                return _answer(HTTPStatus.NOT_FOUND)
            listed = [path]
            if DEPTH.search(head) and self._sizes[path] is None:
                listed += [one for one in self._sizes if one.rpartition("/")[0] == path]
            entries = "".join(_entry(one, self._sizes[one]) for one in listed)
        text = f'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">{entries}</D:multistatus>'
        return _answer(HTTPStatus.MULTI_STATUS, text.encode())


def _plain(path: str) -> str:
    return path.rstrip("/")


def _answer(status: HTTPStatus, body: bytes = b"") -> bytes:
    return HEAD % (status, status.phrase.encode(), len(body), body)


def _entry(path: str, size: int | None) -> str:
    length = "" if size is None else f"<D:getcontentlength>{size}</D:getcontentlength>"
    href = escape(path + ("/" if size is None else ""))
    return (
        f"<D:response><D:href>{href}</D:href><D:propstat><D:prop><D:resourcetype>{KINDS[size is None]}"
        f"</D:resourcetype>{length}<D:getlastmodified>Sat, 14 Mar 2026 08:15:02 GMT</D:getlastmodified></D:prop>"
        f"<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )

"""As much of S3 as `rclone copy` needs: it lists a prefix, puts objects, and looks at what it put."""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

ROOT = "/s3"
DIGEST = re.compile(rb"\r\ncontent-md5: *([^\r]+)", re.IGNORECASE)
MADE = re.compile(rb"\r\nx-amz-meta-mtime: *([^\r]+)", re.IGNORECASE)
SEEN = "2026-03-14T08:15:02.000Z"


@dataclass(frozen=True, slots=True)
class Kept:
    """What an object's listing tells: its size, the digest and the time that its sender named."""

    size: int
    etag: str
    made: str


class Bucket:
    """What was put under which key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}

    def put(self, target: str, size: int, head: bytes) -> bytes:
        """Enter an object and return the answer; the digest is taken from the sender, who had to compute it."""
        digest, made = DIGEST.search(head), MADE.search(head)
        etag = base64.b64decode(digest[1]).hex() if digest else ""
        kept = Kept(size, etag, made[1].decode() if made else "")
        with self._lock:
            self._kept[_key(target)] = kept
        return _answer(HTTPStatus.OK, f'ETag: "{etag}"\r\nContent-Length: 0\r\n')

    def answer(self, method: str, target: str, _: bytes) -> bytes:
        """Answer anything that carries no picture."""
        if method == "HEAD":
            with self._lock:
                kept = self._kept.get(_key(target))
            if kept is None:
                return _answer(HTTPStatus.NOT_FOUND, "Content-Length: 0\r\n")
            told = f'ETag: "{kept.etag}"\r\nContent-Length: {kept.size}\r\nx-amz-meta-mtime: {kept.made}\r\n'
            return _answer(HTTPStatus.OK, f"{told}Last-Modified: {formatdate(usegmt=True)}\r\n")
        if method == "GET":
            prefix = parse_qs(urlsplit(target).query).get("prefix", [""])[0]
            listing = self._listing(prefix)
            return _answer(HTTPStatus.OK, f"Content-Length: {len(listing)}\r\n") + listing
        return _answer(HTTPStatus.OK, "Content-Length: 0\r\n")

    def _listing(self, prefix: str) -> bytes:
        with self._lock:
            found = {key: kept for key, kept in self._kept.items() if key.startswith(prefix)}
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{SEEN}</LastModified>"
            f"<ETag>&quot;{kept.etag}&quot;</ETag><Size>{kept.size}</Size></Contents>"
            for key, kept in sorted(found.items())
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


def _key(target: str) -> str:
    return urlsplit(target).path.removeprefix(f"{ROOT}/")


def _answer(status: HTTPStatus, headers: str) -> bytes:
    return f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: application/xml\r\n{headers}\r\n".encode()

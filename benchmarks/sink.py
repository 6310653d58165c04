"""An upload sink that does an upload's honest work and no more: takes the form apart, and hashes the picture.

    python benchmarks/sink.py PORT [--delay SECONDS] [--tls CERT KEY]

A form that is not as the contract says is answered with 400; what is put under /dav by WebDAV or under /s3 as to a
bucket is hashed and counted alike. `GET /figures` answers `{"count", "bytes", "first", "last", "cpu", "sha256",
"seen"}` and begins anew: monotonic seconds of the first and last upload, CPU seconds of this process since the last
call, the digest of each picture by its filename, and by its digest when its first byte and its last came (monotonic),
when its first came (wall clock), and the capture time that it names. `GET /count` answers the count so far. Any other
POST is answered with 200.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import socket
import ssl
import threading
import time
from contextlib import suppress

import bucket
import dav
from forms import Upload, picture_in

LARGEST = 50_000_000
ANSWER = b'{"success": true, "data": {"image_id": "1", "batch_id": "1", "storage_key": "k"}}'
CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
BAD = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
BOUNDARY = re.compile(rb'\r\ncontent-type: *multipart/form-data; *boundary="?([^"\r\n]+)', re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Figures:
    """What came in, across all connections."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.cpu = 0.0
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.count = self.bytes = 0
        self.first = self.last = 0.0
        self.sha256: dict[str, str] = {}
        self.seen: dict[str, tuple[float, float, float, str]] = {}

    def add(self, upload: Upload, began: float) -> None:
        """Enter one upload."""
        with self.lock:
            self.count += 1
            self.bytes += upload.size
            self.first = self.first or began
            self.last = time.monotonic()
            self.sha256[upload.filename] = upload.sha256
            walled = time.time() - (self.last - began)
            self.seen.setdefault(upload.sha256, (began, self.last, walled, upload.taken))

    def tell(self) -> bytes:
        """Return the figures as JSON, and begin anew."""
        with self.lock:
            before, self.cpu = self.cpu, time.process_time()
            said = {
                "count": self.count,
                "bytes": self.bytes,
                "first": self.first,
                "last": self.last,
                "cpu": self.cpu - before,
                "sha256": self.sha256,
                "seen": self.seen,
            }
            self.clear()
        return json.dumps(said).encode()


class Shops:
    """The other doors at which pictures are taken."""

    def __init__(self) -> None:
        self._bucket, self._shelf = bucket.Bucket(), dav.Shelf()

    def at(self, target: str) -> bucket.Bucket | dav.Shelf:
        """Return whose target this is."""
        return self._bucket if target.startswith(bucket.ROOT) else self._shelf


class Conversation:
    """One connection: its requests are answered until it closes."""

    def __init__(self, connection: socket.socket, figures: Figures, shops: Shops, delay_s: float) -> None:
        self._connection = connection
        self._figures = figures
        self._shops = shops
        self._delay_s = delay_s
        self._buffer = bytearray(1 << 20)

    def run(self, context: ssl.SSLContext | None) -> None:
        """Answer requests; a peer that is killed goes without a word."""
        with suppress(OSError):
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self._connection = context.wrap_socket(self._connection, server_side=True)
            self._answer_all()
        self._connection.close()

    def _answer_all(self) -> None:
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                data = self._connection.recv(65536)
                if not data:
                    return
                pending += data
            began = time.monotonic()
            head, _, rest = pending.partition(b"\r\n\r\n")
            if head.startswith((b"GET /figures ", b"GET /count ")):
                pending = rest
                said = self._figures.tell() if head.startswith(b"GET /figures ") else b"%d" % self._figures.count
                self._connection.sendall(OK % (len(said), said))
                continue
            body = self._body(head, rest)
            if body is None or not self._take(head, body, began):
                return
            pending = b""

    def _body(self, head: bytes, rest: bytes) -> memoryview | None:
        found = LENGTH.search(head)
        length = int(found[1]) if found else 0
        if length > LARGEST:
            return None
        if length > len(self._buffer):
            self._buffer = bytearray(length)
        if b"100-continue" in head.lower():
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = memoryview(self._buffer)[:length]
        body[: len(rest)] = rest
        at = len(rest)
        while at < length:
            got = self._connection.recv_into(body[at:])
            if not got:
                return None
            at += got
        return body

    def _take(self, head: bytes, body: memoryview, began: float) -> bool:
        method, target = (word.decode() for word in head.split(b" ", 2)[:2])
        if method == "POST" and not target.endswith("/upload"):
            self._connection.sendall(OK % (2, b"{}"))
            return True
        if method not in {"POST", "PUT"}:
            time.sleep(self._delay_s)
            self._connection.sendall(self._shops.at(target).answer(method, target, head))
            return True
        try:
            upload = self._upload(head, body, target if method == "PUT" else "")
        except ValueError as error:
            said = str(error).encode()
            self._connection.sendall(BAD % (len(said), said))
            return False
        if self._delay_s:
            time.sleep(self._delay_s)
        self._figures.add(upload, began)
        created = CREATED % (len(ANSWER), ANSWER)
        self._connection.sendall(self._shops.at(target).put(target, upload.size, head) if method == "PUT" else created)
        return True

    def _upload(self, head: bytes, body: memoryview, put: str) -> Upload:
        if put:
            return Upload(put.partition("?")[0].rpartition("/")[2], hashlib.sha256(body).hexdigest(), len(body))
        boundary = BOUNDARY.search(head)
        return picture_in(body, boundary[1] if boundary else b"")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    options = parser.parse_args()
    context: ssl.SSLContext | None = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
    figures, shops = Figures(), Shops()
    with socket.create_server(("127.0.0.1", options.port), backlog=128) as server:
        scheme = "http" if context is None else "https"
        print(f"sink ready at {scheme}://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            conversation = Conversation(connection, figures, shops, options.delay)
            threading.Thread(target=conversation.run, args=(context,), daemon=True).start()


if __name__ == "__main__":
    main()

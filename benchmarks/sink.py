"""An upload sink that does an upload's honest work and no more: takes the form apart, and hashes the picture.

    python benchmarks/sink.py PORT [--delay SECONDS]

A form that is not as the contract says is answered with 400. `GET /figures` answers `{"count", "bytes", "first",
"last", "cpu", "sha256"}` and begins anew: monotonic seconds of the first and last upload, CPU seconds of this process
since the last call, and the digest of each picture by its filename.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
import time

LARGEST = 50_000_000
ANSWER = b'{"success": true, "data": {"image_id": "1", "batch_id": "1", "storage_key": "k"}}'
CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
BAD = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
BOUNDARY = re.compile(rb'\r\ncontent-type: *multipart/form-data; *boundary="?([^"\r\n]+)', re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NAME = re.compile(rb'\bname="([^"]*)"')
FILENAME = re.compile(rb'\bfilename="([^"]*)"')
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


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

    def add(self, filename: str, sha256: str, size: int, began: float) -> None:
        """Enter one upload."""
        with self.lock:
            self.count += 1
            self.bytes += size
            self.first = self.first or began
            self.last = time.monotonic()
            self.sha256[filename] = sha256

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
            }
            self.clear()
        return json.dumps(said).encode()


def picture_in(body: memoryview, boundary: bytes) -> tuple[str, str]:
    """Return filename and sha256 of the picture of a form; raises `ValueError` where the form is not sound."""
    delimiter = b"--" + boundary
    whole = body.obj
    assert isinstance(whole, bytearray)
    found: tuple[str, str] | None = None
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
            filename = FILENAME.search(head)
            if filename is None or not bytes(content[:8]).startswith(MAGIC):
                raise ValueError("a part that is no picture")
            found = filename[1].decode(), hashlib.sha256(content).hexdigest()
        elif name[1] == b"metadata":
            json.loads(bytes(content))
        at = behind + 2
    if bytes(whole[at:end]).rstrip(b"\r\n") != delimiter + b"--" or found is None:
        raise ValueError("a form without its end or its picture")
    return found


class Conversation:
    """One connection: its requests are answered until it closes."""

    def __init__(self, connection: socket.socket, figures: Figures, delay_s: float) -> None:
        self._connection = connection
        self._figures = figures
        self._delay_s = delay_s
        self._buffer = bytearray(1 << 20)

    def run(self) -> None:
        """Answer requests."""
        with self._connection as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    data = connection.recv(65536)
                    if not data:
                        return
                    pending += data
                began = time.monotonic()
                head, _, rest = pending.partition(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    pending = rest
                    said = self._figures.tell()
                    connection.sendall(OK % (len(said), said))
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
        boundary = BOUNDARY.search(head)
        try:
            filename, sha256 = picture_in(body, boundary[1] if boundary else b"")
        except ValueError as error:
            said = str(error).encode()
            self._connection.sendall(BAD % (len(said), said))
            return False
        if self._delay_s:
            time.sleep(self._delay_s)
        self._figures.add(filename, sha256, len(body), began)
        self._connection.sendall(CREATED % (len(ANSWER), ANSWER))
        return True


def main() -> None:
    """Serve until killed."""
    delay_s = float(sys.argv[sys.argv.index("--delay") + 1]) if "--delay" in sys.argv else 0.0
    figures = Figures()
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as server:
        print(f"sink ready at http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            conversation = Conversation(connection, figures, delay_s)
            threading.Thread(target=conversation.run, daemon=True).start()


if __name__ == "__main__":
    main()

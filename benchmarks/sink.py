"""An upload sink that is faster than what it measures: reads a request's body and answers 201, keeping nothing.

    python benchmarks/sink.py PORT [--delay SECONDS]

`GET /figures` answers `{"count", "bytes", "first", "last"}` (monotonic seconds of the first and last upload) and
begins anew.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

ANSWER = b'{"success": true, "data": {"image_id": "1", "batch_id": "1", "storage_key": "k"}}'
CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Figures:
    """Counts uploads across all connections."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.count = self.bytes = 0
        self.first = self.last = 0.0

    def add(self, size: int, began: float) -> None:
        """Enter one upload."""
        with self.lock:
            self.count += 1
            self.bytes += size
            self.first = self.first or began
            self.last = time.monotonic()


def serve(connection: socket.socket, figures: Figures, delay_s: float) -> None:
    """Answer the requests of one connection until it closes."""
    buffer = bytearray(1 << 20)
    pending = b""
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
                answer(connection, figures)
                continue
            length = content_length(head)
            if b"100-continue" in head.lower():
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            left = length - len(rest)
            while left > 0:
                got = connection.recv_into(buffer, min(left, len(buffer)))
                if not got:
                    return
                left -= got
            pending = rest[length:]
            if delay_s:
                time.sleep(delay_s)
            figures.add(length, began)
            connection.sendall(CREATED % (len(ANSWER), ANSWER))


def answer(connection: socket.socket, figures: Figures) -> None:
    """Tell the figures, and begin anew."""
    with figures.lock:
        said = {"count": figures.count, "bytes": figures.bytes, "first": figures.first, "last": figures.last}
        figures.clear()
    body = json.dumps(said).encode()
    connection.sendall(OK % (len(body), body))


def content_length(head: bytes) -> int:
    """Return the length that a request announces."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def main() -> None:
    """Serve until killed."""
    delay_s = float(sys.argv[sys.argv.index("--delay") + 1]) if "--delay" in sys.argv else 0.0
    figures = Figures()
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as server:
        print(f"sink ready at http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection, figures, delay_s), daemon=True).start()


if __name__ == "__main__":
    main()

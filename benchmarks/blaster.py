"""How much the sink takes from somebody who does nothing but send: one request, made beforehand, again and again.

python benchmarks/blaster.py URL SIZE CONNECTIONS SECONDS [CA]
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

TAIL = b"\r\n--bench--\r\n"


def request(size: int) -> bytes:
    """Return a whole upload of something that looks like a picture."""
    head = b'--bench\r\nContent-Disposition: form-data; name="image"; filename="b.jpg"\r\n\r\n'
    body = head + b"\xff\xd8\xff".ljust(size, b".") + TAIL
    kind = b"Content-Type: multipart/form-data; boundary=bench\r\n"
    return b"POST /upload HTTP/1.1\r\nHost: sink\r\n%sContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)


def blast(connection: socket.socket, data: bytes, until: float, sent: list[int]) -> None:
    """Send until a moment, each when the last was answered."""
    count = 0
    with connection:
        while time.monotonic() < until:
            connection.sendall(data)
            connection.recv(4096)
            count += 1
    sent.append(count)


def main(url: str, size: int, connections: int, seconds: float, ca: str | None) -> None:
    """Print uploads a second."""
    address = urlsplit(url)
    data, sent = request(size), list[int]()
    context = ssl.create_default_context(cafile=ca) if ca else None
    senders = []
    until = time.monotonic() + seconds
    for _ in range(connections):
        connection = socket.create_connection((address.hostname or "", address.port or 0))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname=address.hostname)
        senders.append(threading.Thread(target=blast, args=(connection, data, until, sent)))
        senders[-1].start()
    for sender in senders:
        sender.join()
    print(sum(sent) / seconds)


if __name__ == "__main__":
    authority = sys.argv[5] if len(sys.argv) > 5 else None  # noqa: PLR2004 (the fifth)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), authority)

"""Real servers as people run them, on loopback: each takes a picture in its own way, and answers in its own."""

from __future__ import annotations

import base64
import email
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

ROBOFLOW = {
    "image": {"width": 400, "height": 200},
    "predictions": [{"x": 200, "y": 100, "width": 100, "height": 100, "class": "dent", "confidence": 0.9}],
}
DEEPSTACK = {
    "success": True,
    "predictions": [{"label": "dent", "confidence": 0.9, "x_min": 150, "y_min": 50, "x_max": 250, "y_max": 150}],
}
OBJECTS = [{"label": "dent", "x_min": 0.375, "y_min": 0.25, "x_max": 0.625, "y_max": 0.75}]
GENERIC = {"data": {"found": [{"kind": "dent", "p": 0.9, "rect": [37.5, 25, 25, 50]}]}}


class InferenceServer(ThreadingHTTPServer):
    """Keeps what it was sent: paths, headers, and the pictures as they came out of the bodies."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes, dict[str, Any]]] = []
        self.stuck = threading.Event()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: InferenceServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        picture, members = self._taken(path, headers.get("content-type", ""), body)
        self.server.requests.append((self.path, headers, picture, members))
        getattr(self, "_" + path.strip("/").replace("/", "_").replace("-", "_"))()

    def _taken(self, path: str, kind: str, body: bytes) -> tuple[bytes, dict[str, Any]]:
        if kind.startswith("multipart/"):
            message = email.message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
            parts = {
                str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
                for part in message.walk()
                if not part.is_multipart()
            }
            return bytes(parts.pop("image")), parts  # bytes
        if kind == "application/json":
            said = json.loads(body)
            picture = said.pop("images")[0] if "images" in said else said.pop("picture")
            return base64.b64decode(picture, validate=True), said
        if path == "/project/3":
            return base64.b64decode(body, validate=True), {}
        return body, {}

    def _say(self, said: object, status: int = 200, **headers: str) -> None:
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _project_3(self) -> None:
        self._say(ROBOFLOW)

    def _v1_vision_detection(self) -> None:
        self._say(DEEPSTACK)

    def _api_generate(self) -> None:
        self._say({"model": "qwen", "response": json.dumps({"objects": OBJECTS}), "done": True})

    def _generic(self) -> None:
        self._say(GENERIC)

    def _redirect(self) -> None:
        self._say({}, 302, location="/generic")

    def _busy(self) -> None:
        self._say({"detail": "model is loading"}, 503)

    def _refuses(self) -> None:
        self._say({"detail": "cannot identify image"}, 400)

    def _hangs_up(self) -> None:
        self._say(GENERIC)
        self.close_connection = True

    def _rubbish(self) -> None:
        self._say(b"<html>login</html>")

    def _huge(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(10**8))
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(bytes(10**6))
        except OSError:
            self.close_connection = True

    def _drips(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        try:
            while not self.server.stuck.wait(0.02):
                self.wfile.write(b" ")
        except OSError:
            pass
        self.close_connection = True

    def _sticks(self) -> None:
        self.server.stuck.wait(30)
        self.close_connection = True

    def _hangs(self) -> None:
        self.server.stuck.wait(0.6)  # longer than anybody waits here
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def inference() -> Iterator[InferenceServer]:
    """Run a server for the length of a block."""
    server = InferenceServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.stuck.set()
        server.shutdown()
        server.server_close()
        thread.join()

"""What somebody writes in an hour: requests and watchdog. A contestant, and no part of the agent.

    python plain_script.py URL FOLDER [--watch] [--ca FILE]

It sends what lies in the folder, one after another, then, with --watch, what comes.
"""

from __future__ import annotations

import argparse
import queue
from pathlib import Path

import requests
from watchdog.events import FileClosedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer


class Arrivals(FileSystemEventHandler):
    """Puts what was written or moved here into a queue."""

    def __init__(self) -> None:
        self.paths: queue.Queue[str] = queue.Queue()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take a path in."""
        if isinstance(event, FileClosedEvent):
            self.paths.put(str(event.src_path))
        elif isinstance(event, FileMovedEvent):
            self.paths.put(str(event.dest_path))


def send(session: requests.Session, url: str, path: Path) -> None:
    """Send one picture."""
    with path.open("rb") as stream:
        session.post(url, files={"image": (path.name, stream, "image/jpeg")}, timeout=30).raise_for_status()


def main() -> None:
    """Send."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--ca")
    options = parser.parse_args()
    session = requests.Session()
    session.headers["X-Device-Key"] = "adk_0123456789abcdef"
    if options.ca:
        session.verify = options.ca
    arrivals = Arrivals()
    if options.watch:
        observer = Observer()
        observer.schedule(arrivals, str(options.folder))
        observer.start()
    for path in sorted(options.folder.glob("*.jpg")):
        send(session, options.url, path)
    print("watching", flush=True)
    while options.watch:
        path = Path(arrivals.paths.get())
        if path.suffix == ".jpg":
            send(session, options.url, path)


if __name__ == "__main__":
    main()

"""The agent's own HTTP client alone, one after another: what an upload costs without queue and folder.

    python benchmarks/agent_client.py URL FOLDER MANIFEST [CA]

The manifest has the digest of each file by its name, as the spool would.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from agent.clock import SystemClock
from agent.frame import Item
from agent.media import JPEG
from agent.platform.client import Client, Endpoint, tls_context
from agent.platform.transport import Transport

KEY = "adk_0123456789abcdef"
METADATA = '{"source":"bench","timestamp":"2026-03-14T08:15:02.417Z"}'


def main(url: str, folder: Path, manifest: Path, ca: Path | None) -> None:
    """Send a folder."""
    digests: dict[str, str] = json.loads(manifest.read_text())
    now = datetime.now(UTC)
    transport = Transport(tls_context(url, ca))
    with Client(Endpoint(url, 5.0, 30.0), key=lambda: KEY, transport=transport, clock=SystemClock()) as client:
        for number, path in enumerate(sorted(folder.iterdir())):
            size, digest = path.stat().st_size, digests[path.name]
            client.upload(Item(number, "bench", path.name, str(path), JPEG, size, digest, METADATA, now))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)  # noqa: PLR2004 (the fourth)

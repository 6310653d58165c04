"""What the page shows, gathered in one look: the status, and what only the page asks of the spool."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.clock import SystemClock
from agent.device import DeviceMeter
from agent.errors import Wait
from agent.outline import outline_of
from agent.previews import Preview, previews_folder, read_preview
from agent.spool.reader import Reader
from agent.spool.records import read_path
from agent.spool.schema import INDEX
from agent.spool.selection import Selection, rows
from agent.status import existing, look

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agent.config.configuration import Configuration
    from agent.standing import Status

DELIVERIES = 20
QUARANTINED = 50
LARGEST = 20_000_000
# Within the newest by number, as receipts have no index by their time.
LATEST = """
SELECT item_id, source, filename, size, result, image_id, captured_at, delivered_at FROM
(SELECT * FROM receipt ORDER BY item_id DESC LIMIT 5000) ORDER BY delivered_at DESC LIMIT ?
"""
REASONS = """
SELECT reason, count(*) AS items, max(captured_at) AS last_at FROM item WHERE state = 'quarantined'
GROUP BY reason ORDER BY items DESC LIMIT 20
"""
NEWEST = """
SELECT path, media_type, size, captured_at, metadata FROM (SELECT * FROM item ORDER BY id DESC LIMIT 5000)
WHERE source = ? LIMIT 1
"""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One look; `boxes` are those of each source's last picture, with when it was captured."""

    status: Status
    wall: datetime
    deliveries: tuple[Row, ...] = ()
    quarantined: tuple[Row, ...] = ()
    reasons: tuple[Row, ...] = ()
    previews: Mapping[str, Preview]


class Window:
    """Looks at one agent again and again."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._outline = outline_of(configuration)
        self._clock = SystemClock()
        self._meter = DeviceMeter(existing(configuration.spool_dir))
        self._previews = previews_folder(configuration.state_file)

    def status(self) -> Status:
        """Look as `status` does."""
        return look(self._outline, clock=self._clock, meter=self._meter)

    def see(self) -> Sight:
        """Look at everything; raises `AgentError` where that cannot be."""
        status = self.status()
        previews = {one.name: found for one in status.inputs if (found := self.preview(one.name)) is not None}
        if not (self.configuration.spool_dir / INDEX).exists():
            return Sight(status=status, wall=self._clock.wall(), previews=previews)
        with closing(Reader(self.configuration.spool_dir)) as reader:
            told = (status.state or {}).get("deliveries")
            known = isinstance(told, list) and len(told) >= DELIVERIES
            latest = told if known else [dict(row) for row in reader.all(LATEST, DELIVERIES)]
            aside = rows(reader, Selection(state="quarantined"), limit=QUARANTINED, newest=True)
            return Sight(
                status=status,
                wall=self._clock.wall(),
                deliveries=tuple(latest or ()),
                quarantined=tuple(map(dict, aside)),
                reasons=tuple(map(dict, reader.all(REASONS))),
                previews=previews,
            )

    def preview(self, source: str) -> Preview | None:
        """Return a source's last picture: what the daemon keeps of it, else the newest that is in the queue."""
        return read_preview(self._previews, source) or self._waiting(source)

    def _waiting(self, source: str) -> Preview | None:
        directory = self.configuration.spool_dir
        if not (directory / INDEX).exists():
            return None
        try:
            with closing(Reader(directory)) as reader:
                row = reader.one(NEWEST, source)
            if row is None or row["size"] > LARGEST:
                return None
            data = read_path(row["path"], directory).read_bytes()
        except (OSError, Wait):
            return None
        return Preview(row["media_type"], row["captured_at"], row["metadata"], data)


def boxes_of(preview: Preview) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Return the names and boxes of a picture: left, top, width and height, in fractions; nothing that is none."""
    try:
        annotations = json.loads(preview.metadata).get("annotations", [])
        found = [(str(one["class_value"]), tuple(map(float, one["geometry"]))) for one in annotations]
    except (ValueError, AttributeError, KeyError, TypeError):
        return []
    return [(name, (x - w / 2, y - h / 2, w, h)) for name, (x, y, w, h) in (one for one in found if len(one[1]) == 4)]  # noqa: PLR2004

"""How the files of the spool are named: a picture as it will be uploaded, and what lies beside it after that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.clock import utc_text
from agent.media import EXTENSIONS

if TYPE_CHECKING:
    from pathlib import Path

SMALLER = ".small"


def upload_filename(source: str, captured_at: datetime, sequence: int, media_type: str) -> str:
    """Build `<source>-<UTC to ms>-<sequence>.<ext>`: the one place where the platform keeps source and time."""
    stamp = utc_text(captured_at).replace("-", "").replace(":", "")
    return f"{source}-{stamp}-{sequence}.{EXTENSIONS[media_type]}"


def parse_filename(name: str) -> tuple[str, datetime, int] | None:
    """Read source, time and sequence back from an upload filename or a name on the shelf; None where it is none."""
    stem, _, _ = name.rpartition(".")
    parts = stem.removesuffix(SMALLER).rsplit("-", 2)
    try:
        source, stamp, sequence = parts
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        return (source, moment, int(sequence)) if source else None
    except ValueError:
        return None


def sidecar_path(picture: Path, suffix: str) -> Path:
    """Return where the link to a picture's sidecar lies: its name begins with the whole name of the picture."""
    return picture.with_name(f"{picture.name}.sidecar{suffix}")


def smaller_path(picture: Path) -> Path:
    """Return where the smaller JPEG of a picture lies."""
    return picture.with_name(f"{picture.stem}{SMALLER}.jpg")

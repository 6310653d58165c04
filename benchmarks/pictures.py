"""The pictures that all contestants send: distinct JPEGs of one size, and who brings them into a folder.

    python benchmarks/pictures.py FROM TO PER_SECOND

copies the files of one folder into another, each written beside its place and renamed into it, so many a second (0: as
fast as it goes), and prints when each was in place: `{name: monotonic seconds}`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

import cv2
import numpy as np

LONGEST_COMMENT = 65_000
SIDE = 16


def encoded_below(size: int) -> bytes:
    """Return a real JPEG of noise that is a little smaller than asked for."""
    side = SIDE
    best = b""
    while True:
        pixels = np.random.default_rng(7).integers(0, 255, (side, side * 4 // 3, 3), dtype=np.uint8)
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        if len(data) > size - 100:
            return best
        best, side = data, side + max(SIDE, side // 8)


def make_pictures(folder: Path, count: int, size: int) -> dict[str, str]:
    """Write so many JPEGs of exactly this size, numbered in a comment segment; return their digests by name."""
    folder.mkdir(parents=True)
    picture = encoded_below(size)
    digests = {}
    for number in range(count):
        name = f"p{number:06d}.jpg"
        data = picture[:2] + _comments(f"{number:08d}".encode(), size - len(picture)) + picture[2:]
        (folder / name).write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()
    os.sync()
    return digests


def _comments(note: bytes, size: int) -> bytes:
    """Return comment segments of so many bytes in all, which begin with a note."""
    made = []
    while size:
        # What remains must be a whole segment again: two bytes of marker, two of length, and the note.
        taken = size if size <= LONGEST_COMMENT else min(LONGEST_COMMENT, size - 16)
        text = note.ljust(taken - 4, b".")[: taken - 4]
        made.append(b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text)
        size -= taken
    return b"".join(made)


def bring(source: Path, target: Path, per_second: float) -> dict[str, float]:
    """Copy a folder's files into another one, and return when each was in place."""
    done = {}
    began = time.monotonic()
    for number, path in enumerate(sorted(source.iterdir())):
        if per_second:
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        part = target / f".{path.name}.part"
        shutil.copyfile(path, part)
        done[path.name] = time.monotonic()  # before: whoever watches may be quicker than a look at the clock behind it
        part.rename(target / path.name)
    return done


if __name__ == "__main__":
    print(json.dumps(bring(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))))

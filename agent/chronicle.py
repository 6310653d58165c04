"""The last six hours, a sample a minute: how full the queue was, what had come and gone, and whether the link was up.

A ring of fixed size beside the state file, written in place: 25 kB, and 72 bytes a minute. Moments are on the boot
clock, so that a wall clock that jumps bends no chart; a file of an earlier boot counts for nothing.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import TYPE_CHECKING, Any

from agent.clock import boot_id

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock

EVERY_S = 60.0
SLOTS = 360
MAGIC = b"acusight chronicle 1"
HEADER = struct.Struct("<20s44s")
RECORD = struct.Struct("<d8q")


class Trouble(IntFlag):
    """What happened within a sample's minute."""

    LINK_PAUSED = 1
    PAUSED_BY_HAND = 2
    RESTING = 4
    INTAKE_PAUSED = 8


NONE = Trouble(0)
ALL = 15


@dataclass(frozen=True, slots=True)
class Sample:
    """One minute: what is held at its end, and what had come and gone by then, in all."""

    boot_s: float
    waiting: int
    held_bytes: int
    captured: int
    captured_bytes: int
    delivered: int
    delivered_bytes: int
    written_bytes: int = 0
    trouble: Trouble = NONE


class Chronicle:
    """Writes a sample a minute; a disk that refuses is no reason to stop.

    Troubles are noted whenever they are seen, so that a short one is in the sample of its minute.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._due = float("-inf")
        self._seen = NONE

    def note(self, trouble: Trouble) -> None:
        """Remember a trouble until the next sample."""
        self._seen |= trouble

    @property
    def due(self) -> bool:
        """Tell whether it is time for a sample."""
        return self._clock.boot() >= self._due

    def write(self, sample: Sample) -> None:
        """Enter a sample, with the troubles seen since the last one."""
        self._due = self._clock.boot() + EVERY_S
        trouble, self._seen = sample.trouble | self._seen, NONE
        slot = int(sample.boot_s // EVERY_S) % SLOTS
        with suppress(OSError, struct.error):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _begin(descriptor)
                os.pwrite(descriptor, _packed(sample, trouble), HEADER.size + slot * RECORD.size)
            finally:
                os.close(descriptor)


def read_chronicle(path: Path, now: float) -> list[Sample]:
    """Return the samples of the last six hours, oldest first; `now` is on the boot clock."""
    try:
        with path.open("rb") as file:
            data = file.read(HEADER.size + SLOTS * RECORD.size)
    except OSError:
        return []
    if data[: HEADER.size] != _header():
        return []
    body = data[HEADER.size :]
    whole = body[: len(body) - len(body) % RECORD.size]
    samples = [_unpacked(fields) for fields in RECORD.iter_unpack(whole)]
    known = [sample for sample in samples if now - SLOTS * EVERY_S < sample.boot_s <= now and sample.boot_s > 0]
    return sorted(known, key=lambda sample: sample.boot_s)


def chronicle_path(state_file: Path) -> Path:
    """Return where the chronicle of an agent lies: beside its state file."""
    return state_file.with_suffix(".chronicle")


def _header() -> bytes:
    return HEADER.pack(MAGIC, boot_id().encode())


def _packed(sample: Sample, trouble: Trouble) -> bytes:
    figures = (sample.waiting, sample.held_bytes, sample.captured, sample.captured_bytes)
    gone = (sample.delivered, sample.delivered_bytes, sample.written_bytes)
    return RECORD.pack(sample.boot_s, *figures, *gone, int(trouble))


def _unpacked(fields: tuple[Any, ...]) -> Sample:
    *figures, trouble = fields
    return replace(Sample(*figures), trouble=Trouble(trouble & ALL))


def _begin(descriptor: int) -> None:
    """Start anew where the file is of an earlier boot, or none."""
    if os.pread(descriptor, HEADER.size, 0) != _header():
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _header(), 0)

"""A machine on which nothing of the agent is installed yet: the platform runs from an environment out of its way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from appliance import KEY, PLATFORM
from boot import row
from debian_root import AGENT
from machine import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from appliance import Appliance

T = TypeVar("T")

BESIDE = "/opt/platform"
"""Where the platform runs."""


def clear(root: Path) -> None:
    """Take the agent out of the place where it is to be installed."""
    (root / AGENT.lstrip("/")).rename(root / BESIDE.lstrip("/"))


def add_platform(box: Appliance) -> None:
    """Give a machine its platform; it is not started."""
    unit = PLATFORM.replace(f"{AGENT}/bin/acusight-agent", f"{BESIDE}/bin/python3 -m agent")
    box.write("/etc/systemd/system/platform.service", unit, 0o644)
    box.write("/root/platform_key", KEY)


def in_order(promises: Sequence[tuple[str, Callable[[T], str]]], subject: T) -> int:
    """Try promises, each of which builds on those before; return 1 where one does not hold, and leave out the rest."""
    for name, promise in promises:
        began = time.monotonic()
        try:
            said = promise(subject)
            row(name, time.monotonic() - began, "yes", said)
        except Broken as error:
            row(name, time.monotonic() - began, "NO", str(error))
            return 1
    return 0

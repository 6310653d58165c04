"""The machine that the agent runs on, as its kernel tells it: processor, memory, disk, temperature, throttling, uptime.

Parsing is pure, reading is thin, and whatever a kernel does not tell is None: boards differ, and a figure that is
missing is no reason to say nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What the bits of `get_throttled` on a Raspberry Pi mean; 16 bits higher the same, at some time since the boot.
THROTTLED = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
SINCE_BOOT = 16
GET_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
VOLTAGE_MONITOR = "rpi_volt"
PROCESSOR_SENSORS = frozenset({"coretemp", "k10temp", "cpu_thermal"})
PROCESSOR_ZONES = ("cpu", "soc", "x86_pkg_temp")
FIXED_ZONES = frozenset({"pmic-die"})  # says 100 degrees on a Jetson, always
PLAUSIBLE_C = range(-40, 151)  # sensors without power say 0 K, or hundreds
LARGEST = 65_536


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """How long the processors have worked and how long they have been there, in the kernel's ticks since the boot."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One look at the machine; None for what cannot be known.

    `throttling` says what slows the processor down now, `throttled` what has since the boot. The disk is that of the
    spool, its share counted as `df` does.
    """

    cpu_percent: float | None = None
    memory_percent: float | None = None
    disk_percent: float | None = None
    temperature_c: float | None = None
    uptime_s: float | None = None
    throttling: tuple[str, ...] = ()
    throttled: tuple[str, ...] = ()


def parse_cpu(text: str) -> CpuTimes | None:
    """Read the first line of `/proc/stat`; waiting for a disk is idle time, and a guest's time is in `user` already."""
    fields = text.partition("\n")[0].split()
    if fields[:1] != ["cpu"] or len(fields) < len(("cpu", "user", "nice", "system", "idle")):
        return None
    try:
        ticks = [int(field) for field in fields[1:9]]
    except ValueError:
        return None
    idle = sum(ticks[3:5])
    return CpuTimes(busy=sum(ticks) - idle, total=sum(ticks))


def cpu_percent(before: CpuTimes | None, now: CpuTimes | None) -> float | None:
    """Return how busy the processors were between two looks; None without two."""
    if before is None or now is None or now.total <= before.total:
        return None
    return _percent(now.busy - before.busy, now.total - before.total)


def parse_memory(text: str) -> float | None:
    """Read `/proc/meminfo`: the share that a new program could not have."""
    sizes = dict(_sizes(text.splitlines()))
    total, available = sizes.get("MemTotal", 0), sizes.get("MemAvailable")
    return _percent(total - available, total) if total and available is not None else None


def parse_uptime(text: str) -> float | None:
    """Read `/proc/uptime`: the seconds since the boot."""
    try:
        return float(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return None


def parse_temperature(text: str) -> float | None:
    """Read a sensor in thousandths of a degree; None for what no sensor can mean."""
    try:
        degrees = int(text) / 1000
    except ValueError:
        return None
    return round(degrees, 1) if PLAUSIBLE_C.start <= degrees < PLAUSIBLE_C.stop else None


def hottest(zones: Iterable[tuple[str, float]]) -> float | None:
    """Choose among the zones' names and degrees: the hottest of the processor's, else the hottest of all."""
    known = [(name.lower(), degrees) for name, degrees in zones if name.lower() not in FIXED_ZONES]
    processor = [degrees for name, degrees in known if name.startswith(PROCESSOR_ZONES)]
    return max(processor or [degrees for _, degrees in known], default=None)


def parse_throttled(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read a Raspberry Pi's `get_throttled`, hexadecimal: what holds now, and what has held since the boot."""
    try:
        bits = int(text.strip().removeprefix("throttled="), 16)
    except ValueError:
        return (), ()
    now = tuple(name for bit, name in THROTTLED.items() if bits >> bit & 1)
    return now, tuple(name for bit, name in THROTTLED.items() if bits >> (bit + SINCE_BOOT) & 1)


class DeviceMeter:
    """Looks at the machine; remembers the processor's times from one look to the next.

    The first look is one more than the first answer: until there are two, `cpu_percent` is None.
    """

    def __init__(self, disk: Path, *, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        self._disk = disk
        self._proc = proc
        self._sys = sys
        self._before = parse_cpu(_read(proc / "stat"))

    def look(self) -> Device:
        """Return how the machine is."""
        before, self._before = self._before, parse_cpu(_read(self._proc / "stat"))
        throttling, throttled = self._throttling()
        return Device(
            cpu_percent=cpu_percent(before, self._before),
            memory_percent=parse_memory(_read(self._proc / "meminfo")),
            disk_percent=_disk_percent(self._disk),
            temperature_c=hottest(list(self._zones()) or list(self._sensors())),
            uptime_s=parse_uptime(_read(self._proc / "uptime")),
            throttling=throttling,
            throttled=throttled,
        )

    def _throttling(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if text := _read(self._sys / GET_THROTTLED):
            return parse_throttled(text)
        for monitor in _listed(self._sys / "class/hwmon"):  # the firmware's file is gone from newer kernels
            if _read(monitor / "name").strip() == VOLTAGE_MONITOR and _read(monitor / "in0_lcrit_alarm").strip() == "1":
                return ("under-voltage",), ("under-voltage",)
        return (), ()

    def _zones(self) -> Iterator[tuple[str, float]]:
        for zone in _listed(self._sys / "class/thermal"):
            if zone.name.startswith("thermal_zone"):
                degrees = parse_temperature(_read(zone / "temp"))
                if degrees is not None:
                    yield _read(zone / "type").strip(), degrees

    def _sensors(self) -> Iterator[tuple[str, float]]:
        for sensor in _listed(self._sys / "class/hwmon"):
            name = _read(sensor / "name").strip()
            degrees = parse_temperature(_read(sensor / "temp1_input"))
            if name in PROCESSOR_SENSORS and degrees is not None:
                yield name, degrees


def _sizes(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdecimal():
            yield name, int(number[0])


def _disk_percent(folder: Path) -> float | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    used = found.f_blocks - found.f_bfree
    return _percent(used, used + found.f_bavail) if used + found.f_bavail else None


def _percent(part: int, whole: int) -> float:
    return round(100 * min(max(part / whole, 0.0), 1.0), 1)


def _read(path: Path) -> str:
    """Return what a file of the kernel says, nothing where it does not: some sensors refuse to be read."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST).decode("ascii", "replace")
    except OSError:
        return ""


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []

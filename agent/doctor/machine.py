"""The machine: its temperature, what slows it down, and its memory; all of it worth knowing, none of it a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.doctor.finding import Finding, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.device import Device

HOT_C = 80.0
"""Where a Raspberry Pi begins to slow down."""
MEMORY_PERCENT = 92.0


def findings(device: Device) -> Iterator[Finding]:
    """Judge one look at the machine."""
    yield _temperature(device)
    yield _throttling(device)
    yield _memory(device)


def _temperature(device: Device) -> Finding:
    if device.temperature_c is None:
        return skipped("temperature", "this machine has no sensor that can be read")
    what = f"{device.temperature_c:.0f} °C"
    if device.temperature_c >= HOT_C:
        why = "The processor slows down, and ages. Give it air, a heat sink or less to do."
        look = "grep . /sys/class/thermal/thermal_zone*/temp"
        return warning("temperature", what, why, look, "the-device-is-hot")
    return ok("temperature", what)


def _throttling(device: Device) -> Finding:
    if device.throttling:
        what = f"the processor is slowed down now: {', '.join(device.throttling)}"
    elif device.throttled:
        what = f"the processor was slowed down since the boot: {', '.join(device.throttled)}"
    else:
        return ok("throttling", "none that this machine tells of")
    why = "A weak power supply or cable (under-voltage) or heat; under-voltage also damages SD cards."
    return warning("throttling", what, why, "vcgencmd get_throttled", "the-processor-is-slowed-down")


def _memory(device: Device) -> Finding:
    if device.memory_percent is None:
        return skipped("memory", "this kernel does not tell")
    what = f"{device.memory_percent:.0f} % in use"
    if device.memory_percent >= MEMORY_PERCENT:
        why = "What needs memory next is ended by the kernel, maybe a camera's process."
        return warning("memory", what, why, "ps --sort=-rss -eo rss,comm | head", "memory-is-short")
    return ok("memory", what)

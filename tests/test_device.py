from __future__ import annotations

from pathlib import Path

import pytest

from agent.device import (
    CpuTimes,
    DeviceMeter,
    cpu_percent,
    hottest,
    parse_cpu,
    parse_memory,
    parse_temperature,
    parse_throttled,
    parse_uptime,
)

STAT = "cpu  100 5 45 800 40 3 7 0 60 0\ncpu0 1 2 3 4\nintr 1\n"


def put(root: Path, **files: str) -> None:
    """Write files of a kernel, slashes in their names as `__`."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")


def test_waiting_for_a_disk_is_no_work() -> None:
    """Idle and waiting time are not busy, and a guest's time is not counted twice."""
    assert parse_cpu(STAT) == CpuTimes(busy=160, total=1000)


@pytest.mark.parametrize("text", ["", "cpu", "cpu 1 2 3", "cpu a b c d", "intr 1 2 3 4 5"])
def test_a_strange_stat_is_unknown(text: str) -> None:
    """What is no line of processor times is none."""
    assert parse_cpu(text) is None


@pytest.mark.parametrize(
    ("before", "now", "percent"),
    [
        (CpuTimes(100, 1000), CpuTimes(150, 1200), 25.0),
        (CpuTimes(100, 1000), CpuTimes(90, 1200), 0.0),  # idle time may go back a little
        (CpuTimes(100, 1000), CpuTimes(100, 1000), None),
        (None, CpuTimes(100, 1000), None),
        (CpuTimes(100, 1000), None, None),
    ],
)
def test_the_processor_is_measured_between_two_looks(
    before: CpuTimes | None, now: CpuTimes | None, percent: float | None
) -> None:
    """Its share is that of the time since the last look; without one there is none."""
    assert cpu_percent(before, now) == percent


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("MemTotal: 4000 kB\nMemFree: 100 kB\nMemAvailable: 3000 kB\n", 25.0),
        ("MemTotal: 4000 kB\n", None),
        ("MemAvailable: 4000 kB\n", None),
        ("", None),
    ],
)
def test_memory_is_what_a_new_program_could_not_have(text: str, percent: float | None) -> None:
    """Caches count as free."""
    assert parse_memory(text) == percent


@pytest.mark.parametrize(("text", "seconds"), [("1313.02 1136.94\n", 1313.02), ("", None), ("x", None)])
def test_uptime(text: str, seconds: float | None) -> None:
    """The first number of the file is the time since the boot."""
    assert parse_uptime(text) == seconds


@pytest.mark.parametrize(
    ("text", "degrees"), [("48312\n", 48.3), ("-5000", -5.0), ("-273200", None), ("200000", None), ("", None)]
)
def test_a_sensor_without_power_is_not_believed(text: str, degrees: float | None) -> None:
    """Absolute zero and oven heat are no temperatures of a board that runs."""
    assert parse_temperature(text) == degrees


@pytest.mark.parametrize(
    ("zones", "degrees"),
    [
        ([("cpu-thermal", 51.0), ("gpu-thermal", 60.0), ("CPU-therm", 55.0)], 55.0),
        ([("acpitz", 27.8), ("iwlwifi_1", 44.0)], 44.0),
        ([("CPU-therm", 41.5), ("PMIC-Die", 100.0)], 41.5),
        ([("PMIC-Die", 100.0)], None),
        ([], None),
    ],
)
def test_the_processors_zone_counts(zones: list[tuple[str, float]], degrees: float | None) -> None:
    """Its hottest zone is the device's temperature; a zone that always says the same never is."""
    assert hottest(zones) == degrees


@pytest.mark.parametrize(
    ("text", "now", "since_boot"),
    [
        ("0\n", (), ()),
        ("50005\n", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("throttled=0x80002", ("frequency capped",), ("soft temperature limit",)),
        ("?", (), ()),
    ],
)
def test_throttling_now_and_before(text: str, now: tuple[str, ...], since_boot: tuple[str, ...]) -> None:
    """The low bits say what holds now, the high ones what has held since the boot."""
    assert parse_throttled(text) == (now, since_boot)


def test_a_whole_look_at_a_raspberry_pi(tmp_path: Path) -> None:
    """Every figure comes from its file of the kernel."""
    put(tmp_path, stat=STAT, meminfo="MemTotal: 4000 kB\nMemAvailable: 1000 kB\n", uptime="60.5 100.0\n")
    put(
        tmp_path,
        devices__platform__soc__soc__name="",
        class__thermal__thermal_zone0__type="cpu-thermal\n",
        class__thermal__thermal_zone0__temp="81234\n",
        class__thermal__cooling_device0__type="fan\n",
    )
    throttled = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
    throttled.parent.mkdir(parents=True)
    throttled.write_text("e0008\n", encoding="ascii")
    meter = DeviceMeter(tmp_path, proc=tmp_path, sys=tmp_path)
    put(tmp_path, stat="cpu 190 5 45 800 50 3 7 0\n")
    device = meter.look()
    assert (device.cpu_percent, device.memory_percent, device.uptime_s) == (90.0, 75.0, 60.5)
    assert device.temperature_c == 81.2
    assert device.throttling == ("soft temperature limit",)
    assert device.throttled == ("frequency capped", "throttled", "soft temperature limit")
    assert device.disk_percent is not None
    assert meter.look().cpu_percent is None


def test_a_newer_kernel_tells_of_the_voltage_alone(tmp_path: Path) -> None:
    """Without the firmware's file the voltage monitor says whether the supply is too weak."""
    put(tmp_path, class__hwmon__hwmon1__name="rpi_volt\n", class__hwmon__hwmon1__in0_lcrit_alarm="1\n")
    put(tmp_path, class__hwmon__hwmon2__name="coretemp\n", class__hwmon__hwmon2__temp1_input="61000\n")
    device = DeviceMeter(tmp_path, proc=tmp_path, sys=tmp_path).look()
    assert device.throttling == ("under-voltage",)
    assert device.temperature_c == 61.0


def test_a_kernel_that_tells_nothing(tmp_path: Path) -> None:
    """A figure that cannot be had is none, and no error; neither is a folder that is gone."""
    device = DeviceMeter(tmp_path / "gone", proc=tmp_path, sys=tmp_path).look()
    assert device == type(device)()


def test_this_machine_can_be_looked_at() -> None:
    """The real files have the shape that is expected of them."""
    device = DeviceMeter(Path("/")).look()
    assert device.memory_percent is not None
    assert device.uptime_s is not None
    assert device.disk_percent is not None

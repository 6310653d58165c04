from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent.device import Device, DeviceMeter
from agent.media import JPEG
from agent.report import Queue, Reporter, metrics
from agent.spool.budget import Limits
from agent.spool.records import Draft
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FakeClock


def test_what_is_not_known_is_left_out() -> None:
    """The platform gets numbers under its own names, none of them made up."""
    assert metrics(Device(), Queue(waiting=3)).keys() == {
        "queue_items",
        "queue_bytes",
        "delivered",
        "quarantined",
        "dropped",
    }
    told = metrics(
        Device(cpu_percent=1.0, memory_percent=2.0, disk_percent=3.0, temperature_c=4.0, uptime_s=5.4), Queue()
    )
    assert [told[name] for name in ("cpu_usage", "memory_usage", "disk_usage", "temperature", "uptime")] == [
        1,
        2,
        3,
        4,
        5,
    ]


@pytest.mark.parametrize(
    ("link", "status"),
    [({}, "healthy"), ({"cause": "offline", "reason": "down"}, "degraded"), ({"cause": "denied"}, "error")],
)
def test_a_report_is_the_verdict_and_the_queue(
    tmp_path: Path, clock: FakeClock, link: dict[str, Any], status: str
) -> None:
    """Its word is that of the status, its figures are the spool's; an age needs a clock that is right."""
    with Spool(tmp_path / "spool", Limits(max_bytes=10**9, min_free_bytes=0), clock=clock, owner=True) as spool:
        meter = DeviceMeter(spool.directory, proc=tmp_path, sys=tmp_path)
        reporter = Reporter(spool, meter, lambda: {"link": link}, max_bytes=10**9, max_items=1000, clock=clock)
        assert "queue_oldest_s" not in reporter().metrics
        captured_at = clock.wall() - timedelta(seconds=90)
        draft = Draft.of_bytes(b"x" * 100, source="cam", captured_at=captured_at, media_type=JPEG, metadata="{}")
        spool.inbox.commit([spool.inbox.stage(draft)])
        report = reporter()
        assert report.status == status
        assert report.metrics["queue_items"] == 1
        assert report.metrics["queue_bytes"] == 100
        assert report.metrics["queue_oldest_s"] == 90.0
        clock.is_trusted = False
        untrusted = reporter()
        assert "queue_oldest_s" not in untrusted.metrics
        assert untrusted.status != "healthy"

"""The figures for Prometheus, from one look at the agent: a collector that tells of nothing else."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from agent.logbook import BOUNDS_S
from agent.standing import since
from agent.verdict import RANK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

    from agent.inputs import Input
    from agent.standing import Status

P = "acusight_agent_"


class Exhibit(Collector):
    """Shows one look."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yield every family; what is not known has no sample, so that an alert does not take it for 0."""
        yield from self._agent()
        yield from self._queue()
        yield from self._ledger()
        yield from self._uploads()
        yield from self._sources()
        yield from self._device()

    def _agent(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("up", "Whether the agent runs", int(status.running))
        health = GaugeMetricFamily(f"{P}health", "The verdict: 1 for the one that holds", labels=["health"])
        for word in RANK:
            health.add_metric([word.value], int(word is status.judgement.health))
        yield health
        problems = GaugeMetricFamily(f"{P}problem", "What is wrong, by its key", labels=["key"])
        for key in sorted({one.key for one in status.judgement.problems}):
            problems.add_metric([key], 1)
        yield problems
        synchronised = (status.state or {}).get("clock_synchronised")
        yield _gauge("clock_synchronised", "Whether the clock can be believed", synchronised)

    def _queue(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("queue_items", "Pictures that wait", status.waiting)
        yield _gauge("queue_bytes", "Bytes in the spool, the quarantine's included", status.held_bytes)
        yield _gauge("queue_oldest_seconds", "How long the oldest picture has waited", status.oldest_age_s or 0)
        yield _gauge("queue_room_bytes", "Bytes until the spool's cap or the disk's floor", status.outlook.room_bytes)
        yield _gauge("quarantined_items", "Pictures that were refused and set aside", status.quarantined)
        yield _gauge("uploads_paused", "Whether uploads rest by hand", int(status.paused_since is not None))
        yield _gauge("link_paused", "Whether the link is in trouble", int(bool(status.link.get("cause"))))

    def _ledger(self) -> Iterator[Metric]:
        captured = CounterMetricFamily(f"{P}captured", "Pictures taken in", labels=["source"])
        delivered = CounterMetricFamily(f"{P}delivered", "Pictures delivered", labels=["source", "result"])
        dropped = CounterMetricFamily(f"{P}dropped", "Pictures given up", labels=["source", "reason"])
        sent = CounterMetricFamily(f"{P}delivered_bytes", "Bytes of delivered pictures", labels=["source"])
        for name, account in self._status.accounts.items():
            captured.add_metric([name], account.captured)
            delivered.add_metric([name, "delivered"], account.delivered - account.duplicates)
            delivered.add_metric([name, "duplicate"], account.duplicates)
            sent.add_metric([name], account.delivered_bytes)
            for reason, count in account.dropped.items():
                dropped.add_metric([name, reason], count)
        yield from (captured, delivered, sent, dropped)

    def _uploads(self) -> Iterator[Metric]:
        uploads = _table((self._status.state or {}).get("uploads"))
        results = CounterMetricFamily(f"{P}uploads", "Uploads since the start, by what came of them", labels=["result"])
        for result, count in _table(uploads.get("results")).items():
            results.add_metric([result], count)
        yield results
        counts = uploads.get("buckets")
        if isinstance(counts, list) and len(counts) == len(BOUNDS_S) + 1:
            bounds = [*map(str, BOUNDS_S), "+Inf"]
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            took = HistogramMetricFamily(f"{P}upload_seconds", "How long an upload took")
            took.add_metric([], buckets=buckets, sum_value=uploads.get("seconds", 0.0))
            yield took
        if self._status.last_delivery is not None:
            ago = since(self._status.last_delivery["delivered_at"], self._status.wall)
            yield _gauge("last_delivery_seconds", "How long ago the last delivery was", ago)

    def _sources(self) -> Iterator[Metric]:
        age = GaugeMetricFamily(f"{P}frame_age_seconds", "Age of a source's last picture", labels=["source"])
        opened = GaugeMetricFamily(f"{P}source_open", "Whether a source gives pictures", labels=["source"])
        restarts = CounterMetricFamily(f"{P}source_restarts", "How often a camera was reopened", labels=["source"])
        bad = CounterMetricFamily(f"{P}bad_frames", "Empty, black, frozen and torn frames", labels=["source"])
        for one in self._status.inputs:
            seconds = self._age(one)
            if seconds is not None:
                age.add_metric([one.name], seconds)
            if self._status.running:
                opened.add_metric([one.name], int(one.open and not one.problem))
                restarts.add_metric([one.name], one.restarts)
                bad.add_metric([one.name], one.bad)
        yield from (age, opened, restarts, bad)

    def _age(self, one: Input) -> float | None:
        if (seconds := one.age_s(self._status.boot_s)) is not None or one.last_at is None:
            return seconds
        return since(one.last_at, self._status.wall)

    def _device(self) -> Iterator[Metric]:
        device, samples = self._status.device, self._status.samples
        yield _gauge("temperature_celsius", "Temperature of the processor", device.temperature_c)
        yield _gauge("disk_used_percent", "Share of the spool's disk in use", device.disk_percent)
        yield _gauge("memory_used_percent", "Share of the memory in use", device.memory_percent)
        yield _gauge("throttled", "Whether the processor is slowed down", int(bool(device.throttling)))
        written = CounterMetricFamily(f"{P}flash_written_bytes", "Bytes that the agent had written to disks")
        if samples and self._status.running:
            written.add_metric([], samples[-1].written_bytes)
        yield written


def exposition(status: Status) -> tuple[bytes, str]:
    """Return the figures in the text format, and its media type."""
    registry = CollectorRegistry()
    registry.register(Exhibit(status))
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _gauge(name: str, about: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(f"{P}{name}", about)
    if value is not None:
        family.add_metric([], value)
    return family


def _table(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 (JSON of another release)
    return value if isinstance(value, dict) else {}

"""One run of the agent: every stage with its thread, from the first start to the last join."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from agent.spool.orders import read_standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.annotators.desk import AnnotatorState
    from agent.checkin import CheckIn
    from agent.drain import Uploader
    from agent.health import Pulse
    from agent.housekeeping import Housekeeping
    from agent.link import Link
    from agent.logbook import Logbook
    from agent.models.deployment import Deployer
    from agent.pictures.studio import PictureChild
    from agent.platform.client import Client
    from agent.receipts import ReceiptClerk
    from agent.sources.camera import Camera
    from agent.sources.directory import DirectoryWatch
    from agent.sources.report import CameraState
    from agent.spool.spool import Spool
    from agent.timekeeping import Timekeeping
    from agent.workers import Nursery

log = structlog.get_logger(__name__)

ABORT_S = 0.5  # what an upload gets to notice that its socket was shut


class Abortable(Protocol):
    """What speaks to somebody, and can be broken off from any thread."""

    def abort(self) -> None:
        """Break off what is under way."""
        ...


class Pipeline:
    """Holds the parts of one run; intake and drain share nothing but the spool."""

    def __init__(
        self,
        *,
        spool: Spool,
        link: Link,
        nursery: Nursery,
        pulse: Pulse,
        uploaders: dict[str, Uploader],
        clerk: ReceiptClerk,
        clients: Sequence[Abortable],
        watches: dict[str, DirectoryWatch],
        housekeeping: Housekeeping,
        timekeeping: Timekeeping,
        darkroom: PictureChild,
        logbook: Logbook,
    ) -> None:
        self.spool = spool
        self.link = link
        self.nursery = nursery
        self.pulse = pulse
        self.cameras: dict[str, Camera] = {}
        self.annotating: Mapping[str, Callable[[], None]] = {}
        self.annotators: Mapping[str, AnnotatorState] = {}
        self.checkin: CheckIn | None = None
        self.closings: Sequence[Callable[[], None]] = ()
        self.deployer: Deployer | None = None
        self._renewed = False
        self.housekeeping = housekeeping
        self.timekeeping = timekeeping
        self._uploaders = uploaders
        self._clerk = clerk
        self._clients = clients
        self._watches = watches
        self._darkroom = darkroom
        self.logbook = logbook
        self._lock = threading.Lock()
        self._version = 0
        self._flushes = 0
        self._camera_states: dict[str, CameraState] = {}

    def start(self) -> None:
        """Start every stage, the drain first: what waits from last time goes at once."""
        standing = read_standing(self.spool.reader)
        self._flushes = standing.flushes
        self.link.pause(standing.paused_since)
        nursery = self.nursery
        nursery.stop.subscribe(self.spool.arrived.ring)
        for name, uploader in self._uploaders.items():
            nursery.start(name, uploader.run, neighbours=True)
        nursery.start("receipts", self._clerk.run, neighbours=True)
        nursery.start("housekeeping", self.housekeeping.run)
        nursery.start("clock", self.timekeeping.run)
        for name, work in self.annotating.items():
            nursery.start(name, work)
        if self.checkin is not None:
            nursery.start("checkin", self.checkin.run)
        if self.deployer is not None:
            nursery.start("deploy", self.deployer.run)
        for name, watch in self._watches.items():
            nursery.start(f"watch-{name}", watch.run, neighbours=True)
        for name, camera in self.cameras.items():
            nursery.start(f"camera-{name}", camera.run)

    def take_checkin(self, checkin: CheckIn, client: Client) -> None:
        """Check in while this runs; a stop breaks that off as it does uploads."""
        self.checkin = checkin
        self._clients = [*self._clients, client]

    def take_deployer(self, deployer: Deployer) -> None:
        """Deploy models while this runs; a stop breaks a download off, and what came of it is kept."""
        self.deployer = deployer
        self._clients = [*self._clients, deployer]

    def renew(self) -> None:
        """Ask for a run anew, from any thread: there is a model that only the next one uses."""
        self._renewed = True

    def is_renewed(self) -> bool:
        """Tell, once, whether a run anew was asked for."""
        renewed, self._renewed = self._renewed, False
        return renewed

    def stop(self, grace_s: float) -> list[str]:
        """End every stage within `grace_s`; uploads that are still under way then are broken off (I4).

        Returns the names of stragglers; they hold no item that is not also on disk.
        """
        self.nursery.stop.set()
        self._darkroom.close()
        if self.nursery.join(grace_s):
            for client in self._clients:
                client.abort()
        stragglers = self.nursery.join(ABORT_S)
        if stragglers:
            log.warning("stragglers_left", threads=stragglers)
        else:
            for close in self.closings:
                close()
            self.spool.traffic.save(now=True)
            self.spool.close()
        return stragglers

    def notice_other_processes(self) -> bool:
        """Obey standing orders and wake the uploaders where a commit has changed the spool; tell whether one has.

        `upload FILE` and `queue` are processes of their own.
        """
        version = self.spool.version()
        if version == self._version:
            return False
        self._version = version
        standing = read_standing(self.spool.reader)
        self.link.pause(standing.paused_since)
        if standing.flushes != self._flushes:
            self._flushes = standing.flushes
            self.link.hurry()
        self.spool.arrived.ring()
        return True

    def taking(self) -> bool:
        """Tell whether a source, or the look through what an earlier run left, may still bring something in."""
        running = self.nursery.running()
        return not self.housekeeping.settled or any(name.startswith(("watch-", "camera-")) for name in running)

    def stuck(self) -> bool:
        """Tell whether every source that may still bring something in waits for room in the spool."""
        running = {name.partition("-")[2] for name in self.nursery.running() if name.startswith(("watch-", "camera-"))}
        return bool(running) and running <= self.pulse.paused().keys()

    def observe(self, state: CameraState) -> None:
        """Remember what a camera says of itself; called from its thread."""
        with self._lock:
            self._camera_states[state.name] = state

    def news(self) -> object:
        """Return what must not be told late: which sources are open, and what is wrong with them and the link."""
        link = self.link.state
        with self._lock:
            cameras = {name: (state.opened, state.ended, state.problem) for name, state in self._camera_states.items()}
        checkin = self.checkin.state if self.checkin else None
        annotators = [state.problem for state in self.annotators.values()]
        told = (checkin.cause, checkin.status) if checkin else None
        said = (self.link.paused_since, self.link.closed, annotators, told)
        return link.cause, link.reason, self.link.approval, *said, cameras, list(self.pulse.paused())

    def facts(self) -> dict[str, Any]:
        """Return what is known of this run, as plain values for the state file."""
        link = self.link.state
        with self._lock:
            cameras = {name: asdict(state) for name, state in self._camera_states.items()}
        return {
            "link": {
                "state": "paused" if link.paused else "open",
                "cause": link.cause.value if link.cause else None,
                "reason": link.reason or None,
                "failures": link.failures,
                "approval": self.link.approval or None,
                "uploads_at_once": self.link.window.size,
                "paused_since": self.link.paused_since,
                "open_at_boot_s": round(link.open_at, 1) if link.paused else None,
            },
            "checkin": self.checkin.facts() if self.checkin else None,
            "deployment": self.deployer.facts() if self.deployer else None,
            "cameras": cameras,
            "annotators": {name: asdict(state) for name, state in self.annotators.items()},
            "intake_paused": self.pulse.paused(),
            "watches": sorted(self._watches),
            "running": sorted(self.nursery.running()),
            **self.logbook.facts(),
        }

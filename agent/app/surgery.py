"""How the doctor is put together: what is looked at, in which order, with which deadline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.settings import Settings
from agent.device import DeviceMeter
from agent.doctor import cameras, configuration, disk, folders, machine, network, opencv, service
from agent.doctor.checkup import Check, examine
from agent.doctor.person import access_of, daemon_user
from agent.doctor.visit import STEP_S, visit
from agent.errors import AgentError
from agent.outline import outline_of
from agent.plans import camera_plan, spool_limits
from agent.sources.grammar import parse_source
from agent.sources.trial import try_source
from agent.spool.ownership import is_owned, owner_note
from agent.state import read_state
from agent.status import look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Clock
    from agent.config.configuration import Configuration
    from agent.config.environment import Environment
    from agent.config.sources import CameraSettings
    from agent.doctor.configuration import Read
    from agent.doctor.finding import Finding

LOOK_S = 1.5
"""How long a camera is watched: exposure has settled, and some frames can be counted."""


class Surgery:
    """Examines one installation; the configuration comes first, and what hangs on it is left out where it is broken."""

    def __init__(self, given: Path | None, environment: Environment, *, clock: Clock) -> None:
        self._environment = environment
        self._clock = clock
        self.read: Read = configuration.read(given, environment)
        self._person = daemon_user(self.read.path)
        self._systemd = service.ask(environment.children)

    def findings(self) -> Iterator[Finding]:
        """Look at everything, and yield each finding as soon as it is known."""
        yield from examine([Check("configuration", lambda: configuration.findings(self.read))])
        found = self.read.configuration
        yield from examine(self._without_configuration() if found is None else self._checks(found))

    def _without_configuration(self) -> Iterator[Check]:
        yield self._opencv(Settings())
        yield self._machine(Path("/"))
        yield self._service(running=False)

    def _checks(self, found: Configuration) -> Iterator[Check]:
        settings, running = found.settings, self._is_running(found)
        yield Check("network", lambda: network.findings(visit(settings.server, self.read.key, self._clock)), 5 * STEP_S)
        yield Check("spool", lambda: disk.findings(self._disk(found)), 15.0)
        if settings.watch:
            yield Check("folders", lambda: folders.findings(self._folders(found), self._person), 15.0)
            yield Check("inotify", lambda: [folders.inotify_finding(folders.inotify_of(settings.watch))], 20.0, True)
        yield self._opencv(settings)
        if nodes := cameras.nodes_of(settings.camera):
            yield Check("groups", lambda: [cameras.group_finding(nodes, self._person)])
        state = _state(found) if running else None
        for camera in settings.camera:
            yield self._held(camera, state) if running else self._tried(camera, found)
        yield self._machine(found.spool_dir)
        yield self._service(running=running)

    def _is_running(self, found: Configuration) -> bool:
        """Tell whether an agent has the cameras; a spool that may not be looked at leaves systemd to ask."""
        active = self._person.is_service and (self._systemd or {}).get("ActiveState") == "active"
        return active or is_owned(found.spool_dir)

    def _opencv(self, settings: Settings) -> Check:
        kinds = {parse_source(camera.source).kind for camera in settings.camera}
        needed = opencv.is_needed(settings)

        def ask() -> list[Finding]:
            seen = opencv.ask(self._environment.children)
            return [opencv.finding(seen, needed=needed, gstreamer_needed="gst" in kinds)]

        return Check("opencv", ask, opencv.LOAD_S + 5, optional=not needed)

    def _tried(self, camera: CameraSettings, found: Configuration) -> Check:
        plan = camera_plan(camera, found.settings.encode)

        def open_it() -> list[Finding]:
            trial = try_source(plan, seconds=LOOK_S, environment=self._environment.children, clock=self._clock)
            return [cameras.trial_finding(camera.name, trial)]

        longest = opencv.LOAD_S + camera.open_timeout_s + camera.stall_timeout_s + LOOK_S + 5
        return Check(f"camera {camera.name}", open_it, longest)

    def _held(self, camera: CameraSettings, state: dict[str, Any] | None) -> Check:
        return Check(f"camera {camera.name}", lambda: [cameras.state_finding(camera, state, self._clock.boot())])

    def _machine(self, folder: Path) -> Check:
        return Check("device", lambda: machine.findings(DeviceMeter(folder).look()), optional=True)

    def _service(self, *, running: bool) -> Check:
        return Check("service", lambda: [service.finding(self._systemd, running=running)])

    def _folders(self, found: Configuration) -> list[folders.Folder]:
        watches = found.settings.watch
        seen = access_of(self._person, [watch.path for watch in watches], self._environment.children) or {}
        unit = folders.Walls.of(self._systemd if self._person.is_service else None)
        return [
            folders.Folder(
                watch.name,
                watch.path,
                seen.get(str(watch.path)),
                keeps=watch.after_delivery == "keep",
                hidden=unit.hide(watch.path),
                walled=unit.close(watch.path),
            )
            for watch in watches
        ]

    def _disk(self, found: Configuration) -> disk.Disk:
        folder = disk.existing(found.spool_dir)
        seen = access_of(self._person, [folder], self._environment.children) or {}
        free_bytes, free_inodes = disk.free(folder)
        return disk.Disk(
            spool=found.spool_dir,
            folder=folder,
            person=self._person,
            access=seen.get(str(folder)),
            trial=disk.write_trial(folder),
            mount=disk.mount_of(folder),
            free_bytes=free_bytes,
            free_inodes=free_inodes,
            held_bytes=_held_bytes(found),
            limits=spool_limits(found.settings.spool),
        )


def _state(found: Configuration) -> dict[str, Any] | None:
    """Return what the running agent says of itself; None where that may not be read."""
    note = owner_note(found.spool_dir).get("state_file")
    return read_state(Path(note)) if isinstance(note, str) else None


def _held_bytes(found: Configuration) -> int:
    try:
        return sum(account.held_bytes for account in look(outline_of(found)).accounts.values())
    except AgentError:
        return 0

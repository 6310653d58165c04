"""The bounded tour: pictures with boxes, an outage of the platform in the middle, every byte compared at the end."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.demo.books import Books
from agent.demo.children import AgentProcess, check_alive, platform
from agent.demo.comparison import LOST, Arrived, Fault, Sent, compare
from agent.demo.premises import CAMERA, FOLDER, Scene, disk, listed
from agent.demo.shots import CLASSES, shots, write
from agent.errors import Interrupted
from agent.service import Signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.demo.premises import Premises
    from agent.demo.shots import Shot
    from agent.sandbox.process import SandboxProcess

PICTURES = 20
BEFORE, UNTIL = 7, 14  # the outage is from the first to the second
FRAMES = 4
SCENE = Scene(("--fps", "2", "--frames", str(FRAMES)), interval_s=0.5)
# Every picture has a sidecar, so a long wait for it costs nothing, and a busy machine does not lose one.
WATCH = f"classes = {listed(CLASSES)}\nsettle_s = 0.2\nsidecar_wait_s = 20.0\nrescan_s = 2.0"
PACE_S = 0.1
OUTAGE_S = 2.0
LOOK_EVERY_S = 0.1
DEADLINE_S = 60.0
FINISH_S = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tour found; `held` is how many pictures waited on disk when the platform came back."""

    pictures: int
    frames: int
    arrived: int
    outage_s: float
    held: int
    duplicates: int
    faults: Sequence[Fault]
    seconds: float

    def table(self) -> str:
        """Return the figures for a person."""
        lost = sum(fault.what == LOST for fault in self.faults)
        return "\n".join(
            [
                f"  pictures            {self.pictures:3}   with boxes, and {self.frames} camera frames",
                f"  arrived             {self.arrived:3}   of {self.pictures + self.frames}",
                f"  outage            {self.outage_s:5.1f} s, {self.held} waited on disk",
                f"  duplicates refused  {self.duplicates:3}",
                f"  lost                {lost:3}",
            ]
        )


class Tour:
    """One tour of a running sandbox and agent."""

    def __init__(
        self,
        premises: Premises,
        sandbox: SandboxProcess,
        agent: AgentProcess,
        signals: Signals,
        say: Callable[[str], None],
    ) -> None:
        self._premises = premises
        self._sandbox = sandbox
        self._agent = agent
        self._signals = signals
        self._books = Books(premises.spool)
        self._say = say
        self._deadline = time.monotonic() + DEADLINE_S

    def run(self) -> Outcome:
        """Walk through it all; raises Interrupted on a signal, and AgentError where a program ends by itself."""
        began = time.monotonic()
        self._say(f"A small Acusight is up at {self._sandbox.url}/. Writing {PICTURES} pictures with boxes ...")
        album = shots(PICTURES)
        self._write(album[:BEFORE])
        self._until(lambda: self._books.account(FOLDER).delivered >= BEFORE)
        self._say(f"{BEFORE} have arrived. Killing the sandbox; the pictures go on ...")
        outage_s, held = self._outage(album[BEFORE:UNTIL])
        self._say(f"The sandbox is back after {outage_s:.1f} s, {held} pictures waited on disk. Now the rest ...")
        self._write(album[UNTIL:])
        self._until(self._is_all_delivered)
        self._finish()
        return self._outcome(album, outage_s, held, began)

    def _outage(self, album: Sequence[Shot]) -> tuple[float, int]:
        """Write pictures while the platform is away; return for how many seconds, and how many waited in the end."""
        began = time.monotonic()
        self._sandbox.kill()
        self._write(album)
        self._until(lambda: self._books.account(FOLDER).captured >= UNTIL and time.monotonic() - began >= OUTAGE_S)
        held = sum(account.waiting for account in self._books.accounts().values())
        self._sandbox.start()
        return time.monotonic() - began, held

    def _finish(self) -> None:
        """Stop the agent, and have it run once more to send what it took and has not sent yet, but take no more."""
        self._agent.stop()
        self._agent.start("--once")
        deadline = time.monotonic() + FINISH_S
        while self._agent.status is None and time.monotonic() < deadline:
            self._rest(LOOK_EVERY_S)

    def _outcome(self, album: Sequence[Shot], outage_s: float, held: int, began: float) -> Outcome:
        proofs = self._books.proofs()
        frames = [Sent(proof.filename, proof.sha256) for proof in proofs if proof.source == CAMERA]
        sent = [*(self._sent(shot) for shot in album), *frames]
        arrived = [self._arrived(upload) for upload in self._sandbox.uploads()]
        answers = self._sandbox.requests().get("upload", {})
        faults = compare(sent, proofs, arrived, self._books.accounts())
        if len(frames) < FRAMES:
            faults.append(Fault(CAMERA, f"gave {len(frames)} frames, fewer than {FRAMES}"))
        return Outcome(
            pictures=len(album),
            frames=len(frames),
            arrived=len(arrived),
            outage_s=outage_s,
            held=held,
            duplicates=answers.get("409", 0),
            faults=faults,
            seconds=time.monotonic() - began,
        )

    def _write(self, album: Sequence[Shot]) -> None:
        for shot in album:
            for name, content in shot.files():
                self._pause(PACE_S)
                write(self._premises.captures, name, content)

    def _until(self, claim: Callable[[], bool]) -> None:
        """Wait until a claim holds or the deadline has passed: what is missing then, the comparison says."""
        while time.monotonic() < self._deadline and not claim():
            self._pause(LOOK_EVERY_S)

    def _is_all_delivered(self) -> bool:
        books = self._books
        return books.account(FOLDER).delivered >= PICTURES and books.account(CAMERA).delivered >= FRAMES

    def _pause(self, seconds: float) -> None:
        self._rest(seconds)
        check_alive(self._premises, self._sandbox, self._agent)

    def _rest(self, seconds: float) -> None:
        if self._signals.wait(seconds):
            raise Interrupted("the tour was interrupted")

    def _sent(self, shot: Shot) -> Sent:
        path = self._premises.captures / shot.name
        with disk(path):
            return Sent(shot.name, _sha256(path.read_bytes()), shot.boxes)

    def _arrived(self, upload: Mapping[str, Any]) -> Arrived:
        stored = _sha256(self._sandbox.image(upload["id"]))
        return Arrived(upload["filename"], upload["sha256"], stored, (upload["metadata"] or {}).get("annotations"))


def tour(premises: Premises, port: int, environment: Mapping[str, str], say: Callable[[str], None]) -> Outcome:
    """Make one tour on fresh premises; `environment` is what the agent gets."""
    with Signals() as signals, premises.occupied(), platform(premises, port) as sandbox:
        premises.configure(sandbox.url, SCENE, watch=WATCH)
        with AgentProcess(premises, environment, quietly=True) as agent:
            return Tour(premises, sandbox, agent, signals, say).run()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

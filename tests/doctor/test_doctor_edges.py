"""How the doctor gathers facts: real disks, children, sockets and certificates."""

from __future__ import annotations

import errno
import os
import pwd
import ssl
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs
from wire_rig import Server

from agent.clock import SystemClock
from agent.config.address import is_near
from agent.config.secret import Secret
from agent.config.settings import ServerSettings
from agent.config.sources import CameraSettings, WatchSettings
from agent.doctor import cameras, disk, folders, network, opencv
from agent.doctor.checkup import Check, examine
from agent.doctor.finding import Finding, ok, problem
from agent.doctor.person import Access, Person, access_of, daemon_user, group_name
from agent.doctor.visit import visit
from agent.errors import AgentError
from agent.platform.answers import Meaning

ENVIRONMENT = {"PATH": os.environ["PATH"]}
PYTHON = "/usr/bin/python3"
"""One that others than root may run; the tests' own may lie in a home."""


KEY = Secret("adk_c0ffee")


class TestCheckup:
    """One check after another."""

    def test_a_check_that_hangs_costs_a_line(self) -> None:
        """It is left behind at its deadline, and the next one is made."""
        released = threading.Event()

        def hang() -> list[Finding]:
            released.wait(5)
            return []

        found = list(examine([Check("a", hang, 0.05), Check("b", lambda: [ok("b", "fine")])]))
        released.set()
        assert [(finding.check, finding.state) for finding in found] == [("a", "problem"), ("b", "ok")]
        assert found[0].what == "the check did not end within 0.05 s"

    def test_an_expected_error_is_a_finding(self) -> None:
        """What the agent's own code refuses is told by its sentence."""

        def refuse() -> list[Finding]:
            raise AgentError("the drawer is locked", remedy="Find the key.")

        (found,) = examine([Check("a", refuse)])
        assert (found.state, found.what, found.why) == ("problem", "the drawer is locked", "Find the key.")

    def test_a_defect_of_the_doctor_is_told_as_one(self) -> None:
        """The other checks are made all the same."""

        def broken() -> list[Finding]:
            raise ZeroDivisionError

        with capture_logs() as logs:
            first, second = examine([Check("a", broken), Check("b", lambda: [ok("b", "fine")])])
        assert (first.section, second.state) == ("a-check-failed", "ok")
        assert [entry["event"] for entry in logs] == ["thread_failed"]

    def test_an_optional_check_never_fails_the_run(self) -> None:
        """Its problems are warnings, also when it does not end."""
        broken = problem("a", "x", "y", "z", "memory-is-short")
        released = threading.Event()
        checks = [
            Check("a", lambda: [broken], optional=True),
            Check("b", lambda: [ok("b", str(released.wait(5)))], 0.05, optional=True),
        ]
        assert [finding.state for finding in examine(checks)] == ["warning", "warning"]
        released.set()


class TestVisit:
    """The visit to the platform."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        """Return a made-up authority."""
        return trustme.CA()

    def server(self, url: str, ca_file: Path | None = None) -> ServerSettings:
        """Return the settings of a server of this machine."""
        return ServerSettings(url=url, ca_file=ca_file, connect_timeout_s=2)

    def serving(self, authority: trustme.CA, *, not_after: datetime | None = None) -> ssl.SSLContext:
        """Return a server's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", not_after=not_after).configure_cert(context)
        return context

    def test_a_good_server_is_seen_with_its_certificate(self, authority: trustme.CA, tmp_path: Path) -> None:
        """The real handshake tells version and end of the certificate, and `device/self` the verdict."""
        ca_file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(ca_file)
        ends = datetime.now(UTC) + timedelta(days=9)
        with Server(tls=self.serving(authority, not_after=ends)) as server:
            reach = visit(self.server(server.url, ca_file), KEY, SystemClock())
        assert (reach.tls_version, reach.verdict and reach.verdict.meaning) == ("TLSv1.3", Meaning.DELIVERED)
        assert reach.certificate_ends is not None
        assert abs((reach.certificate_ends - ends).total_seconds()) < 2
        found = {finding.check: finding for finding in network.findings(reach)}
        assert found["tls"].section == "the-certificate-ends-soon"
        assert found["device"].state == "ok"

    def test_an_untrusted_server_is_not_given_the_key(self, authority: trustme.CA) -> None:
        """The handshake ends before anything is asked, and the reason is OpenSSL's."""
        with Server(tls=self.serving(authority)) as server:
            reach = visit(self.server(server.url), KEY, SystemClock())
            assert server.requests == []
        assert reach.fault is not None
        assert "unable to get local issuer certificate" in reach.fault.what
        assert {finding.check: finding.state for finding in network.findings(reach)}["tls"] == "problem"

    def test_a_server_that_is_away_is_told_once(self) -> None:
        """Nobody listens: that is one problem."""
        reach = visit(self.server("http://127.0.0.1:9"), KEY, SystemClock())
        problems = [finding for finding in network.findings(reach) if finding.state == "problem"]
        assert [finding.check for finding in problems] == ["device"]
        assert "Connection refused" in problems[0].what

    def test_without_a_key_the_server_is_not_asked(self) -> None:
        """Its name and its certificate are looked at all the same."""
        with Server() as server:
            reach = visit(self.server(server.url), None, SystemClock())
            assert server.requests == []
        assert reach.addresses == ("127.0.0.1",)
        assert {finding.check: finding.state for finding in network.findings(reach)}["device"] == "skipped"

    def test_a_name_that_cannot_be_one_is_not_found(self) -> None:
        """A label that DNS cannot hold is an error like any other."""
        addresses, error = network.resolve("a" * 70 + ".local", 443)
        assert is_near("x.local")
        assert (addresses, bool(error)) == ((), True)


class TestPerson:
    """As whom the daemon runs."""

    def me(self) -> Person:
        """Return the user of this process."""
        return Person("me", os.geteuid(), os.getegid(), frozenset(os.getgroups()))

    def test_without_a_service_it_is_whoever_asks(self, tmp_path: Path) -> None:
        """Only the service's own configuration makes it the service's user."""
        found = daemon_user(tmp_path / "config.toml")
        assert (found.uid, found.is_service, found.is_this_process()) == (os.geteuid(), False, True)
        assert group_name(0) == "root"
        assert group_name(3_999_999_999) == "3999999999"

    def test_the_kernel_is_asked_what_may_be_done(self, tmp_path: Path) -> None:
        """A folder, a file, and what is not there, each by its own answer."""
        file = tmp_path / "file"
        file.touch()
        paths = [tmp_path, file, tmp_path / "none"]
        found = access_of(self.me(), paths, ENVIRONMENT)
        assert found == {
            str(tmp_path): Access(is_folder=True, enter=True, write=True),
            str(file): Access(is_folder=False, enter=os.geteuid() == 0 and os.access(file, os.X_OK), write=True),
            str(tmp_path / "none"): Access(error="No such file or directory"),
        }

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
    @pytest.mark.skipif(not Path(PYTHON).exists(), reason="there is no interpreter that everybody may run")
    def test_root_asks_as_the_daemons_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder that root may enter anyway is closed to the service's user, and is told so."""
        monkeypatch.setattr(sys, "executable", PYTHON)
        nobody = pwd.getpwnam("nobody")
        place = Path("/var/tmp") / f"doctor-{os.getpid()}"  # noqa: S108 (a folder that others may reach)
        place.mkdir(mode=0o700)
        try:
            person = Person("nobody", nobody.pw_uid, nobody.pw_gid, frozenset({nobody.pw_gid}))
            found = access_of(person, [place], ENVIRONMENT)
            assert found == {str(place): Access(is_folder=True)}
            place.chmod(0o777)
            assert access_of(person, [place], ENVIRONMENT) == {
                str(place): Access(is_folder=True, enter=True, write=True)
            }
        finally:
            place.rmdir()


class TestDisks:
    """Disks and folders."""

    def test_a_trial_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """A small file is written, flushed and gone."""
        assert disk.write_trial(tmp_path) == ""
        assert list(tmp_path.iterdir()) == []

    def test_a_trial_tells_why_it_failed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A card that takes the bytes and fails to keep them is found by the flush; nothing stays behind."""

        def fail(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", fail)
        assert disk.write_trial(tmp_path) == "Input/output error"
        assert list(tmp_path.iterdir()) == []

    def test_the_nearest_folder_stands_for_one_that_is_to_come(self, tmp_path: Path) -> None:
        """What will be made later lies on the disk of its nearest parent."""
        assert disk.existing(tmp_path / "a" / "b") == tmp_path
        assert disk.mount_of(tmp_path) is not None
        assert disk.free(tmp_path)[0] > 0

    def test_the_need_of_watches_is_counted(self, tmp_path: Path) -> None:
        """A recursive folder needs one for each folder in it, another one alone."""
        (tmp_path / "a" / "b").mkdir(parents=True)
        watches = [
            WatchSettings(path=tmp_path, recursive=recursive, name=str(recursive)) for recursive in (True, False)
        ]
        found = folders.inotify_of(watches)
        assert (found.needed_watches, found.needed_instances) == (4, 2)
        assert found.max_watches

    def test_the_nodes_of_cameras_are_found(self, tmp_path: Path) -> None:
        """Links are followed to the node; what is no device, or not there, has none."""
        link = tmp_path / "by-id"
        link.symlink_to("/dev/null")
        node = cameras.node_of(link)
        assert node is not None
        assert node.mode & 0o666 == 0o666
        assert cameras.node_of(tmp_path) is None
        absent = [CameraSettings(name="a", source="97"), CameraSettings(name="b", source="/srv/x.avi")]
        assert cameras.nodes_of(absent) == []


class TestOpenCVChild:
    """The child that loads OpenCV."""

    def test_the_installed_one_is_described(self) -> None:
        """File and version come from the child; this process never loads it for that."""
        found = opencv.ask(ENVIRONMENT)
        assert (found.error, found.version != "", found.ffmpeg) == ("", True, True)
        assert Path(found.file).is_file()
        assert found.packages == ("opencv-python-headless",)
        assert Path(found.file).is_relative_to(found.folders[0])

    def test_a_broken_one_is_told_by_its_error(self, tmp_path: Path) -> None:
        """A copy that hides the good one and cannot be loaded is seen, as are both folders."""
        (tmp_path / "cv2").mkdir()
        (tmp_path / "cv2" / "__init__.py").write_text('raise ImportError("libGL.so.1: no such file")', encoding="ascii")
        found = opencv.ask(ENVIRONMENT | {"PYTHONPATH": str(tmp_path)})
        assert found.error == "libGL.so.1: no such file"
        assert found.folders[0] == str(tmp_path)
        assert len(found.folders) == 2

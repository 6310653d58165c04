"""What the doctor makes of facts; nothing here touches a disk, a network or a clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config.settings import Settings
from agent.config.sources import CameraSettings
from agent.device import Device
from agent.doctor import cameras, disk, folders, machine, network, opencv, service
from agent.doctor.disk import Disk, Mount
from agent.doctor.finding import Finding, healthy, ok, problem, skipped, verdict, warning
from agent.doctor.folders import Folder, Inotify, Walls
from agent.doctor.network import Reach
from agent.doctor.opencv import OpenCV
from agent.doctor.person import Access, Person
from agent.errors import LinkFault
from agent.platform.answers import Answer, Meaning, Verdict
from agent.sources.trial import Trial
from agent.spool.budget import Limits

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACUSIGHT = Person("acusight", 990, 990, frozenset({990}), is_service=True)
LIMITS = Limits(
    max_bytes=4_000_000_000,
    max_items=10**6,
    min_free_bytes=500_000_000,
    min_free_inodes=1000,
    quarantine_max_items=1000,
)
LOADED = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"}
OPEN = Access(is_folder=True, enter=True, write=True)


def only(findings: list[Finding], check: str) -> Finding:
    """Return the one finding of a check."""
    (found,) = [finding for finding in findings if finding.check == check]
    return found


class TestVerdict:
    """All findings together."""

    def test_warnings_fail_nothing(self) -> None:
        """With warnings alone the agent is well; one problem is enough that it is not."""
        warned = warning("a", "x", "y", "z", "memory-is-short")
        broken = problem("b", "x", "y", "mend it", "memory-is-short")
        assert healthy([ok("a", "x"), skipped("c", "x"), warned])
        assert not healthy([warned, broken])
        assert verdict([ok("a", "x")]) == "WELL: 1 checks, nothing to do"
        assert verdict([warned]) == "WELL, with 1 warning: the agent can do its work"
        assert verdict([warned, broken, broken]) == "NOT WELL: 2 problems, 1 warning; first run: mend it"

    def test_an_optional_check_is_softened(self) -> None:
        """A problem of an optional check is a warning; everything else stays what it is."""
        assert problem("b", "x", "y", "z", "memory-is-short").softened().state == "warning"
        assert ok("a", "x").softened().state == "ok"

    def test_a_command_reads_the_configuration_that_was_looked_at(self) -> None:
        """Only the agent's own commands get the option; another program that names the service does not."""

        def run(command: str) -> str:
            return problem("a", "x", "y", command, "memory-is-short").beside("c.toml").command

        assert run("acusight-agent config check") == "acusight-agent -c c.toml config check"
        assert run("sudo acusight-agent doctor") == "sudo acusight-agent -c c.toml doctor"
        assert run("journalctl --unit=acusight-agent --lines=3") == "journalctl --unit=acusight-agent --lines=3"

    def test_a_failure_links_to_the_guide(self) -> None:
        """Whatever is wrong leads to its place in the guide."""
        assert problem("a", "x", "y", "z", "tls-failed").as_json()["link"] == "docs/troubleshooting.md#tls-failed"
        assert ok("a", "x").link == ""


class TestNetwork:
    """The way to the platform."""

    REACH = Reach(
        "https://acusight.io/api",
        ("192.0.2.1",),
        tls_version="TLSv1.3",
        certificate_ends=NOW + timedelta(days=60),
        verdict=Verdict(Meaning.DELIVERED, "200"),
        offset_s=0.3,
        now=NOW,
        synchronised=True,
    )

    def found(self, check: str, **facts: object) -> Finding:
        """Return one finding of a visit that differs from the good one."""
        return only(list(network.findings(replace(self.REACH, **facts))), check)  # type: ignore[arg-type]

    def test_a_good_visit_has_nothing_to_mend(self) -> None:
        """Name, certificate, clock and device are well."""
        assert [finding.state for finding in network.findings(self.REACH)] == ["ok"] * 4

    def test_a_name_that_is_not_found_is_one_problem(self) -> None:
        """What could not be asked after it is left out: one cause is told once."""
        broken = replace(
            self.REACH, dns_error="Name or service not known", verdict=None, certificate_ends=None, offset_s=None
        )
        states = {finding.check: finding.state for finding in network.findings(broken)}
        assert states == {"dns": "problem", "tls": "skipped", "clock": "skipped", "device": "skipped"}

    @pytest.mark.parametrize(("days", "state"), [(60, "ok"), (14, "ok"), (13, "warning"), (0, "warning")])
    def test_a_certificate_that_ends_soon_is_told_in_time(self, days: int, state: str) -> None:
        """Two weeks before, with the day."""
        assert self.found("tls", certificate_ends=NOW + timedelta(days=days, hours=1)).state == state

    def test_a_refused_certificate_is_a_problem_of_tls_alone(self) -> None:
        """The reason is the server's; the device was not asked, so nothing is said against it."""
        fault = LinkFault("TLS failed: certificate has expired", kind="tls", sent=False, remedy="Check.")
        found = self.found("tls", fault=fault, verdict=None)
        assert (found.state, found.section) == ("problem", "tls-failed")
        assert "openssl s_client -connect acusight.io:443 " in found.command
        assert self.found("device", fault=fault, verdict=None).state == "skipped"

    def test_a_wrong_clock_is_blamed_for_what_it_does(self) -> None:
        """A certificate that is not valid yet, seen by a clock that is not set, is the clock's fault."""
        what = "TLS failed: not yet valid, but this device's clock is not set: it says 1970-01-01"
        fault = LinkFault(what, kind="tls", sent=False, remedy="Set the clock.")
        assert self.found("tls", fault=fault, verdict=None).section == "the-clock-is-not-set"

    @pytest.mark.parametrize(
        ("offset_s", "state", "said"),
        [
            (4.9, "ok", "within"),
            (-30.0, "warning", "30 s ahead of"),
            (30.0, "warning", "30 s behind"),
            (400.0, "problem", "400 s behind"),
            (None, "skipped", "no time to compare"),
        ],
    )
    def test_the_clock_is_held_against_the_servers(self, offset_s: float | None, state: str, said: str) -> None:
        """Some seconds are a warning, minutes a problem; without an answer nothing is said."""
        found = self.found("clock", offset_s=offset_s)
        assert (found.state, said in found.what) == (state, True)

    def test_an_absurd_clock_needs_no_server(self) -> None:
        """A date before the release is wrong, whatever anybody says."""
        assert self.found("clock", now=datetime(1970, 1, 1, tzinfo=UTC), offset_s=None).state == "problem"

    def test_a_clock_that_nobody_keeps_is_a_warning(self) -> None:
        """It is right now, and will not stay so."""
        assert self.found("clock", synchronised=False).state == "warning"

    @pytest.mark.parametrize(
        ("meaning", "section"),
        [
            (Meaning.DENIED, "the-key-is-refused"),
            (Meaning.WRONG_URL, "server-url-is-wrong"),
            (Meaning.UNPROVEN, "somebody-else-answers"),
            (Meaning.BUSY, "the-server-does-not-answer"),
            (Meaning.SERVER_ERROR, "the-server-does-not-answer"),
        ],
    )
    def test_every_answer_has_its_place(self, meaning: Meaning, section: str) -> None:
        """What the platform says of the device leads to what to do about it."""
        found = self.found("device", verdict=Verdict(meaning, "the server answered so"))
        assert (found.state, found.section) == ("problem", section)

    def test_a_pending_device_waits_for_somebody(self) -> None:
        """It is no wrong key, so nobody is told to change it."""
        found = self.found("device", verdict=Verdict(Meaning.DENIED, "the device is pending on the platform"))
        assert found.section == "the-device-is-pending"

    def test_plain_http_has_no_certificate(self) -> None:
        """A server of the local network may do without."""
        assert self.found("tls", url="http://10.0.0.1/api").state == "skipped"

    @pytest.mark.parametrize("date", [None, "yesterday", "Mon, 01 Jun 2026 12:00:10"])
    def test_a_date_that_cannot_be_read_tells_nothing(self, date: str | None) -> None:
        """An answer without a date, or with one in no known form, is not compared."""
        assert network.offset_s(Answer(200, {"date": date} if date else {}, b""), NOW, NOW) is None

    def test_the_offset_is_measured_from_the_middle_of_the_visit(self) -> None:
        """Half of the way's time is the server's answer on its way back."""
        answer = Answer(200, {"date": "Mon, 01 Jun 2026 12:00:10 GMT"}, b"")
        assert network.offset_s(answer, NOW, NOW + timedelta(seconds=2)) == pytest.approx(9.5)


class TestDisk:
    """The spool's disk."""

    DISK = Disk(
        spool=Path("/var/lib/acusight-agent/spool"),
        folder=Path("/var/lib/acusight-agent/spool"),
        person=ACUSIGHT,
        access=OPEN,
        trial="",
        mount=Mount("/", "ext4"),
        free_bytes=50_000_000_000,
        free_inodes=10**6,
        held_bytes=0,
        limits=LIMITS,
    )

    def found(self, check: str, **facts: object) -> Finding:
        """Return one finding of a disk that differs from the good one."""
        return only(list(disk.findings(replace(self.DISK, **facts))), check)  # type: ignore[arg-type]

    def test_a_good_disk_has_nothing_to_mend(self) -> None:
        """Writable, ext4, with room."""
        assert [finding.state for finding in disk.findings(self.DISK)] == ["ok"] * 4

    @pytest.mark.parametrize(
        ("kind", "section"),
        [
            ("vfat", "the-spool-is-on-fat"),
            ("exfat", "the-spool-is-on-fat"),
            ("nfs4", "the-spool-is-on-a-network-disk"),
            ("fuse.sshfs", "the-spool-is-on-a-network-disk"),
            ("tmpfs", "the-spool-is-in-memory"),
        ],
    )
    def test_a_file_system_that_loses_pictures_is_warned_of(self, kind: str, section: str) -> None:
        """FAT, network disks and memory are named, with what they cost."""
        found = self.found("file system", mount=Mount("/mnt", kind))
        assert (found.state, found.section) == ("warning", section)

    def test_a_read_only_disk_is_a_problem(self) -> None:
        """Nothing can be stored on it, whatever it is."""
        found = self.found("file system", mount=Mount("/data", "ext4", read_only=True))
        assert (found.state, found.command) == ("problem", "sudo mount -o remount,rw /data")

    @pytest.mark.parametrize(
        ("free_bytes", "held_bytes", "state"),
        [
            (499_999_999, 0, "problem"),
            (540_000_000, 0, "warning"),
            (4_000_000_000, 0, "warning"),  # the floor comes before the cap
            (4_000_000_000, 600_000_000, "ok"),  # what the spool holds already is a part of its cap
            (4_600_000_000, 0, "ok"),
        ],
    )
    def test_free_space_is_held_against_floor_and_cap(self, free_bytes: int, held_bytes: int, state: str) -> None:
        """Under the floor nothing is taken in; a cap that the disk cannot give is told before it matters."""
        assert self.found("space", free_bytes=free_bytes, held_bytes=held_bytes).state == state

    def test_inodes_count_where_they_are_limited(self) -> None:
        """Too few are a problem, and btrfs has no number of them."""
        assert self.found("inodes", free_inodes=999).section == "the-disk-has-no-inodes"
        assert self.found("inodes", free_inodes=None).state == "ok"

    def test_a_spool_of_somebody_else_is_a_problem(self) -> None:
        """The command gives it to the daemon's user."""
        found = self.found("spool", access=Access(is_folder=True, enter=True))
        assert found.command == "sudo chown -R acusight: /var/lib/acusight-agent/spool"

    def test_a_spool_that_is_not_made_yet_needs_nobodys_rights(self) -> None:
        """The state folder is made by systemd, so its parent may be root's."""
        folder = Path("/var/lib")
        assert self.found("spool", folder=folder, access=Access(is_folder=True, enter=True)).state == "ok"

    def test_a_disk_that_refuses_is_told_with_its_reason(self) -> None:
        """The error of a real write counts more than any permission."""
        assert self.found("spool", trial="Input/output error").what.endswith("cannot be written: Input/output error")

    def test_who_may_not_look_says_nothing(self) -> None:
        """A plain user cannot tell what the service may do."""
        assert self.found("spool", person=replace(ACUSIGHT, reachable=False)).state == "skipped"

    def test_the_mount_is_found_by_its_device(self) -> None:
        """The last mount of the device counts; spaces in its name are decoded, `ro` of mount or disk is seen."""
        text = (
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
            "40 22 8:17 / /media/a\\040b rw,relatime shared:2 - vfat /dev/sdb1 ro,fmask=0022\n"
            "nonsense\n"
        )
        assert disk.parse_mounts(text, "8:17") == Mount("/media/a b", "vfat", read_only=True)
        assert disk.parse_mounts(text, "8:1") == Mount("/", "ext4")
        assert disk.parse_mounts(text, "9:9") is None


class TestFolders:
    """Watched folders."""

    def found(self, **facts: object) -> Finding:
        """Return what is said of a folder."""
        (finding,) = folders.findings([Folder("in", Path("/srv/in"), **{"access": OPEN, **facts})], ACUSIGHT)  # type: ignore[arg-type]
        return finding

    @pytest.mark.parametrize(
        ("facts", "state", "section"),
        [
            ({}, "ok", None),
            ({"access": Access(error="No such file or directory")}, "problem", "the-folder-is-not-there"),
            ({"access": Access()}, "problem", "the-folder-is-not-there"),
            ({"access": Access(is_folder=True)}, "problem", "the-folder-cannot-be-read"),
            ({"access": Access(is_folder=True, enter=True)}, "warning", "the-folder-cannot-be-written"),
            ({"access": Access(is_folder=True, enter=True), "keeps": False}, "problem", "the-folder-cannot-be-written"),
            ({"walled": True}, "warning", "the-folder-cannot-be-written"),
            ({"hidden": True}, "problem", "the-unit-hides-the-folder"),
            ({"access": None}, "skipped", None),
        ],
    )
    def test_what_the_daemons_user_may_do_decides(self, facts: dict[str, Any], state: str, section: str | None) -> None:
        """Reading is needed, writing spares copies, and is needed where delivered files are to go."""
        found = self.found(**facts)
        assert (found.state, found.section) == (state, section)

    def test_the_units_walls_are_known(self) -> None:
        """A home is hidden unless it is bound, and what is not opened cannot be written."""
        unit = {
            "ProtectHome": "yes",
            "ProtectSystem": "strict",
            "ReadWritePaths": "-/srv/pictures /data",
            "BindPaths": "/home/camera/in:/home/camera/in:rbind",
        }
        walls = Walls.of(unit)
        assert walls.hide(Path("/home/pi/in"))
        assert not walls.hide(Path("/home/camera/in/day"))
        assert not walls.hide(Path("/srv/other"))
        assert walls.close(Path("/srv/other"))
        assert not walls.close(Path("/srv/pictures/day"))
        assert not walls.close(Path("/home/camera/in"))
        assert not Walls.of(None).hide(Path("/home/pi"))
        assert not Walls.of(None).close(Path("/srv"))

    @pytest.mark.parametrize(
        ("limits", "state", "command"),
        [
            (Inotify(8192, 128, 10, 2), "ok", ""),
            (Inotify(8192, 128, 9000, 1), "warning", "sudo sysctl -w fs.inotify.max_user_watches=18000"),
            (Inotify(8192, 16, 3, 3), "warning", "sudo sysctl -w fs.inotify.max_user_instances=256"),
            (Inotify(None, None, 3, 3), "skipped", ""),
        ],
    )
    def test_the_kernels_limits_are_held_against_the_need(self, limits: Inotify, state: str, command: str) -> None:
        """What is missing is told with the line that raises it; it never fails the run."""
        found = folders.inotify_finding(limits)
        assert (found.state, found.command) == (state, command)


class TestOpenCV:
    """OpenCV."""

    GOOD = OpenCV(file="/usr/lib/cv2.so", version="4.6.0", gstreamer=True, ffmpeg=True, folders=("/usr/lib",))

    @pytest.mark.parametrize(
        ("facts", "needed", "state", "section"),
        [
            ({}, True, "ok", None),
            ({"error": "No module named 'cv2'"}, True, "problem", "opencv-cannot-be-loaded"),
            ({"error": "No module named 'cv2'"}, False, "warning", "opencv-cannot-be-loaded"),
            ({"packages": ("opencv-python", "opencv-python-headless")}, True, "problem", "two-copies-of-opencv"),
            ({"folders": ("/opt/a", "/usr/lib")}, True, "warning", "two-copies-of-opencv"),
        ],
    )
    def test_what_is_wrong_with_it(
        self,
        facts: dict[str, Any],
        needed: bool,  # noqa: FBT001
        state: str,
        section: str | None,
    ) -> None:
        """It is a must for cameras only; two builds in one place break each other, two places hide one."""
        found = opencv.finding(replace(self.GOOD, **facts), needed=needed, gstreamer_needed=False)
        assert (found.state, found.section) == (state, section)

    def test_gstreamer_is_missed_only_where_it_is_used(self) -> None:
        """A `gst:` source needs it."""
        without = replace(self.GOOD, gstreamer=False)
        assert opencv.finding(without, needed=True, gstreamer_needed=False).state == "ok"
        assert opencv.finding(without, needed=True, gstreamer_needed=True).section == "opencv-has-no-gstreamer"

    @pytest.mark.parametrize(
        ("tables", "needed"),
        [
            ({}, False),
            ({"watch": [{"path": "/srv"}]}, False),
            ({"watch": [{"path": "/srv", "crop": [0, 0, 1, 0.5]}]}, True),
            ({"watch": [{"path": "/srv", "mask": [[0, 0, 1, 0.5]]}]}, True),
            ({"watch": [{"path": "/srv"}], "encode": {"passthrough": False}}, True),
            ({"camera": [{"name": "a", "source": "0"}]}, True),
            ({"camera": [{"name": "a", "source": "cmd:camera"}]}, False),
            ({"camera": [{"name": "a", "source": "cmd:camera", "mask": [[0, 0, 1, 0.5]]}]}, True),
        ],
    )
    def test_it_is_needed_for_cameras_crops_and_masks(self, tables: dict[str, Any], *, needed: bool) -> None:
        """Where it is, its absence is a problem: nothing goes out uncropped or unmasked instead."""
        assert opencv.is_needed(Settings.model_validate(tables)) is needed

    def test_a_missing_library_is_named_by_its_package(self) -> None:
        """The desktop build on a system without a desktop is the usual case."""
        error = "libGL.so.1: cannot open shared object file: No such file or directory"
        found = opencv.finding(OpenCV(error=error), needed=True, gstreamer_needed=False)
        assert found.command == "sudo apt install libgl1 libglib2.0-0"

    def test_a_child_that_died_is_told(self) -> None:
        """A library that crashes as it is loaded leaves no report."""
        assert opencv.parse(b"", -11).error == "the process that loads it ended with signal 11"
        assert opencv.parse(b"{}", 3).error == "the process that loads it ended with status 3"


class TestCameras:
    """Cameras."""

    CAMERA = CameraSettings(name="belt", source="rtsp://u:hunter2@10.0.0.9/x", interval_s=10)

    def state(self, **facts: object) -> Finding:
        """Return what is said of a camera that the running agent holds."""
        known = {"opened": True, "ended": False, "problem": "", "last_frame_at": 990.0, **facts}
        return cameras.state_finding(self.CAMERA, {"cameras": {"belt": known}}, 1000.0)

    @pytest.mark.parametrize(
        ("facts", "state"),
        [
            ({}, "ok"),
            ({"ended": True, "opened": False}, "ok"),
            ({"last_frame_at": 960.0}, "problem"),
            ({"last_frame_at": None}, "problem"),
            ({"opened": False, "problem": "rtsp://***@10.0.0.9/x cannot be opened"}, "problem"),
        ],
    )
    def test_a_held_camera_is_judged_by_its_holder(self, facts: dict[str, Any], state: str) -> None:
        """What the running agent says of its camera counts; no second one opens it. No password is told."""
        found = self.state(**facts)
        assert found.state == state
        assert "hunter2" not in repr(found)

    def test_a_camera_that_the_agent_does_not_know_is_a_newer_setting(self) -> None:
        """The remedy is a reload; and where the state may not be read, nothing is said."""
        assert "reload" in cameras.state_finding(self.CAMERA, {"cameras": {}}, 1000.0).command
        assert cameras.state_finding(self.CAMERA, None, 1000.0).state == "skipped"

    def test_a_tried_camera_is_judged_by_its_trial(self) -> None:
        """Good pictures are told with their figures; a problem leads to its own section."""
        trial = Trial("0", "index", opened=True, fps=29.97, age_s=0.031, black=False, width=640, height=480)
        found = cameras.trial_finding("belt", trial)
        assert found.what == "0 gives pictures: 640x480, 30.0 frames a second, 0.03 s old, not black"
        assert cameras.trial_finding("belt", replace(trial, bad={"torn": 2})).state == "warning"
        broken = cameras.trial_finding("belt", replace(trial, problem="/dev/video0 cannot be opened", remedy="Look."))
        assert (broken.section, broken.command) == ("a-camera-cannot-be-opened", "acusight-agent camera probe belt")

    @pytest.mark.parametrize(
        ("mode", "gid", "state"),
        [(0o660, 44, "problem"), (0o660, 990, "ok"), (0o666, 44, "ok"), (0o640, 990, "problem")],
    )
    def test_the_group_must_open_the_node(self, mode: int, gid: int, state: str) -> None:
        """The daemon's user reads and writes the node by one of its groups, or everybody may."""
        found = cameras.group_finding([cameras.Node("/dev/video0", gid, mode)], ACUSIGHT)
        assert found.state == state
        assert state == "ok" or " acusight" in found.command


class TestMachine:
    """The machine."""

    def test_heat_power_and_memory_are_warnings(self) -> None:
        """A sick machine is told, and fails nothing; what it does not tell is left out."""
        sick = Device(temperature_c=84.0, throttling=("under-voltage",), memory_percent=95.0)
        assert [finding.state for finding in machine.findings(sick)] == ["warning"] * 3
        assert [finding.state for finding in machine.findings(Device())] == ["skipped", "ok", "skipped"]
        past = Device(temperature_c=40.0, throttled=("throttled",), memory_percent=30.0)
        assert [finding.state for finding in machine.findings(past)] == ["ok", "warning", "ok"]


class TestService:
    """The service."""

    @pytest.mark.parametrize(
        ("facts", "running", "state", "section"),
        [
            ({}, True, "ok", None),
            ({"UnitFileState": "disabled"}, True, "warning", "the-service-does-not-run"),
            ({"NRestarts": "9"}, True, "warning", "the-service-is-started-again"),
            ({"RuntimeDirectoryPreserve": "yes"}, True, "ok", None),
            ({"RuntimeDirectoryPreserve": "no"}, True, "warning", "the-unit-is-an-old-one"),
            ({"ActiveState": "activating", "NRestarts": "9"}, False, "warning", "the-service-is-started-again"),
            ({"ActiveState": "failed", "ExecMainStatus": "78"}, False, "problem", "the-service-ended-with-78"),
            ({"ActiveState": "inactive", "ExecMainStatus": "0"}, False, "problem", "the-service-does-not-run"),
            ({"ActiveState": "inactive", "ExecMainStatus": "0"}, True, "warning", "the-service-does-not-run"),
            ({"LoadState": "not-found"}, False, "skipped", None),
            ({"LoadState": "not-found"}, True, "ok", None),
        ],
    )
    def test_what_systemd_says_is_judged(
        self,
        facts: dict[str, str],
        running: bool,  # noqa: FBT001
        state: str,
        section: str | None,
    ) -> None:
        """A unit that should run and does not is a problem; an agent without a unit is none."""
        found = service.finding(LOADED | facts, running=running)
        assert (found.state, found.section) == (state, section)

    def test_a_system_without_systemd_has_no_service(self) -> None:
        """That is no failure."""
        assert service.finding(None, running=False).state == "skipped"

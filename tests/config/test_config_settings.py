from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from agent.config.address import check_url, is_near
from agent.config.derived import period_of, tariff_of
from agent.config.environment import Environment, parse_environment, read_environment
from agent.config.fields import plain
from agent.config.load import check, load
from agent.config.paths import PATH_KEYS
from agent.config.settings import ServerSettings, Settings, SpoolSettings, UploadSettings
from agent.config.sizes import size_in_bytes
from agent.config.sources import CameraSettings, WatchSettings
from agent.tariff import Tariff
from agent.timetable import Line

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.toml"


def sections() -> list[tuple[str, type[BaseModel]]]:
    """Return every section with its model."""
    found = []
    for name, field in Settings.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        found.append((name, next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))))
    return found


class TestTree:
    """The settings tree alone."""

    def test_it_reads_no_environment_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Plain `Settings()` are the defaults, whatever variables are set."""
        monkeypatch.setenv("ACUSIGHT_AGENT_UPLOAD__WORKERS", "9")
        assert Settings().upload.workers == 2

    def test_it_is_frozen(self) -> None:
        """Neither a section nor a key can be changed."""
        tree = Settings()
        with pytest.raises(ValidationError, match="frozen"):
            tree.upload.workers = 3
        with pytest.raises(ValidationError, match="frozen"):
            tree.upload = tree.upload

    @pytest.mark.parametrize(("section", "model"), sections())
    def test_every_key_is_described_with_its_unit(self, section: str, model: type[BaseModel]) -> None:
        """Each key has a description, and it names the unit that the key's name promises."""
        for name, field in model.model_fields.items():
            assert field.description, f"{section}.{name}"
            for ending, unit in (("_s", "second"), ("bytes", "bytes"), ("pixels", "pixels"), ("side", "pixels")):
                if name.endswith(ending):
                    assert unit in field.description.lower(), f"{section}.{name}"

    @pytest.mark.parametrize(("section", "model"), sections())
    def test_every_path_is_anchored(self, section: str, model: type[BaseModel]) -> None:
        """The keys that are made absolute are the keys that hold paths, and a camera's source."""
        paths = {name for name, field in model.model_fields.items() if "Path" in str(field.annotation)}
        assert paths == set(PATH_KEYS.get(section, ())) - {"source"}

    @pytest.mark.parametrize(
        ("keys", "period"),
        [({}, 1.0), ({"interval_s": 0}, 0.0), ({"interval_s": 2.5}, 2.5), ({"fps": 4}, 0.25)],
    )
    def test_a_camera_has_one_period(self, keys: dict[str, float], period: float) -> None:
        """Interval or rate, a camera's period is one number; one second where neither is set."""
        camera = CameraSettings.model_validate({"name": "a", "source": "0", **keys})
        assert period_of(camera) == period

    @pytest.mark.parametrize(
        ("source", "when_full"),
        [("0", "thin"), ("/dev/video0", "thin"), ("rtsp://h/", "thin"), ("gst:x", "thin"), ("cmd:x", "thin"),
         ("clip.mp4", "pause"), ("clips/*.avi", "pause")],
    )  # fmt: skip
    def test_what_cannot_wait_is_thinned(self, source: str, when_full: str) -> None:
        """On a full spool a live camera is thinned, a video file and a folder wait; others by request."""
        assert CameraSettings(name="a", source=source).when_full == when_full
        assert WatchSettings(path=Path("/a")).when_full == "pause"
        assert CameraSettings(name="a", source="0", when_full="oldest").when_full == "oldest"
        assert CameraSettings(name="a", source="clip.mp4", when_full="pause").when_full == "pause"

    def test_a_video_file_loses_nothing(self) -> None:
        """To drop frames of what can wait is refused, with what to do."""
        with pytest.raises(ValidationError, match="loses nothing by waiting; leave it out"):
            CameraSettings(name="a", source="clip.mp4", when_full="thin")

    @pytest.mark.parametrize(
        ("model", "keys"),
        [
            (WatchSettings, {"path": "/a", "when_full": "never"}),
            (SpoolSettings, {"max_items": 0}),
            (SpoolSettings, {"min_free_inodes": -1}),
            (CameraSettings, {"name": "a", "source": "0", "fps": 1, "interval_s": 1}),
            (CameraSettings, {"name": "a b", "source": "0"}),
            (CameraSettings, {"name": "..", "source": "0"}),
            (CameraSettings, {"name": "x" * 65, "source": "0"}),
            (CameraSettings, {"name": "a", "source": ""}),
            (CameraSettings, {"name": "a", "source": "0", "fourcc": "MJPEG"}),
            (WatchSettings, {"path": "/"}),
            (WatchSettings, {"path": "/my pictures"}),
            (WatchSettings, {"path": "/a\0b", "name": "x"}),
            (WatchSettings, {"path": "/a", "after_delivery": "move"}),
            (WatchSettings, {"path": "/a", "patterns": []}),
            (WatchSettings, {"path": "/a", "settle_s": float("inf")}),
            (ServerSettings, {"connect_timeout_s": 0}),
            (UploadSettings, {"fresh_share": 1.1}),
            (UploadSettings, {"max_bytes_day": -1}),
            (UploadSettings, {"timetable": [{"days": "weekend"}]}),
            (UploadSettings, {"timetable": [{"hours": "18-18"}]}),
            (UploadSettings, {"timetable": [{"rate": 5}]}),
            (UploadSettings, {"timetable": [{"hours": "12-24", "pause": True}, {"hours": "20-12", "pause": True}]}),
            (ServerSettings, {"connect_timeout_s": 1e300}),
        ],
    )
    def test_impossible_values_are_refused(self, model: type[BaseModel], keys: dict[str, Any]) -> None:
        """What cannot work is refused when it is read, not when it is used."""
        with pytest.raises(ValidationError):
            model.model_validate(keys)

    def test_a_timetable_becomes_a_tariff(self) -> None:
        """Its lines are read once, sizes may have units, and what is not said holds always."""
        upload = UploadSettings.model_validate(
            {
                "max_rate_bytes_s": "1 MB",
                "max_bytes_day": "2 GB",
                "timetable": [{"days": "sat,sun", "pause": True}, {"hours": "06-18:30", "rate_bytes_s": "50 kB"}],
            }
        )
        always = frozenset(range(7))
        lines = (Line(frozenset({5, 6}), 0, 1440, 0, pause=True), Line(always, 360, 1110, 50_000))
        assert tariff_of(upload) == Tariff(10**6, lines, max_bytes_day=2 * 10**9)
        assert tariff_of(UploadSettings()) == Tariff()

    def test_a_camera_password_is_in_no_repr(self) -> None:
        """A camera's URL may hold a password, and is left out of the `repr`."""
        assert "hunter2" not in repr(CameraSettings(name="a", source="rtsp://u:hunter2@h/"))


class TestSizes:
    """Sizes in bytes."""

    @pytest.mark.parametrize(
        ("written", "size"),
        [("0", 0), ("123", 123), ("4 GB", 4 * 10**9), ("500MB", 5 * 10**8), ("2 GiB", 2 * 2**30), ("1.5 kb", 1500),
         (" 7 B ", 7), (9, 9), (None, None)],
    )  # fmt: skip
    def test_sizes_are_read_as_people_write_them(self, written: object, size: object) -> None:
        """Decimal and binary units, with or without a space, whatever the case."""
        assert size_in_bytes(written) == size

    @pytest.mark.parametrize("written", ["", "GB", "4 XB", "-1", "1e9", "4 G B", "٣ GB", "9" * 99, "1,5 GB"])
    def test_anything_else_is_refused(self, written: str) -> None:
        """What is no size gets a sentence with examples."""
        with pytest.raises(ValueError, match="500 MB"):
            size_in_bytes(written)


class TestAddress:
    """The server's URL."""

    @pytest.mark.parametrize(
        "host",
        ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255",
         "192.168.1.1", "169.254.1.1", "::1", "fd00::1", "fe80::1", "fe80::1%eth0", "::ffff:10.0.0.1", "nas.local",
         "NAS.LOCAL."],
    )  # fmt: skip
    def test_plain_http_is_fine_nearby(self, host: str) -> None:
        """Loopback, private and link-local addresses, localhost and .local names are near."""
        assert is_near(host)

    @pytest.mark.parametrize(
        "host",
        ["acusight.io", "8.8.8.8", "172.32.0.1", "172.15.0.1", "100.64.0.1", "0.0.0.0", "2001:db8::1", "::ffff:8.8.8.8",  # noqa: S104 (refused)
         "local", "nas", "xlocalhost", "10.0.0.1.example.com", "10.0.0", "0x7f.1", "192.168.1.1.nip.io"],
    )  # fmt: skip
    def test_everything_else_is_far(self, host: str) -> None:
        """Public addresses, and names that could lead anywhere, are not near."""
        assert not is_near(host)

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("", "empty"),
            ("ftp://h/api", "https://"),
            ("acusight.io/api", "https://"),
            ("https:///api", "no host"),
            ("https://user:hunter2@h/api", "user or password"),
            ("https://@h/api", "user or password"),
            ("https://h/api?hunter2", "query"),
            ("https://h/api#hunter2", "fragment"),
            ("https://h/a b", "spaces"),
            ("https://h/\n", "control"),
            ("https://hö/", "non-ASCII"),
            ("https://h:99999/", "no valid URL"),
            ("https://[::1/", "no valid URL"),
            ("http://acusight.io/api", "unencrypted"),
            ("HTTP://8.8.8.8", "allow_plain_http"),
        ],
    )
    def test_a_bad_address_is_refused(self, url: str, message: str) -> None:
        """Each fault has its own sentence, which never repeats the URL."""
        with pytest.raises(ValueError, match=message) as caught:
            check_url(url, allow_plain_http=False)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("url", ["https://h/api", "https://[::1]:8080/api/", "http://192.168.1.2:8080/api"])
    def test_a_good_address_is_kept_as_written(self, url: str) -> None:
        """The URL is used exactly as written."""
        assert ServerSettings(url=url).url == url

    def test_plain_http_can_be_accepted(self) -> None:
        """`allow_plain_http` opens public hosts, whichever is written first."""
        text = {"url": "http://acusight.io/api", "allow_plain_http": True}
        assert ServerSettings.model_validate(text).url == text["url"]


class TestEnvironment:
    """The process's environment."""

    def test_the_variables_of_the_service_manager(self) -> None:
        """What systemd hands over is read, and malformed values count as absent."""
        variables = {
            "HOME": "/h", "STATE_DIRECTORY": "/s:/s2", "RUNTIME_DIRECTORY": "/r", "CREDENTIALS_DIRECTORY": "/c",
            "XDG_STATE_HOME": "relative", "XDG_RUNTIME_DIR": "/x", "NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "60000000",
            "WATCHDOG_PID": "12a", "JOURNAL_STREAM": "8:1", "NO_COLOR": "1", "INVOCATION_ID": "i",
        }  # fmt: skip
        found = parse_environment(variables, Path("/w"))
        assert found == Environment(
            home=Path("/h"), working_directory=Path("/w"), state_directory=Path("/s"), runtime_directory=Path("/r"),
            credentials_directory=Path("/c"), xdg_state_home=None, xdg_runtime_dir=Path("/x"), notify_socket="@n",
            watchdog_usec=60_000_000, watchdog_pid=None, journal_stream="8:1", invocation_id="i", no_color=True,
            children={
                name: value for name, value in variables.items()
                if name not in {"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
            },
        )  # fmt: skip

    def test_children_get_no_secrets(self, monkeypatch: pytest.MonkeyPatch, canary: str) -> None:
        """A child process inherits the user's environment, without the key and the manager's sockets (I7)."""
        for name in ("ACUSIGHT_AGENT_SERVER__DEVICE_KEY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "LISTEN_FDS"):
            monkeypatch.setenv(name, canary)
        monkeypatch.setenv("WATCHDOG_USEC", "1")
        monkeypatch.setenv("LANG", "C.UTF-8")
        found = read_environment()
        assert found.overrides == {"ACUSIGHT_AGENT_SERVER__DEVICE_KEY": canary}
        assert canary not in found.children.values()
        assert "WATCHDOG_USEC" not in found.children
        assert found.children["LANG"] == "C.UTF-8"
        assert found.working_directory == Path.cwd()


class TestExample:
    """The example and the schema, against the tree."""

    def test_it_is_valid_as_it_stands(self) -> None:
        """The example loads, and sets nothing but defaults and one watched folder."""
        assert check(EXAMPLE, Environment()) == []
        tree = load(EXAMPLE, Environment()).settings
        assert tree == plain(Settings(watch=({"path": str(ROOT / "captures")},)))  # type: ignore[arg-type]

    def test_the_shipped_copy_is_the_same(self) -> None:
        """The file at the top and the one in the package are identical."""
        assert EXAMPLE.read_bytes() == (ROOT / "agent/config/example.toml").read_bytes()

    @pytest.mark.parametrize(("section", "model"), sections())
    def test_it_shows_every_key(self, section: str, model: type[BaseModel]) -> None:
        """With the comment signs of its keys removed, the example names exactly the keys of the tree."""
        text = re.sub(r"^# (?=\[\[camera\]\]|[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
        table = tomllib.loads(text)[section]
        table = table[0] if isinstance(table, list) else table
        assert set(table) == set(model.model_fields)

    def test_a_camera_may_be_a_number(self) -> None:
        """The schema takes what the settings take: a number without quotes is a camera's."""
        camera = Settings.model_json_schema()["$defs"]["CameraSettings"]["properties"]["source"]
        assert [kind["type"] for kind in camera["anyOf"]] == ["string", "integer"]
        assert Settings.model_validate({"camera": [{"name": "gate", "source": 0}]}).camera[0].source == "0"

    def test_the_schema_knows_every_key(self) -> None:
        """The JSON schema is closed, and describes the example's tables."""
        schema = json.loads(json.dumps(Settings.model_json_schema()))
        assert schema["additionalProperties"] is False
        assert set(schema["properties"]) == set(Settings.model_fields)
        for definition in schema["$defs"].values():
            assert definition["additionalProperties"] is False
            assert all("description" in key for key in definition["properties"].values())

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from agent import log as agent_log
from agent.config.environment import Environment

KEY = "adk_c0ffee0123456789"
Lines = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


def json_lines(level: str = "debug", **values: object) -> list[dict[str, object]]:
    """Log one warning with `values`; return the JSON lines that were written."""
    stream = io.StringIO()
    agent_log.configure(level, "json", environment=Environment(), stream=stream, secrets=[KEY])
    structlog.get_logger().warning("thing_happened", **values)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[tuple[io.TextIOWrapper, Environment, Lines]]:
    """Return a stream that is the journal's by device and inode, its environment, and a reader of its lines."""
    path = tmp_path / "journal"
    with path.open("w", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        yield (
            stream,
            Environment(journal_stream=f"{status.st_dev}:{status.st_ino}"),
            lambda: path.read_text().split("\n"),
        )


class TestFormats:
    """Which format is chosen, and what it looks like."""

    def test_json_has_one_object_a_line(self) -> None:
        """A JSON line holds event, level, UTC timestamp and the values."""
        (line,) = json_lines(path=Path("/a/ü\n.jpg"), size=3, ok=True, model=None)
        assert str(line.pop("timestamp")).endswith("Z")
        assert line == {
            "event": "thing_happened", "level": "warning", "path": "/a/ü\n.jpg", "size": 3, "ok": True, "model": None,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]
    )
    def test_the_journal_gets_a_priority_and_no_time(
        self, level: str, priority: int, journal: tuple[io.TextIOWrapper, Environment, Lines]
    ) -> None:
        """Under journald a line is priority, event and values: journald knows the time itself."""
        stream, environment, lines = journal
        agent_log.configure("debug", "auto", environment=environment, stream=stream)
        getattr(structlog.get_logger(), level)("thing_happened", path="a b", size=3, empty="")
        assert lines() == [f'<{priority}>thing_happened path="a b" size=3 empty=""', ""]

    def test_a_stream_that_is_not_the_journals_gets_json(
        self, journal: tuple[io.TextIOWrapper, Environment, Lines]
    ) -> None:
        """A redirected service writes JSON, although JOURNAL_STREAM is set."""
        _, environment, _ = journal
        stream = io.StringIO()
        agent_log.configure("info", "auto", environment=environment, stream=stream)
        structlog.get_logger().info("started")
        assert json.loads(stream.getvalue())["event"] == "started"

    @pytest.mark.parametrize("no_color", [False, True])
    def test_a_terminal_gets_colours_unless_no_color(self, no_color: bool) -> None:  # noqa: FBT001 (a table's column)
        """On a terminal lines are readable; NO_COLOR takes the colours away."""
        ours, theirs = pty.openpty()
        with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 (a descriptor)
            agent_log.configure("info", "auto", environment=Environment(no_color=no_color), stream=stream)
            structlog.get_logger().warning("thing_happened", path="/a")
            line = os.read(ours, 4096).decode()
        os.close(ours)
        assert "thing_happened path=/a" in line
        assert ("\x1b[" in line) is not no_color

    def test_console_can_be_asked_for(self) -> None:
        """`console` without a terminal is readable and without colours, a traceback is indented below."""
        stream = io.StringIO()
        agent_log.configure("info", "console", environment=Environment(), stream=stream)
        _log_failure("one\n2026-01-01 00:00:00 info     forged\x1b[2J")
        first, *others = stream.getvalue().splitlines()
        assert first[20:] == "error    thing_failed"
        assert len(others) > 3
        assert all(line.startswith("    ") and line.isprintable() for line in others)

    def test_the_level_holds_and_can_be_changed(self) -> None:
        """Events below the level are dropped; a logger that was made before follows a new configuration."""
        stream, log = io.StringIO(), structlog.get_logger("early")
        for level in ("error", "info"):
            agent_log.configure(level, "console", environment=Environment(), stream=stream)
            log.info("thing_happened", at=level)
        assert "at=error" not in stream.getvalue()
        assert "at=info" in stream.getvalue()


class TestHostileValues:
    """Values that would harm the log."""

    @pytest.mark.parametrize("evil", ["a\n<2>forged", "a\r\nb", "\x1b[31m", "\u2028", "\x9b1m", "\udcff", 'a" b="c'])
    def test_a_value_cannot_forge_a_line(self, evil: str, journal: tuple[io.TextIOWrapper, Environment, Lines]) -> None:
        """Line breaks, terminal codes, quotes and broken names stay inside their value, on one line."""
        stream, environment, lines = journal
        agent_log.configure("info", "auto", environment=environment, stream=stream)
        structlog.get_logger().info(evil, path=evil)
        structlog.get_logger().info("next")
        first, second, rest = lines()
        assert first.isprintable()
        assert (second, rest) == ("<6>next", "")

    def test_lines_are_bounded(self, journal: tuple[io.TextIOWrapper, Environment, Lines]) -> None:
        """A line never reaches the 48 KiB where journald would cut it in two."""
        stream, environment, lines = journal
        agent_log.configure("info", "auto", environment=environment, stream=stream)
        structlog.get_logger().info("thing_happened", **{f"v{n}": "\U0001f4f7\x00" * 10**5 for n in range(30)})
        line, _ = lines()
        assert len(line.encode()) < 48 * 1024

    def test_anything_can_be_logged(self) -> None:
        """Values without a JSON form are logged as their text."""
        ring: list[object] = []
        ring.append(ring)
        (line,) = json_lines(ring=ring, odd={(1, 2): b"x"}, error=ValueError("no"))
        assert (line["ring"], line["odd"], line["error"]) == ("[[...]]", "{(1, 2): b'x'}", "no")

    def test_a_broken_stream_costs_the_line_alone(self) -> None:
        """A full disk or a closed log never raises into the daemon."""
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            agent_log.configure("info", "json", environment=Environment(), stream=full)
            structlog.get_logger().info("thing_happened")
            closed = io.StringIO()
            agent_log.configure("info", "json", environment=Environment(), stream=closed)
            closed.close()
            structlog.get_logger().info("thing_happened")
            with pytest.raises(OSError, match="No space"):  # the control: the stream was broken indeed
                full.flush()
            os.dup2(os.open("/dev/null", os.O_WRONLY), full.fileno())


class TestSecrets:
    """I7: what must not be in a log."""

    @pytest.mark.parametrize(
        "value",
        [KEY, f"x{KEY}y", {"headers": {"X-Device-Key": KEY}}, [KEY.encode()], ValueError(KEY), "\n" * 1990 + KEY,
         "x" * 1992 + KEY, "rtsp://admin:c0ffee@cam/1", "rtsp://admin:p@c0ffee/x@cam/1", "http://c/?user=a&pwd=c0ffee",
         "adk_0c0ffee", "apt_0c0ffee"],
    )  # fmt: skip
    def test_no_value_shows_one(self, value: object) -> None:
        """Neither the registered key nor what looks like one nor a URL's password is written, however wrapped."""
        written = repr(json_lines(value=value))
        assert "c0ffee" not in written
        assert "thing_happened" in written

    @pytest.mark.parametrize("format", ["json", "console"])
    def test_no_traceback_shows_one(self, format: str) -> None:  # noqa: A002 (the configuration's own word)
        """An exception's text and its causes are cleaned like any value."""
        stream = io.StringIO()
        agent_log.configure("debug", format, environment=Environment(), stream=stream, secrets=["hunter2"])
        _log_failure(f"cannot open rtsp://u:c0ffee@cam with {KEY} hunter2")
        assert "RuntimeError: cannot open rtsp://***@cam with adk_*** ***" in stream.getvalue()


class TestLibraries:
    """What others log the standard way."""

    def test_warnings_are_heard_in_our_format(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A library's warning becomes one of our lines, cleaned; its chatter is dropped."""
        monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own raises at the last of them
        stream = io.StringIO()
        agent_log.configure("debug", "json", environment=Environment(), stream=stream, secrets=[KEY])
        agent_log.configure("debug", "json", environment=Environment(), stream=stream, secrets=[KEY])
        logging.getLogger("httpcore.http11").debug("send_request_headers %s", KEY)
        logging.getLogger("httpx").info("HTTP Request: POST")
        logging.getLogger("watchdog").warning("queue of %s\nis full", KEY)
        logging.getLogger("watchdog").error("%d", "not a number")
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [(line["level"], line["library"], line["message"]) for line in lines] == [
            ("warning", "watchdog", "queue of ***\nis full"),
            ("error", "watchdog", "%d"),
        ]


def test_rich_is_never_imported() -> None:
    """Logging needs structlog alone: rich would add 8 MB to the daemon."""
    program = "import sys, agent.log; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _log_failure(message: str) -> None:
    failure = RuntimeError(message)
    failure.__cause__ = OSError(message)
    structlog.get_logger().error("thing_failed", exc_info=failure)

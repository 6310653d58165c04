"""Logging, set up once: readable on a terminal, one line with a priority under journald, else JSON.

Every value is made into a safe text or number first: secrets hidden, length bounded. Only then is it rendered.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from typing import TYPE_CHECKING, TextIO

import structlog

from agent.config.redaction import printable, redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from structlog.typing import EventDict, Processor, WrappedLogger

    from agent.config.environment import Environment

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_COLOURS = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31;1m",
}
_PLAIN = "\x1b[0m"
_LONGEST_VALUE = 2_000
_LONGEST_TRACEBACK = 8_000
_LONGEST_READ = 20_000  # of a value, before secrets are looked for in it
# journald cuts lines at 48 KiB, and the rest would come without its priority; a character has four bytes at most.
_LONGEST_LINE = 12_000
_BARE_VALUE = re.compile(r'[^\s"=]+')


def configure(
    level: str,
    format: str,  # noqa: A002 (the configuration's own word)
    *,
    environment: Environment,
    stream: TextIO | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Send all events at `level` or above to `stream`, standard error by default.

    `format` is `auto`, `json` or `console`. `secrets` are hidden wherever they would appear. May be called again, to
    change the level or to name a new key. Libraries that log the standard way are heard from warnings on: at DEBUG
    httpcore shows whole requests, the key among them.
    """
    stream = sys.stderr if stream is None else stream
    lines = _Lines(stream)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _Safe(tuple(secrets)),
            *_rendering(format, stream, environment),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_names: lines,
        cache_logger_on_first_use=False,
    )
    _hear_libraries()


def under_journald(stream: TextIO, environment: Environment) -> bool:
    """Tell whether `stream` is the journal itself, which systemd names by device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.journal_stream == f"{status.st_dev}:{status.st_ino}"


def _rendering(name: str, stream: TextIO, environment: Environment) -> list[Processor]:
    terminal = stream.isatty()
    if name == "auto" and not terminal and under_journald(stream, environment):
        return [_journal_line]
    if name == "console" or (name == "auto" and terminal):
        colours = terminal and not environment.no_color
        return [structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False), _Console(colours=colours)]
    return [structlog.processors.TimeStamper(fmt="iso", utc=True), _json_line]


class _Safe:
    """Makes every value a number or a bounded text without secrets."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> MutableMapping[str, object]:
        return {key: self._value(key, value) for key, value in event.items()}

    def _value(self, key: str, value: object) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        text = str(value)
        if key == "exception":  # its end says what happened
            return redacted(text[-_LONGEST_READ:], self._secrets)[-_LONGEST_TRACEBACK:]
        text = redacted(text[:_LONGEST_READ], self._secrets)
        return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return json.dumps(event)


def _journal_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    priority = _PRIORITIES[event.pop("level")]
    name = printable(str(event.pop("event")))
    return f"<{priority}>{_spaced(name, _pairs(event))}"[:_LONGEST_LINE]


class _Console:
    """Renders for a person's eyes: time, level, event, values; tracebacks indented below."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        level, moment = event.pop("level"), event.pop("timestamp")
        name = printable(str(event.pop("event")))
        traceback = event.pop("exception", "")
        shown = f"{level:<8}"
        if self._colours:
            shown = f"{_COLOURS[level]}{shown}{_PLAIN}"
        line = _spaced(moment, shown, name, _pairs(event))
        # Indented, so that the text of an error cannot pass for an event of its own.
        return "\n".join([line, *(f"    {printable(part)}" for part in traceback.splitlines())])


def _pairs(event: EventDict) -> str:
    return " ".join(f"{key}={_quoted(value)}" for key, value in event.items())


def _quoted(value: object) -> str:
    text = str(value)
    return printable(text if _BARE_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=False))


def _spaced(*parts: str) -> str:
    return " ".join(filter(None, parts))


class _Lines:
    """Writes whole lines. A full disk or a closed pipe behind the log costs lines, never the daemon."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Write one event."""
        with self._lock:
            try:
                self._stream.write(f"{line}\n")
                self._stream.flush()
            except (OSError, ValueError):  # ValueError: closed, or an encoding that lacks a character
                return

    debug = info = warning = error = critical = msg


class _Forward(logging.Handler):
    """Hands what a library logs to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # a library's format and arguments that do not match
            message = str(record.msg)
        log = structlog.get_logger(record.name)
        report = log.error if record.levelno >= logging.ERROR else log.warning
        report("library_warned", library=record.name, message=message, exc_info=record.exc_info)


def _hear_libraries() -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Forward):
            root.removeHandler(handler)
    root.addHandler(_Forward(level=logging.WARNING))
    root.setLevel(logging.WARNING)

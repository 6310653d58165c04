from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.config import mark
from agent.config.environment import Environment
from agent.config.load import load
from agent.config.mark import trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

TEXT = """
[server]
device_key_file = "key"
[spool]
dir = "~/spool"
[[watch]]
path = "in"
[[upload.timetable]]
hours = "22-06"
pause = true
"""


def around(tmp_path: Path, **more: Path | dict[str, str]) -> Environment:
    """Return the surroundings of a process in a folder of its own."""
    return Environment(home=tmp_path / "home", working_directory=tmp_path, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", TEXT, "\N{ZERO WIDTH NO-BREAK SPACE}" + TEXT, '[spool]\ndir = "/srv/spool"'])
def test_what_is_traced_is_what_would_be_loaded(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Mark, spool and state file come out the same without the check as with it, wherever the file lies."""
    path, environment = write(text), around(tmp_path)
    monkeypatch.chdir(tmp_path)
    for given in (path, path.relative_to(tmp_path), None):
        found, loaded = trace(given, environment), load(given, environment)
        assert found is not None
        assert (found.mark, found.spool_dir, found.state_file) == (loaded.mark, loaded.spool_dir, loaded.state_file)


def test_without_a_file_there_is_a_trace_too(tmp_path: Path) -> None:
    """The defaults alone are a configuration."""
    environment = around(tmp_path, state_directory=tmp_path / "state", runtime_directory=tmp_path / "run")
    found, loaded = trace(None, environment), load(None, environment)
    assert found is not None
    assert (found.mark, found.spool_dir, found.state_file) == (loaded.mark, loaded.spool_dir, loaded.state_file)


def test_whatever_the_check_saw_is_in_the_mark(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting, the file's mode, the key's file, the folder that relative paths start from, the release."""
    environment, marks = around(tmp_path), []
    key = tmp_path / "key"

    def seen(environment: Environment = environment) -> None:
        found = trace(tmp_path / "config.toml", environment)
        assert found is not None
        marks.append(found.mark)

    write(TEXT)
    seen()
    write(TEXT, 0o644)
    seen()
    write(TEXT + "[log]\nlevel = 'debug'")
    seen()
    write(TEXT)
    key.write_text("adk_1", encoding="utf-8")
    seen()
    key.chmod(0o604)
    seen()
    seen(Environment(home=tmp_path / "elsewhere", working_directory=tmp_path))
    monkeypatch.setattr(mark, "__version__", "9.9")
    seen()
    assert len(set(marks)) == len(marks) == 7


def test_a_comment_is_no_news(tmp_path: Path, write: Write) -> None:
    """The mark is of what was set, not of how it is written down."""
    before = trace(write(TEXT), around(tmp_path))
    assert before is not None
    assert trace(write(f"# a note\n{TEXT}"), around(tmp_path)) == before


@pytest.mark.parametrize("text", ["not toml", "[spool]\ndir = 7", "spool = 7", "watch = " + "[" * 3000, "\udcff"])
def test_what_only_the_check_has_words_for_leaves_no_trace(tmp_path: Path, text: str) -> None:
    """Broken files, files that are not there, and settings of the environment are left to `load`."""
    path = tmp_path / "config.toml"
    assert trace(path, around(tmp_path)) is None
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert trace(path, around(tmp_path)) is None
    path.write_text(TEXT, encoding="utf-8")
    overrides = {"ACUSIGHT_AGENT_LOG__LEVEL": "debug"}
    assert trace(path, around(tmp_path, overrides=overrides)) is None
    assert trace(path, around(tmp_path, overrides=dict.fromkeys(overrides, ""))) is not None

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.commands.config import command
from agent.errors import ConfigError

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, inherited: Path | None = None) -> Result:
    """Run a subcommand as the top-level group would."""
    return CliRunner().invoke(command, list(arguments), obj=inherited)


class TestInit:
    """`config init`."""

    def test_it_writes_a_private_valid_file(self, tmp_path: Path) -> None:
        """The example is written readable by its owner alone, and passes the check."""
        assert run("init").exit_code == 0
        assert (tmp_path / "config.toml").stat().st_mode & 0o777 == 0o600
        result = run("check")
        assert result.exit_code == 0
        assert result.output.splitlines()[0] == f"ok: {tmp_path}/config.toml"
        assert f"watch captures: {tmp_path}/captures (not there yet)" in result.output

    @pytest.mark.parametrize("name", ["config.toml", "elsewhere/mine.toml"])
    def test_an_editor_finds_the_schema(self, tmp_path: Path, name: str) -> None:
        """The first line leads, from wherever the file lies, to this release's schema."""
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        assert run("init", name).exit_code == 0
        word, schema = path.read_text(encoding="utf-8").splitlines()[0].split()
        assert word == "#:schema"
        assert (path.parent / schema).read_text(encoding="utf-8") == run("schema").output
        assert (path.parent / schema).stat().st_mode & 0o777 == 0o644

    def test_it_replaces_nothing_unasked(self, write: Write) -> None:
        """A file that is there stays, unless --force; then it is replaced and made private."""
        path = write("mine", 0o644)
        result = run("init", str(path))
        assert isinstance(result.exception, ConfigError)
        assert path.read_text() == "mine"
        assert run("init", str(path), "--force").exit_code == 0
        assert "[server]" in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_place_that_cannot_be_written_is_an_error(self, tmp_path: Path) -> None:
        """A missing folder is said in one sentence."""
        result = run("init", str(tmp_path / "missing" / "config.toml"))
        assert "cannot write" in str(result.exception)


class TestCheck:
    """`config check`."""

    def test_every_problem_has_its_line(self, write: Write) -> None:
        """All problems are printed, one a line, and the command ends with 78."""
        path = write("[server]\nulr = 1\n[upload]\nworkers = 0\n")
        result = run("check", "-c", str(path))
        assert [line.split(": ")[0] for line in result.output.splitlines()] == [f"{path}:2", f"{path}:4"]
        assert isinstance(result.exception, ConfigError)
        assert result.exception.exit_code == 78
        assert "2 problems" in str(result.exception)

    def test_the_own_option_wins_over_the_inherited_one(self, write: Write, tmp_path: Path) -> None:
        """The path may come from the top-level group; one given to the subcommand is nearer."""
        path = write("")
        absent = tmp_path / "absent.toml"
        assert run("check", inherited=path).exit_code == 0
        assert run("check", inherited=absent).exit_code != 0
        assert run("check", "-c", str(path), inherited=absent).exit_code == 0

    def test_what_is_missing_is_noted(self, write: Write) -> None:
        """No source and no key are worth a note, and are no errors."""
        output = run("check", "-c", str(write(""))).output
        assert "no [[watch]] and no [[camera]]" in output
        assert "no device key yet" in output


class TestShow:
    """`config show`."""

    SOURCES = (
        '[server]\ndevice_key = "{key}"\n[[watch]]\npath = "/a"\nname = "w"\n'
        '[[camera]]\nname = "c"\nsource = "rtsp://admin:hunter2@cam/1?password=hunter3"\n'
    )

    @pytest.mark.parametrize("arguments", [["show"], ["show", "--json"], ["check"]])
    def test_no_secret_is_shown(self, arguments: list[str], write: Write, canary: str) -> None:
        """Neither the key nor a camera's password is printed; where the key comes from is (I7)."""
        path = write(self.SOURCES.format(key=canary))
        result = run(*arguments, "-c", str(path))
        assert result.exit_code == 0
        assert str(path) in result.output
        assert "rtsp://***@cam/1" in result.output
        assert not [secret for secret in (canary, canary[4:], "hunter2", "hunter3") if secret in result.output]

    def test_json_is_the_whole_truth(self, write: Write) -> None:
        """The JSON form holds every setting in effect, and whether there is a key."""
        path = write(self.SOURCES.format(key="adk_01"))
        shown = json.loads(run("show", "--json", "-c", str(path)).output)
        assert shown["device_key"] == {"present": True, "source": str(path)}
        assert shown["settings"]["watch"][0]["path"] == "/a"
        assert shown["settings"]["upload"]["workers"] == 2
        assert "device_key" not in shown["settings"]["server"]

    def test_the_text_can_be_read_back(self, write: Write) -> None:
        """What `show` prints is a valid configuration with the same settings."""
        path = write('[[watch]]\npath = "/a"\n[encode]\nmax_bytes = "1 MB"\n')
        first = run("show", "-c", str(path)).output
        second = run("show", "-c", str(write(first))).output
        assert first == second


def test_schema_is_json() -> None:
    """The schema is one JSON object that names every section."""
    assert "server" in json.loads(run("schema").output)["properties"]


@pytest.mark.parametrize("name", ["", "init", "check", "show", "schema"])
def test_every_help_has_an_example(name: str) -> None:
    """Each help text shows how the command is used."""
    result = run(*filter(None, [name]), "--help")
    assert result.exit_code == 0
    assert "Example:\n  " in result.output
    assert "acusight-agent config" in result.output

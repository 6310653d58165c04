from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from example_rig import COMMANDS, GENERATE, ROOT, examples

from agent.commands import group

if TYPE_CHECKING:
    from collections.abc import Callable

REFERENCE = ROOT / "docs/reference"


def words_of(line: str) -> list[str]:
    """Return the arguments of a command line, without its environment and where its output goes."""
    words = shlex.split(line.partition(" > ")[0])
    return words[words.index("acusight-agent") + 1 :]


def recorder(reached: list[str], name: str) -> Callable[..., None]:
    """Return what stands in for the work of a command: it notes that the command was reached."""

    def record(**_: object) -> None:
        reached.append(name)

    return record


EXAMPLES = [(path, line) for path, command in COMMANDS.items() for line in examples(command)]


class TestPages:
    """What is committed, against the code."""

    @pytest.mark.parametrize("name", ["commands.md", "config.schema.json", "configuration.md"])
    def test_a_page_is_what_the_code_says(self, name: str) -> None:
        """A generated page that differs from the code is stale; `make docs` writes it anew."""
        assert (REFERENCE / name).read_text(encoding="utf-8") == GENERATE.pages()[name], "run: make docs"

    def test_the_schema_is_what_the_command_prints(self) -> None:
        """An editor is given the same schema by the repository and by the program."""
        printed = CliRunner().invoke(group, ["config", "schema"])
        assert printed.output == (REFERENCE / "config.schema.json").read_text(encoding="utf-8")

    def test_the_example_names_the_schema(self) -> None:
        """The first line of the example leads an editor to a schema that is there and knows each of its tables."""
        text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
        word, path = text.splitlines()[0].split()
        schema: dict[str, Any] = json.loads((ROOT / path).read_text(encoding="utf-8"))
        assert word == "#:schema"
        assert set(tomllib.loads(text)) <= set(schema["properties"])

    def test_every_key_has_its_row(self) -> None:
        """The page names each key of each table once where the table is described."""
        text = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
        schema = json.loads((REFERENCE / "config.schema.json").read_text(encoding="utf-8"))
        tables = [one["properties"] for one in schema["$defs"].values() if "properties" in one]
        assert text.count("\n| `") == sum(map(len, tables))


class TestExamples:
    """The examples that `--help` shows."""

    @pytest.mark.parametrize("path", COMMANDS)
    def test_a_command_has_one(self, path: str) -> None:
        """The help of every command ends with an example."""
        assert examples(COMMANDS[path])

    @pytest.mark.parametrize(("path", "line"), EXAMPLES)
    def test_it_is_understood(self, path: str, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """An example reaches the command whose help shows it, with words that it knows; only the work is left out."""
        reached: list[str] = []
        for name, command in COMMANDS.items():
            if not isinstance(command, click.Group):
                monkeypatch.setattr(command, "callback", recorder(reached, name))
        monkeypatch.chdir(tmp_path)
        words = [word.replace("/srv/pictures", "captures").replace("*", "1") for word in words_of(line)]
        (tmp_path / "captures").mkdir()
        for name in words:
            if Path(name).suffix and not Path(name).is_absolute():
                (tmp_path / name).touch()
        group.main(words, prog_name="acusight-agent", standalone_mode=False)
        assert len(reached) == 1
        assert f"{reached[0]} ".startswith(f"{path} ")

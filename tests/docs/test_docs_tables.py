from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wire_rig import KEY, Server, make_client, make_item, with_metadata

from agent import __version__, errors
from agent.annotations.metadata import metadata_json
from agent.commands import VERBS
from agent.frame import Annotation, Labels, Model
from agent.platform.answers import Answer, Meaning, read_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire_rig import Request

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"
SEEN = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)
PICTURE = b"\xff\xd8\xff a picture"
# What the agent does about an answer, by a word that the page says it with.
DONE = {
    Meaning.REFUSED: "quarantined",
    Meaning.TOO_LARGE: "smaller",
    Meaning.DENIED: "the picture waits",
    Meaning.WRONG_URL: "the link pauses",
    Meaning.UNPROVEN: "the link pauses",
    Meaning.BUSY: "Retry-After",
    Meaning.SERVER_ERROR: "tried again",
    Meaning.DUPLICATE: "the platform has it",
}


def rows(name: str, heading: str) -> list[list[str]]:
    """Return the cells of the table that follows a heading."""
    text = (REFERENCE / name).read_text(encoding="utf-8").partition(f"{heading}\n")[2].partition("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def kinds(kind: type[errors.AgentError] = errors.AgentError) -> Iterator[type[errors.AgentError]]:
    """Yield every kind of error."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


class TestExitCodes:
    """The page of exit codes."""

    def test_it_has_every_code_and_no_other(self) -> None:
        """What the errors end with, and 0."""
        said = [int(row[0]) for row in rows("exit-codes.md", "# Exit codes")]
        assert said == sorted({0, *(kind.exit_code for kind in kinds())})

    def test_it_names_commands_that_there_are(self) -> None:
        """A row's examples are verbs of the agent, and a word after one an option of its or a verb below it."""
        named = re.findall(r"`([a-z]+)(?: [^`]*)?`", "\n".join(row[2] for row in rows("exit-codes.md", "# Exit codes")))
        assert named
        assert set(named) <= set(VERBS)

    def test_help_speaks_of_no_other(self) -> None:
        """Each "ends with" and "with" of a help text is a code of the page."""
        said = {int(row[0]) for row in rows("exit-codes.md", "# Exit codes")}
        text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
        told = {int(code) for code in re.findall(r"(?:[Ee]nds?|,) with (\d+)\b", text)}
        assert told
        assert told <= said


class TestWireFormat:
    """The page of the wire format."""

    def test_the_sample_is_what_goes_over_the_wire(self, tmp_path: Path) -> None:
        """Host, key, boundary and bytes of the picture aside, the page shows an upload to the last header."""
        labels = Labels((Annotation("scratch", (0.5, 0.25, 0.1, 0.2)),))
        metadata = metadata_json(source="dock", captured_at=SEEN, model=Model("belt-check", "4"), labels=labels)
        item = with_metadata(make_item(tmp_path, PICTURE), metadata)
        with Server() as server, make_client(server.url) as client:
            client.upload(item)
        sample = re.search(r"```http\n(.*?)```", (REFERENCE / "wire-format.md").read_text(encoding="utf-8"), re.DOTALL)
        assert sample is not None
        assert sample[1] == shown(server.requests[0])

    def test_an_answer_is_in_the_row_that_says_what_is_done(self) -> None:
        """Every status is in one row, by itself or with its hundred, and is treated as that row says."""
        table = rows("wire-format.md", "## What an answer means")
        for status in range(300, 600):
            meaning = read_answer(Answer(status, {}, b""), SEEN).meaning
            (done,) = [done for answers, done in table if names(answers, status)]
            assert DONE[meaning] in done, status


def names(cell: str, status: int) -> bool:
    """Tell whether a row is about a status: named, of its hundred, or of what nobody else names."""
    every = "\n".join(answers for answers, _ in rows("wire-format.md", "## What an answer means"))
    named = re.findall(r"\d{3}", every)
    if str(status) in named:
        return str(status) in cell
    if status // 100 == 3:
        return "redirect" in cell
    return (f"{status // 100}xx" if status // 100 == 5 else "any other 4xx") in cell


def shown(request: Request) -> str:
    """Write a request as the page does."""
    boundary = request.headers["content-type"].partition("boundary=")[2]
    headers = {
        **request.headers,
        "host": "acusight.io",
        "x-device-key": "adk_…",
        "user-agent": f"acusight-agent/{__version__}",
    }
    assert request.headers["x-device-key"] == KEY
    head = "\n".join(f"{name}: {value}" for name, value in headers.items())
    body = request.body.replace(PICTURE, b"(the picture's bytes)").decode().replace("\r\n", "\n")
    text = f"{request.method} {request.target} HTTP/1.1\n{head}\n\n{body}"
    return text.replace(boundary, "acusight-2c26…-7")

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.completion import complete, completed_text
from agent.config.example import example_text
from agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

VALUES = {"url": "http://10.0.0.7:8080/api", "device_key_file": "device_key", "device_key": None}
NEXT = '\n# The model that made it.\n[model]\nid = "m"\n'


def test_the_example_keeps_every_comment() -> None:
    """Two lines change in the commented example: the URL's, and the one that is added below it."""
    before, after = example_text().splitlines(), completed_text(example_text(), VALUES).splitlines()
    assert [line for line in before if line not in after] == ['url = "https://acusight.io/api"']
    assert [line for line in after if line not in before] == [
        f'url = "{VALUES["url"]}"',
        'device_key_file = "device_key"',
    ]
    at = after.index('device_key_file = "device_key"')
    assert after[at - 1].startswith("url = ")


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("", '[server]\nurl = "http://10.0.0.7:8080/api"\ndevice_key_file = "device_key"\n'),
        (
            f"[server]\n# where\nurl = 'x' # here{NEXT}",
            f'[server]\n# where\nurl = "http://10.0.0.7:8080/api" # here\ndevice_key_file = "device_key"{NEXT}',
        ),
        (
            f'[server]\ndevice_key = "adk_01" # mine\ntimeout = 3\n{NEXT}',
            f'[server]\nurl = "http://10.0.0.7:8080/api"\ndevice_key_file = "device_key"\ntimeout = 3\n{NEXT}',
        ),
        (
            f'server = {{ url = "x" }} # short{NEXT}',
            f'server = {{ url = "http://10.0.0.7:8080/api", device_key_file = "device_key"}} # short{NEXT}',
        ),
        (
            'server.url = "x" # dotted\n\n# next\n[model]\n',
            f'server.url = "{VALUES["url"]}" # dotted\nserver.device_key_file = "device_key"\n\n# next\n[model]\n',
        ),
        (
            '# mine\n[[watch]]\npath = "x"',
            f'# mine\n[[watch]]\npath = "x"\n\n[server]\nurl = "{VALUES["url"]}"\ndevice_key_file = "device_key"\n',
        ),
    ],
    ids=["empty", "comment", "inline key", "inline table", "dotted", "no section"],
)
def test_whatever_a_person_wrote_stays(text: str, completed: str) -> None:
    """Only the keys that were asked for change, wherever and however the section is written."""
    assert completed_text(text, VALUES) == completed


def test_what_says_so_already_is_left_alone(tmp_path: Path) -> None:
    """A file that holds the values is not written again, not even with other white space."""
    path = tmp_path / "config.toml"
    path.write_text('[server]\n  url   =   "http://h/api"\n', encoding="utf-8")
    before = path.stat()
    assert not complete(path, {"url": "http://h/api", "device_key": None})
    assert path.stat() == before


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    """The new file has the old one's mode, and a link that somebody manages still points to it."""
    real, link = tmp_path / "real.toml", tmp_path / "config.toml"
    real.write_text("[server]\n", encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    assert complete(link, {"url": "http://h/api"})
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert tomllib.loads(real.read_text(encoding="utf-8")) == {"server": {"url": "http://h/api"}}
    assert sorted(os.listdir(tmp_path)) == ["config.toml", "real.toml"]  # noqa: PTH208 (names)


def test_a_new_file_is_private(tmp_path: Path) -> None:
    """Where there was none, the example is completed, readable by its owner alone."""
    path = tmp_path / "etc" / "config.toml"
    assert complete(path, {"url": "http://h/api"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="utf-8").count("\n") == example_text().count("\n")


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    """The error names the file, and the old one is untouched."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        complete(tmp_path / "file" / "config.toml", VALUES)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=["Cs", "Cc"]), max_size=12)


@given(comment=WORDS, value=WORDS, spaces=st.sampled_from(["", " ", "\t"]), extra=st.sampled_from(["", NEXT]))
def test_any_url_and_comment_survive(comment: str, value: str, spaces: str, extra: str) -> None:
    """Whatever stands there, the completed text says the same but for the keys, and is stable."""
    text = f"[server]{spaces}#{comment}\nurl{spaces}={spaces}'x'{spaces}# {comment}\n{extra}"
    completed = completed_text(text, {"url": value, "device_key_file": "k"})
    assert tomllib.loads(completed) == {**tomllib.loads(text), "server": {"url": value, "device_key_file": "k"}}
    assert completed.count(f"#{comment}") >= 1
    assert completed_text(completed, {"url": value, "device_key_file": "k"}) == completed

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.lines import KeyPath, key_lines, line_of

TEXT = '''\
# a comment
top = 1

[server]
url = "x"   # [not] = a header
"quoted key" = 1
a.b."c.d" = 2
text = """
[fake]
fake = 1
"""
list = [
  "x = 1",
  2,
]
table = {p = 1, q = {r = 2}}

[[watch]]
path = "a"
[[watch]]
path = "b"
  [watch.deep]
  key = 1
[[watch.many]]
k = 1
[[watch.many]]
k = 2
[ spaced . "header" ]
k = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server",), 4),
        (("server", "url"), 5),
        (("server", "quoted key"), 6),
        (("server", "a", "b", "c.d"), 7),
        (("server", "text"), 8),
        (("server", "list"), 12),
        (("server", "list", 1), 12),
        (("server", "table", "q", "r"), 16),
        (("watch", 0), 18),
        (("watch", 0, "path"), 19),
        (("watch", 1, "path"), 21),
        (("watch", 1, "deep", "key"), 23),
        (("watch", 1, "many", 0, "k"), 25),
        (("watch", 1, "many", 1, "k"), 27),
        (("spaced", "header", "k"), 29),
        (("server", "absent"), 4),
        (("fake",), None),
        (("nothing", "here"), None),
    ],
)
def test_a_key_is_found_where_it_stands(path: KeyPath, line: int | None) -> None:
    """Every way to write a key leads to its line; what is absent leads to its table's, or to none."""
    assert line_of(path, key_lines(TEXT)) == line


def test_windows_line_ends_count_once() -> None:
    """CRLF texts have the same lines."""
    assert key_lines(TEXT.replace("\n", "\r\n")) == key_lines(TEXT)


def test_what_cannot_be_told_is_left_out() -> None:
    """Behind a statement that is too long to follow, there are no lines rather than wrong ones."""
    text = "a = 1\nlong = [\n" + "1,\n" * 200 + "]\n[server]\nurl = 1\n"
    assert key_lines(text) == {("a",): 1}


NAMES = st.sampled_from(["a", "b", "c", '"d e"', "'f.g'"])
VALUES = st.sampled_from(["1", '"x = 1"', '"""\n[a]\nb = 1\n"""', "[\n1,\n2]", "{x = 1}"])
STATEMENTS = st.one_of(
    st.builds("{} = {}".format, NAMES, VALUES),
    st.builds("{}.{} = {}".format, NAMES, NAMES, VALUES),
    st.builds("[{}]".format, NAMES),
    st.builds("[[{}]]".format, NAMES),
    st.builds("[{}.{}]".format, NAMES, NAMES),
    st.sampled_from(["", "# a = 1"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STATEMENTS, max_size=8).map("\n".join))
def test_every_key_of_a_valid_text_is_found(text: str) -> None:
    """In a valid text each key has a line, and that line holds the key's name."""
    try:
        document = tomllib.loads(text)
    except ValueError:
        return
    lines = key_lines(text)
    for path in _leaves(document):
        line = lines[path]
        assert str(path[-1]) in text.split("\n")[line - 1]


def _leaves(node: dict[str, Any], above: KeyPath = ()) -> list[KeyPath]:
    found: list[KeyPath] = []
    for name, value in node.items():
        path = (*above, name)
        tables = isinstance(value, list) and all(isinstance(part, dict) for part in value)
        if isinstance(value, dict):
            found += _leaves(value, path)
        elif tables:
            found += [leaf for index, part in enumerate(value) for leaf in _leaves(part, (*path, index))]
        else:
            found.append(path)
    return found

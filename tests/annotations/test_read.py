from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.annotations.read import MAX_SIDECAR_BYTES, read_sidecar
from agent.errors import BadSidecar
from agent.frame import Labels

KEYS = ["annotations", "class_value", "geometry", "type", "confidence", "model", "id", "schema", "timestamp"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)
tokens = st.sampled_from(
    ["0", "1", "7", "0.5", "1.0", "-3", "nan", "1e3", "x", "\n", "0 0.5 0.5 0.1 0.1", "\x0b", "\u2028"]
)


def judged(name: str, data: bytes) -> None:
    """Read, and accept labels or a refusal in one line that names the file."""
    try:
        labels = read_sidecar(name, data, classes=("a", "b"), width=640, height=480)
    except BadSidecar as refusal:
        labels, complaint = Labels(()), str(refusal)
    else:
        complaint = name
    assert complaint.startswith(name)
    assert "\n" not in complaint
    for annotation in labels.annotations:
        assert annotation.class_value.encode()
        assert all(0 <= side <= 1 for side in annotation.geometry)
        assert min(annotation.geometry[2:]) > 0
        assert annotation.confidence is None or 0 <= annotation.confidence <= 1


@given(st.binary(max_size=200), st.sampled_from(["a.json", "a.txt", "a.xml"]))
def test_any_bytes_are_labels_or_a_refusal(data: bytes, name: str) -> None:
    """No file, however broken, brings another error."""
    judged(name, data)


@settings(max_examples=400)
@given(json_values)
def test_any_json_is_labels_or_a_refusal(document: object) -> None:
    """No JSON does either, wherever the unexpected stands."""
    judged("a.json", json.dumps(document).encode())
    judged("a.json", json.dumps({"annotations": [{"class_value": "a", "geometry": document}]}).encode())
    judged("a.json", json.dumps({"annotations": document}).encode())


@settings(max_examples=400)
@given(st.lists(tokens, max_size=40))
def test_any_words_are_labels_or_a_refusal(words: list[str]) -> None:
    """Nor do lines of any length and make."""
    judged("a.txt", " ".join(words).encode())


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xml", b"<note/>", "line 1: expected <annotation>, not <note>"),
        ("a", b"", "of no known format"),
        ("a.json", b" " * (MAX_SIDECAR_BYTES + 1), "larger than"),
        ("a.txt", b"0 0.5 0.5 0.1 0.1\n\xff\xfe", "line 2: no UTF-8 text"),
    ],
)
def test_what_no_reader_takes_is_refused(name: str, data: bytes, message: str) -> None:
    """Unknown formats, endless files and binary ones are told by their name."""
    with pytest.raises(BadSidecar, match=message):
        read_sidecar(name, data, classes=(), width=640, height=480)


def test_the_longest_file_is_read() -> None:
    """The limit itself is within the limit."""
    data = b'{"annotations": []}'.ljust(MAX_SIDECAR_BYTES)
    assert read_sidecar("a.annotations.json", data, classes=(), width=640, height=480) == Labels(())

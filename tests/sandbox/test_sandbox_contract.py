from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media import JPEG, PNG
from agent.sandbox.contract import Keys, Refusal, key_suffix, media_type_of, metadata_of

BOX = {"class_value": "scratch", "type": "bbox", "geometry": [0.31, 0.62, 0.08, 0.05]}
GOOD = {
    "model_id": "mdl_77",
    "model_version": "2.1.0",
    "source": "belt-west",
    "timestamp": "2026-03-14T08:15:02.417Z",
    "annotations": [BOX],
}


@pytest.mark.parametrize(
    "metadata",
    [
        GOOD,
        {},
        {"annotations": []},
        {"annotations": [{**BOX, "geometry": [0, 1, 1.0, 0.0], "confidence": 0.93, "z_order": 3}]},
        {"model_id": None, "operator": {"shift": 3}},
    ],
)
def test_metadata_of_the_contract_is_taken(metadata: dict[str, Any]) -> None:
    """Whole, partly or not filled, with keys of one's own: metadata comes out as it went in."""
    assert metadata_of(json.dumps(metadata)) == metadata


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "metadata is not JSON"),
        ("{", "metadata is not JSON"),
        ("[]", "metadata is not a JSON object"),
        ('{"x": NaN}', "metadata is not JSON"),
        ('{"x":' + "[" * 100_000, "metadata is not JSON"),
        (json.dumps({**GOOD, "source": 3}), r"metadata\.source is not a string"),
        (json.dumps({"annotations": {}}), r"metadata\.annotations is not a list"),
        (json.dumps({"annotations": [BOX, "x"]}), r"metadata\.annotations\[1\] is not an object"),
        (json.dumps({"annotations": [{**BOX, "class_value": ""}]}), r"\[0\]\.class_value"),
        (json.dumps({"annotations": [{**BOX, "class_value": 3}]}), r"\[0\]\.class_value"),
        (json.dumps({"annotations": [{**BOX, "type": "polygon"}]}), r"\[0\]\.type"),
        (json.dumps({"annotations": [{**BOX, "confidence": "high"}]}), r"\[0\]\.confidence"),
    ],
)
def test_metadata_beyond_the_contract_is_refused(text: str, complaint: str) -> None:
    """A wrong key is a 400 that names it."""
    with pytest.raises(Refusal, match=complaint) as caught:
        metadata_of(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "geometry",
    ["[0.1, 0.1, 0.1]", "[0, 0, 0, 0, 0]", "[0, 0, 0, 1.01]", "[-0.01, 0, 0, 0]", "[0, 0, 0, true]", '[0, 0, 0, "1"]',
     "[0, 0, 0, 1e999]", "null", "{}"],
)  # fmt: skip
def test_a_geometry_is_four_shares(geometry: str) -> None:
    """A box is four numbers from 0 to 1, booleans and infinities are none."""
    with pytest.raises(Refusal, match="geometry"):
        metadata_of(f'{{"annotations": [{{"class_value": "a", "type": "bbox", "geometry": {geometry}}}]}}')


@given(st.text())
def test_no_text_breaks_the_check(text: str) -> None:
    """Any text at all is either an object or a Refusal."""
    with suppress(Refusal):
        assert isinstance(metadata_of(text), dict)


@pytest.mark.parametrize(("head", "media_type"), [(b"\xff\xd8\xff\xe0\x00\x10JF", JPEG), (b"\x89PNG\r\n\x1a\n", PNG)])
def test_pictures_are_told_by_their_first_bytes(head: bytes, media_type: str) -> None:
    """JPEG and PNG are known by their magic bytes."""
    assert media_type_of(head) == media_type


@pytest.mark.parametrize("head", [b"", b"\xff\xd8", b"GIF89a..", b"<html>..", b"RIFF....", b"\x89PNG"])
def test_anything_else_is_no_picture(head: bytes) -> None:
    """Bytes that are neither JPEG nor PNG are refused, also an empty file."""
    with pytest.raises(Refusal, match="neither JPEG nor PNG"):
        media_type_of(head)


@pytest.mark.parametrize(
    ("given_key", "key", "accepted"),
    [
        (None, "adk_0123abcDEF", True),
        (None, "adk_", False),
        (None, "adk_xyz", False),
        (None, "apt_0123", False),
        (None, "adk_01\n", False),
        (None, "", False),
        ("adk_01", "adk_01", True),
        ("adk_01", "adk_02", False),
        ("adk_01", "adk_0é", False),
    ],
)
def test_keys(given_key: str | None, key: str, accepted: bool) -> None:  # noqa: FBT001 (a column of the table)
    """The given key is the only one; where none is given, any well-formed one is."""
    assert Keys(given_key).accepts(key) is accepted


def test_a_key_is_issued_once_for_a_token() -> None:
    """A token buys one key, which is taken from then on beside the given one."""
    keys = Keys("adk_01")
    assert keys.takes("apt_0a")
    issued = keys.issue("apt_0a", "press-7")
    assert keys.accepts(issued)
    assert keys.accepts("adk_01")
    assert keys.knows("press-7")
    assert not keys.takes("apt_0a")
    assert not keys.takes("adk_0a")


@pytest.mark.parametrize(("key", "suffix"), [("adk_0123456789abcdef", "cdef"), ("adk_0123", "")])
def test_a_suffix_gives_no_key_away(key: str, suffix: str) -> None:
    """Of a long key four characters are kept, of a short one nothing."""
    assert key_suffix(key) == suffix

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.annotations.formats import NAMES
from agent.annotations.plan import AnnotationPlan
from agent.annotations.read import MAX_SIDECAR_BYTES, Subject, read_labels
from agent.errors import BadSidecar
from agent.frame import Labels

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path for path in GOLDEN.glob("*/*") if path.name != "expected.json")
SUFFIXES = [".json", ".txt", ".xml", ".csv", ".labels", ""]
HOSTILE: st.SearchStrategy[object] = st.sampled_from(
    [None, True, "", "x", "nan", [], {}, [[]], 1e308, -1, 10**400, float("nan"), float("inf")]
)
MEGABYTE = 1024 * 1024


def judged(name: str, data: bytes, formats: tuple[str, ...] = ()) -> None:
    """Read, and accept sound labels or a refusal in one line that names the file; anything else is a crash."""
    plan = AnnotationPlan(formats=formats, classes=("dent", "scratch"))
    try:
        labels = read_labels(name, data, Subject("belt.jpg", 640, 480, 6), plan).labels
    except BadSidecar as refusal:
        labels, complaint = Labels(()), str(refusal)
    else:
        complaint = name
    assert complaint.startswith(name)
    assert "\n" not in complaint
    assert len(complaint) < 1000
    for annotation in labels.annotations:
        assert annotation.class_value.encode()
        assert all(0 <= side <= 1 for side in annotation.geometry)
        assert min(annotation.geometry[2:]) > 0
        assert annotation.confidence is None or 0 <= annotation.confidence <= 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(SUFFIXES), st.sampled_from([(), *((name,) for name in NAMES)]))
def test_any_bytes_are_judged(data: bytes, suffix: str, formats: tuple[str, ...]) -> None:
    """No file, whatever it is called and read as, brings another error than a refusal."""
    judged(f"belt{suffix}", data, formats)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_file_is_judged(data: st.DataObject) -> None:
    """A real file with bytes cut out, doubled, or replaced is labels or a refusal, as itself and as any other."""
    path = data.draw(st.sampled_from(FILES))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, min(len(content), begin + 20)))
        content[begin:end] = data.draw(st.binary(max_size=4) | st.just(bytes(content[begin:end]) * 2))
    formats = data.draw(st.sampled_from([(), (path.parent.name,), (data.draw(st.sampled_from(NAMES)),)]))
    judged(path.name, bytes(content), formats)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_value_of_the_wrong_kind_is_judged(data: st.DataObject) -> None:
    """Any one value of a JSON sidecar may be anything at all."""
    path = data.draw(st.sampled_from([path for path in FILES if path.suffix in (".json", ".labels")]))
    document = json.loads(path.read_bytes())
    places = list(_places(document))
    if not places:
        return
    holder, key = data.draw(st.sampled_from(places))
    if data.draw(st.booleans()):
        holder[key] = data.draw(HOSTILE)
    else:
        del holder[key]
    formats = data.draw(st.sampled_from([(), (path.parent.name,), (data.draw(st.sampled_from(NAMES)),)]))
    judged(path.name, json.dumps(document).encode(), formats)


def _places(document: Any) -> Any:  # noqa: ANN401 (any JSON)
    """Yield every container of a document with each of its keys."""
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from _places(document[key])


@pytest.mark.parametrize("known", NAMES)
@pytest.mark.parametrize(
    "data",
    [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"<annotation>" + b"<object>" * 10_000],
    ids=["lists", "objects", "elements"],
)
def test_depth_is_refused(known: str, data: bytes) -> None:
    """Ten thousand levels are no crash, in any reader."""
    judged("belt.json", data, (known,))
    judged("belt.xml", data)


def _bloated(known: str) -> dict[str, bytes]:
    """Return files at the limit of what is read, of the kind that costs the most."""
    row = {
        "yolo": b"0 0.5 0.5 0.1 0.1\n",
        "kitti": b"dent 0.0 0 0.0 1 2 3 4 0 0 0 0 0 0 0 0.9\n",
        "supervision": b"1,2,3,4,0,0.5,\n",
        "voc": b"<object><name>a</name></object>\n",
    }
    head = {"supervision": b"x_min,y_min,x_max,y_max,class_id,confidence,tracker_id\n", "voc": b"<annotation>"}
    if known in row:
        text = head.get(known, b"") + row[known] * (MAX_SIDECAR_BYTES // len(row[known]) - 100)
        return {"rows": text, "one line": head.get(known, b"") + b"0 0.5 " * (MAX_SIDECAR_BYTES // 6 - 100)}
    list_of = b'[{"x_min":1,"y_min":2,"x_max":3,"y_max":4,"name":"a","label":"a","box":{"x1":1}},'
    many = b"0," * 199_000 + b"0"
    return {
        "numbers": b'{"annotations":[' + many + b'],"images":[],"shapes":[],"files":[],"after":{}}',
        "rows": list_of + b"{}," * 60_000 + b"{}]",
        "text": b'{"shapes":[],"imageData":"' + b"A" * (MAX_SIDECAR_BYTES - 100) + b'"}',
    }


@pytest.mark.parametrize("known", NAMES)
def test_a_huge_file_costs_little(known: str) -> None:
    """The largest file that is read at all takes neither seconds nor hundreds of megabytes in any reader."""
    suffix = ".csv" if known == "supervision" else ".txt"
    for kind, data in _bloated(known).items():
        tracemalloc.start(1)
        begun = time.process_time()
        judged(f"belt{suffix}", data, (known,))
        used = time.process_time() - begun
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100 * MEGABYTE, (kind, peak)
        assert used < 10, (kind, used)

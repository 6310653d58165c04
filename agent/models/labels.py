"""The label map of a deployed model, whose format is published nowhere: the names of classes by index. Pure."""

from __future__ import annotations

import json

MOST = 10_000
LONGEST = 200


def class_names(label_map: str) -> tuple[str, ...]:
    """Return the names; none where the text is of no known form, and then the index is the name.

    Known are JSON lists, JSON objects either way round (`{"0": "scratch"}`, `{"scratch": 0}`), and plain text with a
    name a line or commas between them.
    """
    text = label_map.strip()
    if not text:
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        parts = text.splitlines() if "\n" in text else text.split(",")
        value = [part.strip() for part in parts if part.strip()]
    names = _of_object(value) if isinstance(value, dict) else value if isinstance(value, list) else []
    sound = [name for name in names if isinstance(name, str) and 0 < len(name) <= LONGEST and name.isprintable()]
    return tuple(sound) if len(sound) == len(names) <= MOST else ()


def _of_object(value: dict[str, object]) -> list[object]:
    by_index: dict[int, object] = {}
    for key, entry in value.items():
        if isinstance(entry, int) and not isinstance(entry, bool):
            by_index[entry] = key
        elif key.isdecimal():
            by_index[int(key[:9])] = entry
    ordered = sorted(by_index)
    return [by_index[index] for index in ordered] if ordered == list(range(len(value))) else []

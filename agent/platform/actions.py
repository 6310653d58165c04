"""What the platform asks of this device, read leniently from the answer to a check-in. Pure.

Two shapes are documented, ids are numbers or strings, and nothing of it can be trusted: what is not understood is
shown and not done. No way to acknowledge an action is published, so the same ones come again and again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from agent.platform.answers import json_object, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 50
LONGEST_URL = 4096
LONGEST_ID = 100
DEPLOY = "deploy"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that is asked for; texts that are not told are empty.

    `compose` tells that it is the older shape, which carries a compose file. `label_map` is as it came, a text or
    JSON; its format is published nowhere.
    """

    id: str
    type: str = ""
    model_id: str = ""
    model_name: str = ""
    version: str = ""
    download_url: str = ""
    file_ext: str = ""
    label_map: str = ""
    created_at: str = ""
    compose: bool = False

    @property
    def deploys_model(self) -> bool:
        """Tell whether it is a model that is to be fetched."""
        return self.type == DEPLOY and bool(self.download_url and self.model_id and self.version) and not self.compose

    def __str__(self) -> str:
        """Name it for people."""
        if self.compose:
            return f"{self.type or 'action'} {self.id} (a compose file)"
        model = " ".join(filter(None, [self.model_name or self.model_id, self.version]))
        return f"{self.type or 'action'} {self.id}" + (f" ({model})" if model else "")


def read_actions(body: bytes) -> tuple[Action, ...]:
    """Return the actions of an answer, of a check-in or a heartbeat; what has no id or is no object is left out."""
    document = json_object(body) or {}
    data = document.get("data")
    places = [data if isinstance(data, dict) else {}, document]
    for place in places:
        for name in ("actions", "pending_actions"):
            found = place.get(name)
            if isinstance(found, list):
                return tuple(islice(filter(None, map(_action, found)), MOST))
    return ()


def newest(actions: Sequence[Action]) -> Action | None:
    """Return the deployment that is to be in force at the end: the one that was made last.

    By their times where all have one (ISO 8601 sorts as text), else by their numbers, else the last of the list.
    """
    models = [action for action in actions if action.deploys_model]
    if not models:
        return None
    if all(action.created_at for action in models):
        return max(models, key=lambda action: action.created_at)
    if all(action.id.isdecimal() for action in models):
        return max(models, key=lambda action: int(action.id))
    return models[-1]


def _action(value: object) -> Action | None:
    if not isinstance(value, dict):
        return None
    action_id = _word(value.get("id"))[:LONGEST_ID]
    if not action_id:
        return None
    payload = value.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    fields = {**payload, **{key: entry for key, entry in value.items() if entry is not None}}
    url = fields.get("download_url")
    return Action(
        id=action_id,
        type=_word(fields.get("type")),
        model_id=_word(fields.get("model_id")),
        model_name=_word(fields.get("model_name")),
        version=_word(fields.get("version")),
        download_url=url if isinstance(url, str) and len(url) <= LONGEST_URL else "",
        file_ext=_word(fields.get("file_ext")),
        label_map=_text(fields.get("label_map")),
        created_at=_word(fields.get("created_at")),
        compose="compose_file" in fields or "stack_id" in fields,
    )


def _word(value: object) -> str:
    return shown(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _text(value: Any) -> str:  # noqa: ANN401 (JSON)
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, list | dict) else ""

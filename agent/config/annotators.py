"""The settings of `[annotator]`: what looks at pictures that come without a sidecar."""

from __future__ import annotations

import shlex
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.config.fields import Pixels, Seconds, Section, Share, Timeout, Word

# What each kind cannot do without.
_NEEDS = {"command": "command"}


class AnnotatorSettings(Section):
    """What looks at pictures that come without a sidecar; nothing, unless `kind` is set."""

    kind: Literal["command"] | None = Field(
        default=None,
        description='What looks at pictures: "command", a program; by default nothing does.',
    )
    timeout_s: Timeout = Field(default=10.0, description="Longest wait for what is said of a picture, in seconds.")
    start_timeout_s: Seconds = Field(
        default=30.0, description="What the first picture after a start gets on top, to load a model, in seconds."
    )
    on_failure: Literal["send_without", "wait", "drop"] = Field(
        default="send_without",
        description='What becomes of a picture of which nothing is said: "send_without" annotations, "wait" and try '
        'again, or "drop" with that reason. A live camera waits with its newest frame.',
    )
    min_confidence: Share = Field(default=0.0, description="Boxes with less confidence are left out, 0 to 1.")
    box_space: Literal["displayed", "stored"] = Field(
        default="displayed",
        description='What boxes are told of: the picture as it is shown ("displayed", as programs see it that obey '
        'EXIF, OpenCV among them), or as its pixels are "stored".',
    )
    box_size: tuple[Pixels, Pixels] | None = Field(
        default=None, description="Width and height that boxes in pixels are of, where it is not the picture's."
    )
    classes: tuple[Word, ...] = Field(default=(), description="Class names by index, for answers with numbers only.")
    model_id: Word | None = Field(
        default=None, description="The model's id on the platform, where an answer names none; else [model] counts."
    )
    model_version: Word | None = Field(default=None, description="The model's version, likewise.")
    command: Word | None = Field(
        default=None,
        repr=False,
        description="The program and its arguments, as for a shell, but without one; a JPEG goes to its input.",
    )
    mode: Literal["stream", "once"] = Field(
        default="stream",
        description='How the program runs: "stream" for all pictures (4 bytes of length before each JPEG, a line of '
        'JSON for each), "once" for each.',
    )

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: str | None) -> str | None:
        if command is not None:
            try:
                arguments = shlex.split(command)
            except ValueError:
                raise ValueError("has a quotation mark that is not closed") from None
            if not arguments or "\0" in command:
                raise ValueError("must name a program")
        return command

    @model_validator(mode="after")
    def _check_needs(self) -> Self:
        need = _NEEDS.get(self.kind or "")
        if need is not None and getattr(self, need) is None:
            raise ValueError(f'kind = "{self.kind}" needs {need}')
        return self

    @property
    def arguments(self) -> list[str]:
        """The program of `command` and its arguments."""
        return shlex.split(self.command or "")

"""The settings of `[annotator]`: what looks at pictures that come without a sidecar."""

from __future__ import annotations

import re
import shlex
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from agent.config.annotations import Classes, classes_field
from agent.config.fields import Bytes, FilePath, Pixels, Seconds, SecretText, Section, Share, Timeout, Word
from agent.config.parcel import packed

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[ -~]*")
# What each kind cannot do without.
_NEEDS = {"command": "command", "http": "url", "python": "entry_point", "cv2dnn": "model_file"}


class AnnotatorSettings(Section):
    """What looks at pictures that come without a sidecar; nothing, unless `kind` is set."""

    kind: Literal["command", "http", "python", "cv2dnn"] | None = Field(
        default=None,
        description='What looks at pictures: "command" a program, "http" a server, "python" an entry point of the '
        'group acusight_agent.annotators, "cv2dnn" an ONNX detector; by default nothing does.',
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
    classes: Classes = classes_field()
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

    url: Word | None = Field(
        default=None, repr=False, description="The server's address, to which each picture is posted; http or https."
    )
    preset: Literal["generic", "roboflow", "deepstack", "ollama"] = Field(
        default="generic",
        description='What the server is: "roboflow" inference, "deepstack" or CodeProject.AI, "ollama", or "generic", '
        "which the keys from body to box_unit describe.",
    )
    headers: dict[str, SecretText] = Field(
        default={}, description="Headers of each request, such as a token for the server."
    )
    body: Literal["multipart", "json", "base64", "jpeg"] = Field(
        default="multipart",
        description='How a generic server gets the JPEG: as a file of a form ("multipart"), as base64 in "json", or '
        'alone ("base64", "jpeg").',
    )
    body_field: Word = Field(default="image", description="The name of the form's file, or the key in the JSON.")
    body_members: dict[str, Any] = Field(default={}, description="Further fields of the form, or members of the JSON.")
    answer_list: str = Field(
        default="",
        description="The keys that lead to the list of boxes in a generic server's answer, with dots between them; "
        "where it is empty, the answer is read as a sidecar is.",
    )
    label_key: Word = Field(default="label", description="The key of the class in each entry of the list.")
    confidence_key: Word = Field(default="confidence", description="The key of the confidence.")
    box_keys: tuple[Word, ...] = Field(
        default=("box",), description="The keys of the four numbers of a box, or the one of a list with all four."
    )
    box_form: Literal["corners", "top_left", "center"] = Field(
        default="corners",
        description='What the four are: left, top, right, bottom ("corners"); left, top, width, height ("top_left"); '
        'or centre and size ("center").',
    )
    box_unit: Literal["pixels", "fraction", "percent"] = Field(
        default="pixels", description='What they are in: "pixels", "fraction" (0 to 1) or "percent".'
    )
    language_model: Word | None = Field(default=None, description='The model that "ollama" is to run.')
    prompt: Word | None = Field(
        default=None, description="What it is asked, in place of a sentence that names the classes."
    )
    entry_point: Word | None = Field(
        default=None, description="The entry point's name, of a package that is installed beside the agent."
    )
    memory_bytes: Bytes = Field(
        default=4_000_000_000,
        description="Most memory that the entry point's process may have to write to, in bytes; 0 is no limit.",
    )
    model_file: FilePath | None = Field(default=None, description="The ONNX file of a detector with a YOLO-style head.")
    input_size: int = Field(
        default=640, ge=32, le=4096, description="Side of the square that the model takes, in pixels."
    )
    overlap: Share = Field(
        default=0.45, description="Of two boxes of a class that overlap by more than this, the surer one is kept."
    )
    head: Literal["auto", "v8", "v5"] = Field(
        default="auto",
        description='The shape of what the model gives: "v8" is [1, 4 + classes, N], "v5" is [1, N, 5 + classes].',
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

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                parts = urlsplit(url)
                usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
            except ValueError:
                usable = False
            if not usable:
                raise ValueError("must be an address such as http://127.0.0.1:9001/infer")
            if parts.username or parts.password:
                raise ValueError("must not hold a user or password; send them in headers")
        return url

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, SecretText]) -> dict[str, SecretText]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value.get_secret_value()):
                raise ValueError("must be names of headers with values on one line, in ASCII")
        return headers

    @field_validator("body_members")
    @classmethod
    def _check_body_members(cls, members: dict[str, Any]) -> dict[str, Any]:
        try:
            packed(members)
        except (TypeError, ValueError, RecursionError):
            raise ValueError("must hold what JSON has: texts, numbers, lists and tables, and no dates") from None
        return members

    @field_validator("box_keys")
    @classmethod
    def _check_box_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if len(keys) not in {1, 4}:
            raise ValueError('must be one key or four, such as ["x_min", "y_min", "x_max", "y_max"]')
        return keys

    @model_validator(mode="after")
    def _check_needs(self) -> Self:
        need = _NEEDS.get(self.kind or "")
        if need is not None and getattr(self, need) is None:
            raise ValueError(f'kind = "{self.kind}" needs {need}')
        if self.kind == "http" and self.preset == "ollama" and self.language_model is None:
            raise ValueError('preset = "ollama" needs language_model, such as "qwen2.5vl:3b"')
        return self

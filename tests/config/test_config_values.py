from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.effective import effective, effective_text
from agent.config.environment import Environment
from agent.config.fields import Section, plain
from agent.config.load import check, load
from agent.config.parcel import packed, unpacked
from agent.config.secret import Secret
from agent.config.settings import Settings
from agent.config.values import Values
from agent.plans import select_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config.configuration import Configuration

    Write = Callable[..., Path]

EVERYTHING = """
[server]
url = "http://127.0.0.1:8600"
device_key = "{canary}"
ca_file = "ca.pem"
[[watch]]
path = "captures"
mask = [[0.1, 0.2, 0.3, 0.4], [[0, 0], [1, 0], [0, 1]]]
classes = ["scratch", "dent"]
select = {{max_per_hour = 9, rule = [{{classes = ["dent"], confidence_between = [0.3, 0.6]}}]}}
[[watch]]
path = "../há"
name = "ha"
[[camera]]
name = "gate"
source = "rtsp://ada:hunter2@10.0.0.9/1"
fps = 0.25
[annotator]
kind = "http"
url = "http://127.0.0.1:9001"
headers = {{Authorization = "Bearer hunter2", Empty = ""}}
body_members = {{top = 20, exact = 0.1, on = true, deep = [1, [2, {{secret = "x", path = [], values = {{}}}}]]}}
[select]
schedule = [{{days = "mon-fri", hours = "22-06"}}]
[upload]
timetable = [{{hours = "08-18", rate_bytes_s = "1 MB"}}]
"""
TABLES = {
    "server": {"device_key": "adk_01"},
    "watch": [{"path": "/a", "mask": [[0, 0, 1, 1]]}, {"path": "/b", "select": {"bank": 3}}],
    "camera": [{"name": "c", "source": "0"}],
    "annotator": {"headers": {"A": "b", "C": ""}, "body_members": {"a": [1, {"b": None}]}, "box_size": [3, 4]},
}
# What TOML and JSON both have, apart from dates.
MEMBERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@pytest.fixture
def configuration(write: Write, canary: str) -> Configuration:
    """Return a configuration with a value of every kind."""
    return load(write(EVERYTHING.format(canary=canary)), Environment(home=Path("/home/ada")))


class TestParcel:
    """A configuration goes from one process to another."""

    def test_a_configuration_arrives_as_it_left(self, configuration: Configuration) -> None:
        """Every value, its kind, and what was written and what is a default come out as they went in."""
        arrived = unpacked(packed(configuration))
        assert arrived == configuration
        watch, other = arrived.settings.watch, configuration.settings.watch
        assert watch[0].select.model_fields_set == other[0].select.model_fields_set == {"max_per_hour", "rule"}
        assert select_plan(watch[0], arrived.settings.select) == select_plan(other[0], configuration.settings.select)
        assert type(arrived.settings.server.ca_file) is type(configuration.path)
        assert arrived.device_key_source == configuration.device_key_source
        deep = arrived.settings.annotator.body_members["deep"]
        assert deep == [1, [2, {"secret": "x", "path": [], "values": {}}]]

    @given(MEMBERS)
    def test_whatever_a_table_holds_arrives(self, value: object) -> None:
        """Lists stay lists, tables stay tables, whatever their keys: nothing in them is taken for a kind."""
        assert unpacked(packed(value)) == value
        assert repr(unpacked(packed((value, Path("/\udce9"))))) == repr((value, Path("/\udce9")))

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"rubbish",
            b"\xff",
            b"[" * 100_000,
            b"{}",
            b'{"a": 1, "b": 2}',
            b'{"Values": 1}',
            b'{"values": 5}',
            b'{"path": 5}',
            b'{"table": [1]}',
            b'{"environment": []}',
            b'{"configuration": {"table": []}}',
        ],
    )
    def test_anything_else_is_refused(self, data: bytes) -> None:
        """What was not packed is a `ValueError`, never another error and never a configuration."""
        with pytest.raises(ValueError, match=r"\w"):
            unpacked(data)


class TestValues:
    """The settings tree at run time."""

    def test_it_has_the_names_and_values_of_its_model(self) -> None:
        """At every level each field of the model is there with its value, and there is nothing else."""

        def same(ours: Any, theirs: Any) -> None:  # noqa: ANN401 (two trees)
            if isinstance(theirs, Section):
                assert isinstance(ours, Values)
                assert vars(ours).keys() == type(theirs).model_fields.keys()
                for name, value in vars(ours).items():
                    same(value, getattr(theirs, name))
            elif isinstance(theirs, tuple):
                assert isinstance(ours, tuple)
                for one, other in zip(ours, theirs, strict=True):
                    same(one, other)
            else:
                assert (ours, type(ours)) == (theirs, type(theirs))

        model = Settings.model_validate(TABLES)
        same(plain(model), model)

    def test_it_is_frozen(self, configuration: Configuration) -> None:
        """Nobody changes settings that all threads share; a copy with other values is another one."""
        settings = configuration.settings
        with pytest.raises(AttributeError, match="frozen: log"):
            settings.log = settings.log
        with pytest.raises(AttributeError, match="frozen: log"):
            del settings.log
        other = settings.model_copy(update={"log": settings.log.model_copy(update={"level": "debug"})})
        assert (settings.log.level, other.log.level, other.upload) == ("info", "debug", settings.upload)
        assert other != settings
        assert other.log.model_fields_set == {"level"}

    def test_what_is_not_there_is_an_error(self, configuration: Configuration) -> None:
        """A name that no model has is an `AttributeError`, as it is one to the type checker."""
        with pytest.raises(AttributeError, match="colour"):
            getattr(configuration.settings, "colour")  # noqa: B009 (the type checker knows it, too)

    def test_it_shows_no_secret(self, configuration: Configuration, canary: str) -> None:
        """Neither key nor password nor a header's value is in what is printed or shown, a text of stars is (I7)."""
        watched = configuration.settings.camera[0]
        shown = f"{configuration!r}{configuration}{watched!r}{watched}{effective(configuration)}"
        shown += effective_text(configuration) + repr(configuration.settings.annotator.headers)
        assert canary not in shown
        assert "hunter2" not in shown
        assert 'Authorization = "**********", Empty = ""' in shown
        assert canary.encode() in packed(configuration)  # or this would show nothing

    def test_secrets_are_equal_where_their_texts_are(self) -> None:
        """A rotated key is told from the old one; the stars tell only that there is something."""
        assert Secret("a") == Secret("a") != Secret("b")
        assert len({Secret("a"), Secret("a")}) == 1
        assert (str(Secret("a")), repr(Secret("a")), str(Secret(""))) == ("**********", "Secret('**********')", "")


def test_a_date_is_refused_in_a_body(write: Write) -> None:
    """TOML has dates and JSON has none: a sentence says so at the start, and not a traceback at the first picture."""
    path = write('[annotator]\nkind = "http"\nurl = "http://127.0.0.1:9"\nbody_members = {since = 2026-03-01}\n')
    assert [str(problem) for problem in check(path, Environment())] == [
        f"{path}:4: annotator.body_members: must hold what JSON has: texts, numbers, lists and tables, and no dates"
    ]


def test_what_is_shown_is_what_the_models_say(configuration: Configuration) -> None:
    """`config show` has the JSON that pydantic makes of the models, but for the device key."""
    model = Settings.model_validate(TABLES)
    shown = effective(replace(configuration, settings=plain(model)))["settings"]
    assert shown == model.model_dump(mode="json", exclude={"server": {"device_key"}})

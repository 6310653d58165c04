from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config.configuration import Configuration
from agent.config.environment import Environment
from agent.config.load import check, load
from agent.errors import ConfigError

Write = Callable[..., Path]
BARE = Environment(home=Path("/home/ada"))


def texts(path: Path, environment: Environment = BARE) -> list[str]:
    """Return the problems of a file as lines that begin with its bare name."""
    return [str(problem).replace(f"{path.parent}/", "") for problem in check(path, environment)]


def with_variables(**variables: str) -> Environment:
    """Return an environment that overrides settings."""
    return Environment(overrides={f"ACUSIGHT_AGENT_{name}": value for name, value in variables.items()})


class TestFinding:
    """Which file is read."""

    def test_the_given_file_comes_first(self, write: Write, tmp_path: Path) -> None:
        """A file named on the command line is read, whatever else is there."""
        given = tmp_path / "other.toml"
        given.write_text("[upload]\nworkers = 3\n")
        write("[upload]\nworkers = 4\n")
        configuration = load(given, Environment(working_directory=tmp_path))
        assert (configuration.path, configuration.settings.upload.workers) == (given, 3)

    def test_the_working_directory_comes_next(self, write: Write, tmp_path: Path) -> None:
        """Without a given file, config.toml of the working directory is read."""
        path = write("[upload]\nworkers = 4\n")
        configuration = load(None, Environment(working_directory=tmp_path))
        assert (configuration.path, configuration.settings.upload.workers) == (path, 4)

    def test_no_file_at_all_is_allowed(self, tmp_path: Path) -> None:
        """Without any file the environment and the defaults are the configuration."""
        environment = Environment(
            working_directory=tmp_path, overrides={"ACUSIGHT_AGENT_WATCH": '[{"path": "pictures"}]'}
        )
        configuration = load(None, environment)
        assert configuration.path is None
        assert configuration.device_key is None
        assert configuration.settings.watch[0].path == tmp_path / "pictures"

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda _path: None, "acusight-agent config init"),
            (lambda path: path.mkdir(), "Is a directory"),
            (os.mkfifo, "regular file"),
            (lambda path: path.write_bytes(b"#" * 300_000), "larger than"),
            (lambda path: path.write_bytes(b"[server]\nurl = '\xff'"), ":2: is no UTF-8"),
        ],
    )
    def test_what_cannot_be_read_is_an_error(self, make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
        """A missing, special, huge or binary file is refused with a sentence, and never waited for."""
        path = tmp_path / "config.toml"
        make(path)
        with pytest.raises(ConfigError, match=message):
            load(path, BARE)


class TestPaths:
    """What paths mean."""

    def test_relative_paths_start_at_the_file(self, write: Write, tmp_path: Path) -> None:
        """Relative paths in a file are relative to the file's folder, and `~` is the home folder."""
        path = write(
            '[server]\nca_file = "ca.pem"\n[spool]\ndir = "~/spool"\n[[watch]]\npath = "in"\nmove_to = "../out"\n'
            '[[camera]]\nname = "a"\nsource = "clip.mp4"\n[[camera]]\nname = "b"\nsource = 0\n'
            '[[camera]]\nname = "c"\nsource = "rtsp://host/1"\n'
        )
        configuration = load(path, BARE)
        tree = configuration.settings
        assert tree.server.ca_file == tmp_path / "ca.pem"
        assert tree.watch[0].path == tmp_path / "in"
        assert tree.watch[0].move_to == tmp_path / "../out"
        assert configuration.spool_dir == Path("/home/ada/spool")
        assert [camera.source for camera in tree.camera] == [str(tmp_path / "clip.mp4"), "0", "rtsp://host/1"]

    def test_a_relative_config_path_is_resolved(self, write: Write, tmp_path: Path) -> None:
        """A file given by a relative name still anchors its paths absolutely."""
        name = os.path.relpath(write('[[watch]]\npath = "."\n'))
        configuration = load(Path(name), Environment(working_directory=Path.cwd()))
        assert configuration.settings.watch[0].path.resolve() == tmp_path

    @pytest.mark.parametrize(
        ("environment", "spool", "state"),
        [
            (Environment(home=Path("/h")), "/h/.local/state/acusight-agent/spool", "{spool}/state.json"),
            (Environment(xdg_state_home=Path("/x")), "/x/acusight-agent/spool", "{spool}/state.json"),
            (
                Environment(state_directory=Path("/s"), xdg_state_home=Path("/x"), runtime_directory=Path("/r")),
                "/s/spool",
                "/r/state.json",
            ),
        ],
    )
    def test_default_places(self, environment: Environment, spool: str, state: str, write: Write) -> None:
        """Spool and state file lie in the service's folders, else in the user's."""
        configuration = load(write(""), environment)
        assert str(configuration.spool_dir) == spool
        assert str(configuration.state_file) == state.format(spool=spool)

    def test_agents_of_one_user_have_their_own_state_files(self, write: Write) -> None:
        """In the user's runtime folder the spool tells the state files of several agents apart."""
        environment = Environment(xdg_runtime_dir=Path("/run/user/7"))
        one = load(write('[spool]\ndir = "/one"'), environment).state_file
        two = load(write('[spool]\ndir = "/two"'), environment).state_file
        assert one.parent == two.parent == Path("/run/user/7/acusight-agent")
        assert one != two


class TestEnvironmentOverFile:
    """Variables that override keys."""

    def test_the_environment_wins_key_by_key(self, write: Write) -> None:
        """A variable replaces its own key and leaves its neighbours in the file alone."""
        path = write("[upload]\nworkers = 3\ntimeout_s = 7\n[encode]\nquality = 50\n")
        environment = with_variables(UPLOAD__WORKERS="9", ENCODE='{"quality": 60, "max_side": 5}', LOG__LEVEL="")
        tree = load(path, environment).settings
        assert (tree.upload.workers, tree.upload.timeout_s) == (9, 7)
        assert (tree.encode.quality, tree.encode.max_side) == (60, 5)
        assert tree.log.level == "info"

    def test_lists_are_json(self, write: Write) -> None:
        """A list in a variable replaces the file's list."""
        path = write('[[watch]]\npath = "a"\n[[watch]]\npath = "b"\n')
        tree = load(path, with_variables(WATCH='[{"path": "/c"}]')).settings
        assert [watch.name for watch in tree.watch] == ["c"]

    def test_a_file_alone_stays_small(self, write: Write) -> None:
        """Without variables pydantic-settings, 9 MB, is not even imported."""
        program = (
            "import pathlib, sys; from agent.config.load import load; from agent.config.environment import Environment;"
            " load(pathlib.Path(sys.argv[1]), Environment()); sys.exit('pydantic_settings' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", program, write("")], check=False).returncode == 0

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("SERVER__ULR", "x", "ACUSIGHT_AGENT_SERVER__ULR: unknown key; did you mean 'url'?"),
            ("SEVER__URL", "x", "ACUSIGHT_AGENT_SEVER__URL: unknown key; did you mean 'server'?"),
            ("SERVER__URL__X", "x", "ACUSIGHT_AGENT_SERVER__URL__X: unknown key; did you mean 'url'?"),
            ("CONFIG", "x", "ACUSIGHT_AGENT_CONFIG: unknown key"),
            ("", "x", "ACUSIGHT_AGENT_: unknown key"),
            ("WATCH", "[", "ACUSIGHT_AGENT_WATCH: must be JSON, such as"),
            ("WATCH", "[" * 100_000, "ACUSIGHT_AGENT_WATCH: must be JSON, such as"),
            ("WATCH", "5", "ACUSIGHT_AGENT_WATCH: watch: must be a list"),
            ("SERVER", "5", "ACUSIGHT_AGENT_SERVER: server: must be a table"),
            ("SERVER", '{"ulr": 1}', "ACUSIGHT_AGENT_SERVER: server.ulr: unknown key; did you mean 'url'?"),
            ("WATCH__0__PATH", "x", "ACUSIGHT_AGENT_WATCH__0__PATH: a list is set as a whole"),
            ("UPLOAD__WORKERS", "many", "ACUSIGHT_AGENT_UPLOAD__WORKERS: upload.workers: must be a valid integer"),
        ],
    )
    def test_a_typo_in_a_variable_is_an_error(self, name: str, value: str, message: str, write: Write) -> None:
        """No variable with the prefix is ignored silently: the problem names the variable."""
        (problem,) = texts(write(""), with_variables(**{name: value}))
        assert problem.startswith(message)

    def test_a_fault_is_laid_at_the_door_it_came_through(self, write: Write) -> None:
        """With file and variable both in one section, each problem names its own origin."""
        path = write("[server]\nconnect_timeout_s = 0\n")
        assert [problem.split(": ")[0] for problem in texts(path, with_variables(SERVER='{"url": "x"}'))] == [
            "ACUSIGHT_AGENT_SERVER",
            "config.toml:2",
        ]


class TestProblems:
    """What is said of a faulty file."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("[server]\nulr = 1", "config.toml:2: server.ulr: unknown key; did you mean 'url'?"),
            ("\n[serverr]", "config.toml:2: serverr: unknown key; did you mean 'server'?"),
            ("_env_file = '/x'", "config.toml:1: _env_file: unknown key; known here: server, model, watch"),
            ("zzz = 1", "config.toml:1: zzz: unknown key; known here: server, model, watch"),
            ("[[watch]]\npath='a'\n[[watch]]\npath='b'\npaht='c'", "config.toml:5: watch[1].paht: unknown key; did"),
            ("[watch]\npath = 'a'", "config.toml:1: watch: must be a list; where it is"),
            ("server = 1", "config.toml:1: server: must be a table"),
            ("[[watch]]\nrecursive = true", "config.toml:1: watch[0].path: is required"),
            ("[upload]\nworkers = 33", "config.toml:2: upload.workers: must be less than or equal to 32"),
            ("[upload]\n\norder = 'fifo'", "config.toml:3: upload.order: must be 'oldest' or 'newest'"),
            ("[upload]\ntimeout_s = inf", "config.toml:2: upload.timeout_s: must be a finite number"),
            ("[server\n", "config.toml:1:8: is no valid TOML: "),
            ("a = '''", "config.toml:1: is no valid TOML: "),
            ("a = " + "[" * 5000, "config.toml: is nested too deeply"),
            ("a = " + "9" * 5000, "config.toml: is no valid TOML: "),
            ('[[watch]]\npath = "a"\n[[watch]]\npath = "b/a"', "config.toml:3: watch[1].name: two sources"),
            ('[[watch]]\npath = "a"\n[[camera]]\nname = "a"\nsource = 0', "config.toml:4: camera[0].name: two sources"),
        ],
    )  # fmt: skip
    def test_each_names_its_line_and_its_remedy(self, text: str, expected: str, write: Write) -> None:
        """A problem says file, line, key and what to do, on one line."""
        (problem,) = texts(write(text))
        assert problem.startswith(expected)
        assert "\n" not in problem

    def test_all_are_collected(self, write: Write) -> None:
        """`check` returns every problem in the order of the lines; `load` names the first and counts the rest."""
        path = write("[server]\nulr = 1\nurl = 'ftp://h'\n[upload]\nworkers = 0\n")
        assert [problem.line for problem in check(path, BARE)] == [2, 3, 5]
        with pytest.raises(ConfigError, match=r":2: server.ulr.* \(and 2 more; see: .*config check\)$"):
            load(path, BARE)

    def test_a_hostile_key_cannot_forge_a_line(self, write: Write) -> None:
        """Line breaks and terminal codes in a key's name are escaped."""
        (problem,) = texts(write('"a\\nb\\u001b[2Jc" = 1'))
        assert problem.isprintable()

    @pytest.mark.parametrize(
        ("watches", "refused"),
        [
            ([("in", False, "in")], 1),
            ([("in", False, "in/../in")], 1),
            ([("in", False, "in/done")], 0),
            ([("in", True, "in/done")], 1),
            ([("in", True, "inside")], 0),
            ([("in", False, "two"), ("two", False, None)], 1),
            ([("in", False, "two/x"), ("two", True, None)], 1),
        ],
    )
    def test_delivered_files_never_move_into_a_watched_folder(
        self,
        watches: list[tuple[str, bool, str | None]],
        refused: int,
        write: Write,
    ) -> None:
        """`move_to` may be no watched folder, nor lie below one that is watched recursively."""
        text = "".join(
            f"[[watch]]\npath = '{path}'\nrecursive = {str(recursive).lower()}\n"
            + (f"after_delivery = 'move'\nmove_to = '{target}'\n" if target else "")
            for path, recursive, target in watches
        )
        problems = texts(write(text))
        assert [problem.split(": ")[0] for problem in problems] == ["config.toml:5"] * refused


KEYS = st.sampled_from(["server", "url", "watch", "path", "name", "device_key", "camera", "upload", "x", '"a b"', "''"])
VALUES = st.sampled_from(
    ["1", "-1", "nan", "true", '"x"', "'''\n'''", "[]", "[{}]", "{}", "{url=1}", "1979-05-27", '"\\u0000"']
)
LINES = st.one_of(
    st.builds("{} = {}".format, KEYS, VALUES),
    st.builds("{}.{} = {}".format, KEYS, KEYS, VALUES),
    st.builds("[{}]".format, KEYS),
    st.builds("[[{}]]".format, KEYS),
    st.text(max_size=20),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(LINES, max_size=8).map("\n".join))
def test_any_text_is_a_configuration_or_an_error(text: str, tmp_path: Path) -> None:
    """Whatever a file holds, it loads or is refused with one line; and `check` agrees with `load`."""
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    problems = check(path, BARE)
    if problems:
        with pytest.raises(ConfigError) as caught:
            load(path, BARE)
        assert "\n" not in str(caught.value)
    else:
        assert isinstance(load(path, BARE), Configuration)
    assert all(str(problem).isprintable() for problem in problems)

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config import reading
from agent.config.environment import Environment, parse_environment
from agent.config.load import load
from agent.config.reading import Reading, read
from agent.errors import AgentError, ConfigError, Interrupted, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[..., Path]

SOUND = '[[watch]]\npath = "captures"\n[model]\nid = "m1"\n'


def surroundings(**variables: str) -> Environment:
    """Return this process's environment, with other variables."""
    return parse_environment({**os.environ, **variables}, Path("/"))


def outcome(call: Callable[[], object]) -> tuple[object, ...]:
    """Return a configuration, or everything that an error says."""
    try:
        return (call(),)
    except AgentError as error:
        return type(error), error.what, error.remedy, str(error), error.exit_code


def program(code: str) -> tuple[str, ...]:
    """Return a command that stands in for the child, to go wrong as it might."""
    return sys.executable, "-c", code


def refusal(code: str, deadline_s: float = 20.0) -> str:
    """Return what is said where the child is such a program; the child has to be gone then."""
    before = children()
    with (
        pytest.raises(Wait, match="the configuration could not be read") as caught,
        Reading(None, surroundings(), command=program(code), deadline_s=deadline_s) as one,
    ):
        one.result()
    assert children() == before
    assert caught.value.exit_code == 1
    return str(caught.value)


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> str:
    """Return the processes that this one has started and not taken leave of."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")


class TestTheSame:
    """What the child makes of a configuration is what `load` makes of it."""

    @pytest.mark.parametrize(
        "text",
        [
            SOUND,
            "",
            "[upload]\nworkers = 0\n",
            "[upload]\nworkers = 0\ntimeout_s = 'x'\n[colour]\n",
            "[server]\nurl = 'https://ada:hunter2@example.org'\n",
            "[server]\ndevice_key = 'apt_c0ffee'\n",
            "[server]\ndevice_key = 'adk_c0ffee'\n",
            "[server]\ndevice_key_file = 'key'\n",
            "[[watch]]\npath = 'a'\nclasses = 'gone.txt'\n",
            "[server\n",
            "[server]\nurl = 'http://10.0.0.1/é\\u2028\\u0007'\n",
        ],
    )
    def test_a_file(self, text: str, write: Write, tmp_path: Path) -> None:
        """Values, sentences, remedies and exit codes are the same, to the letter."""
        (tmp_path / "key").write_text("adk_0123", encoding="ascii")
        path = write(text)
        assert outcome(lambda: read(path, surroundings())) == outcome(lambda: load(path, surroundings()))

    @pytest.mark.parametrize("make", ["bytes", "folder", "fifo", "missing", "open", "loop", "large", "odd name"])
    def test_what_is_hardly_a_file(self, make: str, write: Write, tmp_path: Path) -> None:
        """A configuration that cannot be read, or by others too, is told in the same words."""
        path = tmp_path / ("caf\udce9.toml" if make == "odd name" else "config.toml")
        match make:
            case "bytes":
                path.write_bytes(b"# \xe9\n\xff")
            case "folder":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
            case "open":
                write("[server]\ndevice_key = 'adk_c0ffee'\n", mode=0o644)
            case "loop":
                path.symlink_to(path)
            case "large":
                path.write_bytes(b"#" * 300_000)
            case "odd name":
                path.write_text("[upload]\nworkers = 99\n", encoding="ascii")
        found = outcome(lambda: read(path, surroundings()))
        assert found == outcome(lambda: load(path, surroundings()))
        assert found[0] is ConfigError
        assert found[-1] == 78

    @pytest.mark.parametrize(
        "variables",
        [
            {"UPLOAD__WORKERS": "9", "WATCH": '[{"path": "p"}]'},
            {"UPLOAD__WORKERS": "many", "SERVER__ULR": "x", "": "y"},
            {"SERVER__DEVICE_KEY": "adk_c0ffee"},
            {"ANNOTATOR": '{"body_members": {"a": ' + "[" * 300 + "]" * 300 + "}}"},
            {"WATCH": "[" * 100_000},
        ],
    )
    def test_the_environment(self, variables: dict[str, str], write: Write) -> None:
        """Variables override the file in the child as they would here, however large they are."""
        environment = surroundings(**{f"ACUSIGHT_AGENT_{name}": value for name, value in variables.items()})
        path = write(SOUND)
        assert outcome(lambda: read(path, environment)) == outcome(lambda: load(path, environment))

    def test_where_things_are(self, write: Write, tmp_path: Path) -> None:
        """The service manager's folders and its credential are those of the parent, and so is the home."""
        (tmp_path / "device_key").write_text("adk_0123", encoding="ascii")
        environment = surroundings(
            HOME="/home/ada",
            STATE_DIRECTORY="/state",
            RUNTIME_DIRECTORY="/run/it",
            CREDENTIALS_DIRECTORY=str(tmp_path),
        )
        configuration = read(write('[[watch]]\npath = "~/p"\n'), environment)
        assert configuration == load(tmp_path / "config.toml", environment)
        assert configuration.spool_dir == Path("/state/spool")
        assert configuration.settings.watch[0].path == Path("/home/ada/p")
        assert configuration.device_key is not None

    def test_a_relative_path_is_relative_to_the_same_folder(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`-c config.toml`, and no `-c` at all, mean the file in the working directory; modules there are not run."""
        write(SOUND)
        (tmp_path / "json.py").write_text("raise SystemExit(9)", encoding="ascii")
        monkeypatch.chdir(tmp_path)
        environment = parse_environment(dict(os.environ), tmp_path)
        assert read(Path("config.toml"), environment).settings.model.id == "m1"
        assert read(None, environment).path == tmp_path / "config.toml"


class TestFailures:
    """The child is a process, and what becomes of processes may become of it."""

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("import os; os.kill(os.getpid(), 9)", "was killed; is there enough memory?"),
            ("import os; os.kill(os.getpid(), 6)", "ended by signal 6."),
            ("print('{\"configuration\"', flush=True); import os; os.kill(os.getpid(), 9)", "was killed"),
            ("print('hello')", "ended with 0."),
            ("print(5)", "ended with 0."),
            ("print('{\"table\": []}')", "ended with 0."),
            ("raise MemoryError", "ended with 1: MemoryError."),
            (
                "raise RuntimeError('adk_c0ffee\\x1b[1m at https://ada:hunter2@host')",
                r"ended with 1: RuntimeError: adk_***\x1b[1m at https://***@host",
            ),
            ("import sys; sys.exit(3)", "ended with 3."),
        ],
    )
    def test_a_child_without_an_answer(self, code: str, told: str) -> None:
        """One that is killed, fails or talks nonsense is told with its end and its last words; nothing secret is."""
        said = refusal(code)
        assert f"could not be read: the process that checks it {told}" in said
        assert said.endswith(". See what it says of it: acusight-agent config check")

    def test_a_child_that_talks_without_end(self) -> None:
        """Its answer is not kept beyond what any configuration could be."""
        assert refusal("while True: print('x' * 100_000)").endswith("does not stop talking")

    def test_a_child_that_hangs(self) -> None:
        """It has until its deadline, also where it says something now and then, and is gone then."""
        began = time.monotonic()
        code = "import time\nwhile True: print('x', flush=True); time.sleep(0.05)"
        assert "could not be read within 0.4 s" in refusal(code, deadline_s=0.4)
        assert 0.4 <= time.monotonic() - began < 5

    def test_a_child_that_has_no_memory(self, write: Write) -> None:
        """The real one, with 20 MB in all for its modules: it cannot answer, and the error says what it lacked."""
        limited = "import resource as r, runpy; r.setrlimit(r.RLIMIT_AS, (20_000_000, 20_000_000)); "
        limited += "runpy.run_module('agent.config.reading_child', run_name='__main__')"
        with (
            pytest.raises(
                Wait, match=r"the process that checks it (ended with 1: .*([Mm]emory|failed to map)|was killed)"
            ),
            Reading(write(SOUND), surroundings(), command=program(limited)) as one,
        ):
            one.result()

    def test_a_child_that_cannot_be_started(self) -> None:
        """The system's reason is told, and no descriptor stays open."""
        before = descriptors()
        with pytest.raises(Wait, match="the configuration could not be read: No such file or directory"):
            Reading(None, surroundings(), command=("/no/such/python",))
        assert descriptors() == before

    def test_whoever_waits_may_stop_waiting(self) -> None:
        """What the waiting raises ends it at once, and the child with it."""
        before, waits = children(), list[float]()

        def wait(_: int, seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) > 1:
                raise Interrupted("interrupted")
            return False

        with pytest.raises(Interrupted), Reading(None, surroundings(), command=program("input()")) as one:
            one.result(wait)
        assert waits[0] > waits[1] > reading.DEADLINE_S - 1
        assert children() == before

    def test_the_child_ends_with_its_parent(self, tmp_path: Path) -> None:
        """The real one, stuck in an import: it does not outlive who asked, even where that is killed."""
        stub = "import pathlib, time; pathlib.Path(__file__).with_name('reached').touch(); time.sleep(600)"
        (tmp_path / "pydantic.py").write_text(stub, encoding="ascii")
        code = (
            "import sys, time; from agent.config.environment import read_environment; "
            "from agent.config.reading import Reading; "
            "one = Reading(None, read_environment()); print(one._process.pid, flush=True); time.sleep(600)"
        )
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            awaited((tmp_path / "reached").exists)
            assert not gone(child)
            parent.kill()
        awaited(lambda: gone(child))


def gone(pid: int) -> bool:
    """Tell whether a process has ended, be it that nobody has reaped it yet."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] in "ZX"
    return True


def awaited(claim: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a claim about another process holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestSecrets:
    """The key goes from process to process, and nowhere else."""

    def test_others_do_not_see_it(self, tmp_path: Path, canary: str, write: Write) -> None:
        """While the child works, neither its arguments nor its environment hold the key (I7)."""
        environment = surroundings(ACUSIGHT_AGENT_SERVER__DEVICE_KEY=canary, NOTIFY_SOCKET="/run/notify")
        seen = tmp_path / "seen"
        look = f"import os; open({str(seen)!r}, 'wb').write(open('/proc/self/cmdline', 'rb').read() + "
        look += "open('/proc/self/environ', 'rb').read()); import runpy; "
        look += "runpy.run_module('agent.config.reading_child', run_name='__main__')"
        with Reading(write(SOUND), environment, command=program(look)) as one:
            assert one.result() == load(tmp_path / "config.toml", environment)
        told = seen.read_bytes()
        assert b"PATH=" in told
        assert canary.encode() not in told
        assert b"ACUSIGHT" not in told
        assert b"NOTIFY_SOCKET" not in told

    def test_it_leaves_no_core(self, tmp_path: Path, write: Write) -> None:
        """The child's limit for core files is zero by its own doing, and a crash leaves none."""
        (tmp_path / "pydantic.py").write_text(
            "import resource, sys; sys.exit(f'core {resource.getrlimit(resource.RLIMIT_CORE)}')", encoding="ascii"
        )
        environment = surroundings(PYTHONPATH=str(tmp_path))
        with pytest.raises(Wait, match=r"ended with 1: core \(0, 0\)"), Reading(write(SOUND), environment) as one:
            one.result()


def test_the_child_answers_to_signals_of_the_terminal_like_none(write: Write) -> None:
    """The Ctrl-C that ends the parent reaches only the parent: the child is in a group of its own."""
    with Reading(write(SOUND), surroundings()) as one:
        assert os.getpgid(one._process.pid) != os.getpgid(0)
        assert one.result().settings.model.id == "m1"
    assert one._process.returncode in {0, -signal.SIGKILL}

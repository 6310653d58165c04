from __future__ import annotations

import json
import shlex
import signal
from dataclasses import dataclass

import pytest
from example_rig import COMMANDS, ROOT, examples
from output_rig import DEFINITIONS, faults_of
from world_rig import TOKEN, Ended, World


@dataclass(frozen=True, kw_only=True)
class Case:
    """How an example is run: which codes are its right end, what is added to it, what has to go on beside it.

    `until` is what a command that goes on says once it works; then it gets `ends`. `empty` runs it in an empty folder.
    """

    codes: tuple[int, ...] = (0,)
    until: str = ""
    ends: signal.Signals = signal.SIGINT
    added: str = ""
    daemon: bool = False
    empty: bool = False
    stdin: str = ""


GOES_ON = Case(until='"event": "started"', ends=signal.SIGTERM)
STATUS = Case(daemon=True)
PROGRAM = "/opt/acusight-agent/bin/acusight-agent"
# Not over the services of the machine that tests.
ELSEWHERE = Case(added="--root .", empty=True)
INSTALL = Case(added=f"--root . --program {PROGRAM}", empty=True)
SPECIAL = {
    "acusight-agent run": GOES_ON,
    "acusight-agent -c config.toml run": GOES_ON,
    "acusight-agent status": STATUS,
    "acusight-agent status --json": STATUS,
    "acusight-agent status --watch": Case(daemon=True, until="captures"),
    "acusight-agent queue flush": STATUS,
    "acusight-agent page": Case(until="The page is at "),
    "ACUSIGHT_AGENT_PAGE__LISTEN=127.0.0.1:9000 acusight-agent page": Case(until="The page is at "),
    "acusight-agent -c /etc/acusight-agent/config.toml provision --token-file - --wait": Case(stdin=TOKEN),
    # What waits for no answer about whether it is meant, as nobody sits there.
    "acusight-agent queue drop 17": Case(added="--yes"),
    # Two of its pictures were refused.
    "acusight-agent reconcile captures": Case(codes=(1,)),
    "acusight-agent reconcile --recursive --json /srv/pictures": Case(codes=(1,)),
    # The machine that tests may well lack something: what is found is the answer.
    "acusight-agent doctor": Case(codes=(0, 1)),
    "acusight-agent doctor --json": Case(codes=(0, 1)),
    "acusight-agent doctor --bundle support.tar.gz": Case(codes=(0, 1)),
    "acusight-agent service install": INSTALL,
    "acusight-agent service install --now": INSTALL,
    "acusight-agent service uninstall": ELSEWHERE,
    "acusight-agent config init": Case(empty=True),
    "acusight-agent config init /etc/acusight-agent/config.toml": Case(empty=True),
    "acusight-agent sandbox --dir ./arrived": Case(until="Sandbox ready at ", added="--port 0"),
    "acusight-agent sandbox --dir ./arrived --port 0 --faults outage.toml": Case(until="Sandbox ready at "),
    "acusight-agent demo": Case(until="http://", added="--port 0"),
}
# What is not run here, and where it is.
ELSEWHERE_TESTED = {
    "acusight-agent demo --once": "tests/demo/test_demo_tour.py",  # half a minute, and the tour has tests of its own
}
# What examples name, and what stands in for it here.
PLACES = {
    "/etc/acusight-agent/config.toml": "config.toml",
    "/var/lib/prometheus/node-exporter/": "",
    "/srv/pictures": "captures",
    "/tmp/": "",  # noqa: S108 (in an example)
    "/dev/video0": "belt.avi",  # no camera here; a file is opened and asked in the same way
    "127.0.0.1:9000": "127.0.0.1:0",
}


EXAMPLES = sorted({line for command in COMMANDS.values() for line in examples(command)})


def run(world: World, line: str, case: Case) -> Ended:
    """Run an example as a shell would, in the world that it is about."""
    settings, words = words_of(world, line, case)
    place = World(world.root / "empty", world.sandbox) if case.empty else world
    if case.empty:
        program = place.root / PROGRAM.lstrip("/")
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch()
    if case.until:
        return place.watch(case.until, *words, ends=case.ends, **settings)
    return place.call(*words, stdin=case.stdin, **settings)


def words_of(world: World, line: str, case: Case) -> tuple[dict[str, str], list[str]]:
    """Return the variables and words of an example, with this world's names for things."""
    words = [world.names.get(word, word) for word in shlex.split(f"{line.partition(' > ')[0]} {case.added}")]
    begin = words.index("acusight-agent")
    for name, stand_in in {**PLACES, "https://acusight.io/api": world.sandbox.url}.items():
        words = [word.replace(name, stand_in) for word in words]
    found = [sorted(path.name for path in world.root.glob(word)) if "*" in word else [word] for word in words]
    return dict(word.split("=", 1) for word in words[:begin]), [word for some in found[begin + 1 :] for word in some]


def command_of(line: str) -> str:
    """Return the command of an example, as the schema of what is printed names it."""
    words = line.split()[1:]
    return next(name for name in ("-".join(words[:2]), words[0]) if name in DEFINITIONS or name == words[0])


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_has_an_example(path: str) -> None:
    """The help of every command ends with one, or more."""
    assert examples(COMMANDS[path])


def test_what_is_said_of_examples_is_about_examples() -> None:
    """No case and no exception is left of an example that is gone, and what is tested elsewhere is."""
    assert {*SPECIAL, *ELSEWHERE_TESTED} <= set(EXAMPLES)
    for line, place in ELSEWHERE_TESTED.items():
        assert line.split()[1] in (ROOT / place).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", [line for line in EXAMPLES if line not in ELSEWHERE_TESTED])
def test_an_example_does_what_its_help_says(line: str, world: World) -> None:
    """Each is run for real, ends well, and without a word of Python; what it prints as JSON is as the schema says."""
    case = SPECIAL.get(line, Case())
    beside = world.start("run") if case.daemon else None
    try:
        if beside is not None:
            world.until_it_runs(beside)
        if "service uninstall" in line:
            assert run(world, "acusight-agent service install", INSTALL).code == 0
        ended = run(world, line, case)
    finally:
        if beside is not None:
            world.finish(beside)
    assert ended.code in case.codes, ended
    assert "Traceback" not in ended.err, ended
    if "--json" in line and (name := command_of(line)) in DEFINITIONS:
        assert not faults_of(json.loads(ended.out), name)

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(agent.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
MOST_LINES = 260
MOST_LINES_OF_A_FUNCTION = 45

# Where pixels are touched: in child processes, and beside the daemon.
PIXELS = (
    "sources/backends.py",
    "sources/capture.py",
    "selection/looks.py",
    "pictures/child.py",
    "pictures/pixels.py",
    "sandbox/scene.py",
    "demo/",
    "annotators/detection.py",
    "annotators/detector.py",
)
# What may be imported where; a folder ends with a slash.
FENCES = {
    "httpx": ("platform/", "annotators/http.py"),
    "httpcore": ("platform/",),
    "cv2": PIXELS,
    "numpy": PIXELS,
    "watchdog": ("sources/notices.py",),
    "sqlite3": ("spool/",),
    "starlette": ("sandbox/", "page/"),
    "uvicorn": ("sandbox/", "page/"),
    "prometheus_client": ("page/",),
    "multipart": ("sandbox/",),
    "requests": (),
    "asyncio": ("sandbox/", "page/"),
    "rich": (),
    "pickle": (),
    "pydantic": ("config/", "sandbox/faults.py"),
    "pydantic_core": ("config/fields.py",),
    "pydantic_settings": ("config/variables.py",),
}
# What may be named where.
NAMES = {
    "threading.Thread": ("workers.py",),
    "threading.Timer": (),
    "os.environ": ("config/environment.py",),
    "os.environb": ("config/environment.py",),
    "os.getenv": ("config/environment.py",),
    "os.system": (),
    "os._exit": ("sources/grabber.py",),
    "time.sleep": ("sandbox/",),
    "signal.signal": ("service.py", "sandbox/wire.py"),
    "signal.set_wakeup_fd": ("service.py", "sandbox/wire.py"),
    "*.add_signal_handler": ("service.py", "sandbox/wire.py"),
    "*.fork": (),
}
# What a module must not be called: a name says what is in it.
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler", "handlers", "misc", "lib"}
NOT_IN_THE_DAEMON = {
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "cv2",
    "numpy",
    "starlette",
    "uvicorn",
    "multipart",
    "rich",
    "respx",
    "pytest",
}


@cache
def tree(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def short(path: Path) -> str:
    """Return a module's path below the package."""
    return path.relative_to(ROOT).as_posix()


def allowed(path: Path, places: Iterable[str]) -> bool:
    """Tell whether a module lies in one of some places."""
    name = short(path)
    return any(name.startswith(place) if place.endswith("/") else name == place for place in places)


@cache
def imports(path: Path, *, lazy: bool = True) -> tuple[str, ...]:
    """Return the modules that a module imports when it runs, those inside of functions only where `lazy`."""
    return tuple(_imports(path, lazy=lazy))


def _imports(path: Path, *, lazy: bool) -> Iterator[str]:
    for node in running(tree(path), lazy=lazy):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{short(path)}: relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def running(node: ast.AST, *, lazy: bool) -> Iterator[ast.AST]:
    """Walk what is executed: not the imports that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if not lazy and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from running(child, lazy=lazy)


@cache
def names(path: Path) -> tuple[str, ...]:
    """Return every dotted name that a module uses, also where it was imported by itself."""
    return tuple(_names(path))


def _names(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
            yield f"*.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def found(look: Callable[[Path], Iterable[str]], places: Iterable[str]) -> list[str]:
    """Return what is found outside of its places."""
    return [f"{short(path)}: {thing}" for path in MODULES if not allowed(path, places) for thing in look(path)]


@pytest.mark.parametrize("package", FENCES)
def test_a_package_stays_behind_its_fence(package: str) -> None:
    """Each foreign package is imported in its own rooms only, so that its errors and its weight stay there."""
    assert not found(
        lambda path: [name for name in imports(path) if name.partition(".")[0] == package], FENCES[package]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_dangerous_call_has_one_place(name: str) -> None:
    """Threads, signals, the environment and sleeping are each done in one place, or nowhere."""
    assert not found(lambda path: [used for used in names(path) if used == name], NAMES[name])


def test_the_fences_have_something_to_hold() -> None:
    """What a fence lets through is really there: a moved module would leave its fence open for others."""
    for places in (*FENCES.values(), *NAMES.values()):
        for place in places:
            assert (ROOT / place).exists() or place == "demo/", place


def test_no_error_is_caught_unseen() -> None:
    """Only the nursery and the caller of plug-ins catch every exception, and none is dropped by a bare except."""

    def caught(path: Path) -> Iterator[str]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                kinds = "BaseException" if node.type is None else ast.unparse(node.type)
                raised = any(isinstance(step, ast.Raise) and step.exc is None for step in ast.walk(node))
                if any(kind in kinds.replace("(", " ").replace(",", " ").split() for kind in ("Exception",)):
                    yield f"line {node.lineno}: {kinds}"
                if "BaseException" in kinds and not raised:
                    yield f"line {node.lineno}: {kinds} without raise"

    assert not found(caught, ("workers.py", "annotators/plugin.py"))


def test_modules_and_functions_stay_small() -> None:
    """A module has at most 260 lines, a function 45: beyond that there is a second noun in it."""
    long = [f"{short(path)}: {lines}" for path in MODULES if (lines := _lines(path)) > MOST_LINES]
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{short(path)}: {node.name} {lines}")
    assert not long


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_every_module_has_a_name_and_a_headline() -> None:
    """File names are the table of contents: nouns of this house, each with a sentence."""
    vague = [short(path) for path in MODULES if NO_NAMES & {path.stem, path.parent.name}]
    silent = [
        short(path)
        for path in MODULES
        if path.stem != "__main__" and not (ast.get_docstring(tree(path)) or "").partition("\n")[0]
    ]
    assert not vague
    assert not silent


def test_no_import_goes_in_circles() -> None:
    """What a module imports at its top never leads back to it."""
    modules = {short(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in MODULES}
    needed = {name: set(imports(path, lazy=False)) for name, path in modules.items()}
    edges = {
        name: {other for other in modules if other != name and f"agent.{other}" in needed[name]} for name in modules
    }
    circle = _circle(edges)
    assert circle is None, " -> ".join(circle)


def _circle(edges: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for other in sorted(edges[name]):
            circle = walk(other, [*path, name])
            if circle is not None:
                return circle
        done.add(name)
        return None

    return next(filter(None, (walk(name, []) for name in edges)), None)


def test_the_daemon_carries_no_ballast() -> None:
    """What the daemon imports leaves out OpenCV, NumPy, pydantic, the web server and rich: it has 46 MB in all."""
    code = "import agent.commands.run, agent.app.house, agent.daemon, json, sys; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(ended.stdout)}
    assert not loaded & NOT_IN_THE_DAEMON


@pytest.mark.parametrize(
    "process",
    [
        "commands/run.py",
        "app/house.py",
        "config/reading.py",
        "commands/page.py",
        "page/serving.py",
        "pictures/child.py",
        "sources/scout_child.py",
        "sources/grabber.py",
        "annotators/plugin.py",
        "annotators/detector.py",
    ],
)
def test_what_runs_for_long_has_no_models_of_settings(process: str) -> None:
    """Neither the daemon nor the page nor a child of theirs has a module at its top that leads to pydantic, 13 MB."""
    needed, seen = [ROOT / process], set[Path]()
    while needed:
        path = needed.pop()
        seen.add(path)
        modules = imports(path, lazy=False)
        assert not [name for name in modules if name.partition(".")[0] in {"pydantic", "pydantic_core"}], path
        files = {ROOT.parent / f"{name.replace('.', '/')}.py" for name in modules if name.startswith("agent.")}
        needed += [file for file in files if file.exists() and file not in seen]
    assert len(seen) > 1


@pytest.mark.parametrize("verb", ["status", "version"])
def test_a_quick_verb_does_not_pay_for_the_daemon(verb: str) -> None:
    """`status` and `version` are asked by people and by monitoring: they leave httpx and the sources alone."""
    also = ", agent.status, agent.config.load, agent.commands.summary" if verb == "status" else ""
    code = f"import agent.commands.{verb}{also}, json, sys; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(ended.stdout))
    assert not {"httpx", "agent.app", "agent.sandbox", "agent.page", "asyncio", "structlog", "uvicorn"} & loaded


@cache
def borne() -> set[str]:
    """Return the words in the docstrings of all tests but these."""
    return {
        word
        for path in Path(__file__).parent.rglob("test_*.py")
        if path != Path(__file__) and re.search(r"\bI[1-9]\b", path.read_text(encoding="utf-8"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for word in re.split(r"[\s(),]+", ast.get_docstring(node) or "")
    }


@pytest.mark.parametrize("number", range(1, 10))
def test_every_invariant_has_a_test(number: int) -> None:
    """Each of the nine invariants is borne by a test that names it."""
    assert f"I{number}" in borne()

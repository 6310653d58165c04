"""The plug-in child: a Python callable of somebody else's, in a process of its own. It may crash, hang or leak there.

Started as `python -m agent.annotators.plugin NAME PARENT MEMORY`. The callable is the entry point NAME of the group
`acusight_agent.annotators`: it takes the bytes of a JPEG and returns what JSON can hold.
"""

from __future__ import annotations

import resource
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from agent.annotators.serving import Unseen, private_output, serve
from agent.ceiling import lower
from agent.tether import die_with

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "acusight_agent.annotators"


def guarded(name: str, look: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return the callable with whatever it raises told as a failure of that one picture."""

    def looked(jpeg: bytes) -> Any:  # noqa: ANN401 (what a plug-in returns)
        try:
            return look(jpeg)
        except Exception as error:  # it is not ours: anything may come
            raise Unseen(f"{name} raised {type(error).__name__}: {error}") from error

    return looked


def load(name: str) -> Callable[[bytes], Any]:
    """Return the callable; ends the process with a sentence where there is none."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        known = f"there are {', '.join(sorted(found))}" if found else "there is none"
        sys.exit(f"no entry point {name!r} in the group {GROUP}: {known}. Is its package installed beside the agent?")
    look = found[name].load()
    if not callable(look):
        sys.exit(f"the entry point {name!r} is no callable that takes the bytes of a JPEG")
    return guarded(name, look)


def confine(memory: int) -> None:
    """Have the process refused what it asks for beyond so much memory, before the machine has to kill something.

    What counts is what it can write to (`RLIMIT_DATA`): address space that CUDA only reserves does not.
    """
    if memory:
        lower(resource.RLIMIT_DATA, memory)
    lower(resource.RLIMIT_CORE, 0)


def main(name: str, parent: int, memory: int) -> None:
    """Serve pictures until there are no more."""
    die_with(parent)
    confine(memory)
    answers = private_output()
    serve(load(name), answers)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

"""Settings as the agent works with them: plain values under the names of the models that checked them.

pydantic and the models are 13 MB, which a process that has checked its settings does not get back. So the models stay
in the process that checks (`reading_child`, or a command that ends soon), and what goes on from there is a tree of
`Values`. For the type checker a section keeps the type of its model (`Settings`, `WatchSettings`, ...), so it goes on
checking every name and every use of it; at run time these classes are not there, which is why they are imported under
`TYPE_CHECKING` alone, are not asked for by `isinstance`, and have no methods but those below. What follows from
settings is said by functions: see `derived`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Values:
    """One section: frozen, equal to one of the same values, and with what the agent uses of a model's own methods."""

    __slots__ = ("__dict__", "model_fields_set")

    model_fields_set: frozenset[str]
    """The names that somebody wrote; the others have their defaults."""

    def __init__(self, values: Mapping[str, Any], given: Iterable[str] = ()) -> None:
        object.__setattr__(self, "model_fields_set", frozenset(given))
        self.__dict__.update(values)

    def model_copy(self, *, update: Mapping[str, Any]) -> Values:
        """Return the same with other values for some names."""
        return Values(self.__dict__ | dict(update), self.model_fields_set | update.keys())

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: settings are shared by all threads."""
        raise AttributeError(f"settings are frozen: {name}")

    def __delattr__(self, name: str) -> None:
        """Refuse, likewise."""
        raise AttributeError(f"settings are frozen: {name}")

    def __eq__(self, other: object) -> bool:
        """Compare values, not what was written and what is a default."""
        return isinstance(other, Values) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # it may hold tables

    def __repr__(self) -> str:
        """Return the names alone: a camera's URL may hold a password."""
        return f"Values({', '.join(self.__dict__)})"

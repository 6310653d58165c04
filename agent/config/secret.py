"""A text that is shown to nobody by accident: a device key, a header with a token."""

from __future__ import annotations

from dataclasses import dataclass

MASK = "*" * 10


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """What must be asked for by name; printed, logged or put into a message it is a row of stars."""

    _text: str

    def get_secret_value(self) -> str:
        """Return the text itself."""
        return self._text

    def __str__(self) -> str:
        """Return stars; that it is empty may be seen."""
        return MASK if self._text else ""

    def __repr__(self) -> str:
        """Return the same, for developers."""
        return f"Secret('{self}')"

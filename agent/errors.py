"""The errors of the agent, named by what is done next.

    AgentError
    ├── Wait                 not now: look again later, nothing is lost
    │   ├── Unanswered       an annotator said nothing of a picture: its rule says what becomes of that
    │   ├── SpoolFull        a cap or a floor is reached
    │   └── SpoolUnavailable the disk under the spool fails
    │       └── SpoolDamaged its database is corrupt: set aside and salvaged
    ├── Reject               this one file is nothing to send; said once, the file is left alone
    │   ├── BadPicture       not a whole, acceptable picture
    │   └── BadSidecar       annotations that cannot be read
    ├── Reopen               this source is lost for now: back off, open it again
    ├── LinkFault            no answer from the platform: the link pauses, no item is to blame
    └── Halt                 the agent cannot go on; `exit_code` says how the process ends
        ├── ConfigError      78
        ├── SpoolTaken       1
        ├── NotRunning       3
        ├── SetAside         4
        ├── TryLater         5
        ├── Refused          6
        ├── Interrupted      130
        └── UsageError       2

A message says what happened, to which thing, and what to do, on one line. Foreign exceptions are translated
where they enter (`OSError`, `sqlite3`, `httpx`, `cv2`); none crosses a module boundary as itself.
"""

from __future__ import annotations


class AgentError(Exception):
    """Anything the agent expects to go wrong: what happened and, where there is one, the remedy."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        """One line, whatever the message was made from: a name with a newline cannot forge a second one."""
        text = f"{self.what.rstrip('.')}. {self.remedy}" if self.remedy else self.what
        return " ".join(text.split())


class Wait(AgentError):
    """Not now; the same thing may work later."""


class Unanswered(Wait):
    """An annotator said nothing that can be used of a picture.

    `away` is true where the annotator itself is at fault (gone, silent, talking nonsense), so that the next picture
    would fare no better now; false where it is about this one picture.
    """

    def __init__(self, what: str, *, remedy: str = "", away: bool = False) -> None:
        super().__init__(what, remedy=remedy)
        self.away = away


class SpoolFull(Wait):
    """The spool's cap, or the disk's floor of free space, leaves no room."""


class SpoolUnavailable(Wait):
    """The disk under the spool answers with errors."""


class SpoolDamaged(SpoolUnavailable):
    """The spool's database cannot be read; opening the spool again sets it aside and salvages it."""


class Reject(AgentError):
    """This file is nothing to send; it is reported once and left where it is."""


class BadPicture(Reject):
    """The bytes are no whole picture, or one beyond the limits."""


class BadSidecar(Reject):
    """The annotations beside a picture cannot be read; the message names file, line and field."""


class Reopen(AgentError):
    """A source went silent or ended unexpectedly."""


class LinkFault(AgentError):
    """No usable answer came back.

    `kind` is a short stable word for logs (`dns`, `connect`, `tls`, `timeout`, `reset`). `sent` is true when bytes
    of the item had left the device, so that the outcome is unknown.
    """

    def __init__(self, what: str, *, kind: str, sent: bool, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.kind = kind
        self.sent = sent


class Halt(AgentError):
    """The process cannot go on."""


class UsageError(Halt):
    """The command line asks for something impossible."""

    exit_code = 2


class NotRunning(Halt):
    """No daemon is running on this spool."""

    exit_code = 3


class SetAside(Halt):
    """The work is done, but the platform refused some pictures; they are kept for a person to look at."""

    exit_code = 4


class TryLater(Halt):
    """The server or the link is at fault; the work is kept."""

    exit_code = 5


class Refused(Halt):
    """The platform refuses this device's key; the work is kept."""

    exit_code = 6


class Interrupted(Halt):
    """A person ended a bounded run before it was done; the work is kept."""

    exit_code = 130


class ConfigError(Halt):
    """The configuration is invalid; nothing was changed."""

    exit_code = 78


class SpoolTaken(Halt):
    """Another agent owns this spool."""

"""Exceptions with messages for operators, one class for each kind of failure that a caller can handle.

.. code-block:: text

    ReconcileError               base class: str() is the message, ``hints`` what to do
    ├── StateError               the state file, or a file that it names, is invalid; ``problems`` lists all
    │   └── MissingFile              a file doesn't exist on this machine
    ├── ObserveError             a live system can't be queried, or its answer can't be trusted
    │   └── RegistryNeedsRecovery    a killed writer left a journal, which only an apply may roll back
    ├── PlanError                the desired state can't be ordered or can't be reached
    │   ├── ConflictError            the state contradicts what exists; only an operator knows which is right
    │   ├── RemovalRefused           more would be removed than was allowed
    │   └── RepositoryReadOnly       the repository is a Butler server, which can't be changed
    ├── PluginError              the kind or the report format of another package doesn't work
    ├── LockHeld                 another apply is running
    ├── LockLost                 the lock was lost during a run, which has stopped
    ├── WriteRefused             a check that only reads was about to change something
    └── ApplyError               an action failed
        ├── WorkerDied               a worker process ended before its work was done
        └── PartlyApplied            an action did all that can be done; the error names the rest, and why
    Interrupted                  the caller asked a run to stop; not a failure

Adapters translate every exception of a library into one of these. Messages never contain credentials: `clean` removes them from
all text that comes from outside.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.printable import escape
from reconciler.redaction import redact

LONGEST_MESSAGE = 2000


def clean(text: object) -> str:
    """Return the text of an object with credentials replaced by ``***``, cut to `LONGEST_MESSAGE` characters."""
    shown = redact(str(text)[: 4 * LONGEST_MESSAGE])
    return shown if len(shown) <= LONGEST_MESSAGE else shown[:LONGEST_MESSAGE] + " …"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the known word closest to a misspelt one: ``; did you mean "…"?``, or an empty string if none is close."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if not close:
        by_lower_case = {one.lower(): one for one in words}
        close = [by_lower_case[one] for one in difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.6)]
    return f'; did you mean "{close[0]}"?' if close else ""


class ReconcileError(Exception):
    """Base class of all errors that are shown to an operator.

    Parameters
    ----------
    message : `str` or sequence of `str`
        What is wrong, and where; several problems are a line each. A newline within a problem is escaped: it comes from a name.
    hints : sequence of `str`
        Further lines: what is known, and what to do.
    """

    def __init__(self, message: str | Sequence[str], hints: Sequence[str] = ()) -> None:
        self.problems = [escape(clean(text)) for text in ([message] if isinstance(message, str) else message)]
        super().__init__("\n".join(self.problems))
        self.hints = tuple(escape(clean(hint)) for hint in hints)


class StateError(ReconcileError):
    """A state file, or an input file that it names, is invalid."""


class MissingFile(StateError):
    """A file that is to be read doesn't exist on this machine.

    Parameters
    ----------
    path : `str`
        The file.
    suggestion : `str`
        What was probably meant, from `did_you_mean`.
    hints : sequence of `str`
        Further lines: what is known, and what to do.
    """

    def __init__(self, path: str, suggestion: str = "", hints: Sequence[str] = ()) -> None:
        self.path = path
        super().__init__(f"{path}: no such file{suggestion}", hints)


class ObserveError(ReconcileError):
    """A live system can't be queried, or its answer can't be trusted."""


class PlanError(ReconcileError):
    """The desired state can't be ordered or can't be reached."""


class ConflictError(PlanError):
    """The state contradicts what exists, such as a collection of another type; nothing was done about it.

    `ReconcileError.problems` has one line for each conflict.
    """


class RemovalRefused(PlanError):
    """A plan removes members without permission, or more of them than the limits allow; nothing was changed.

    Parameters
    ----------
    message : `str` or sequence of `str`
        Which limits are exceeded.
    count : `int`
        Number of members that the plan removes.
    hints : sequence of `str`
        Further lines: what is known, and what to do.
    """

    def __init__(self, message: str | Sequence[str], count: int, hints: Sequence[str] = ()) -> None:
        self.count = count
        super().__init__(message, hints)


class RepositoryReadOnly(PlanError):
    """A plan changes a repository that is a Butler server, which only answers questions; nothing was changed.

    Parameters
    ----------
    message : `str`
        Which repository.
    actions : `Mapping` [`str`, `int`]
        Number of actions that need a direct Butler, by table.
    hints : sequence of `str`
        Further lines: what is known, and what to do.
    """

    def __init__(self, message: str | Sequence[str], actions: Mapping[str, int], hints: Sequence[str] = ()) -> None:
        self.actions = dict(actions)
        super().__init__(message, hints)


class PluginError(ReconcileError):
    """The kind or the report format of another package can't be used; the message names the package."""


class RegistryNeedsRecovery(ObserveError):
    """A killed writer left a hot journal in a SQLite registry, which SQLite rolls back when it is next opened for writing."""


class WriteRefused(ReconcileError):
    """A check that only reads was about to change a live system; nothing was changed."""


class LockHeld(ReconcileError):
    """Another apply holds the lock."""


class LockLost(ReconcileError):
    """The lock of this run was lost, so another apply may be running; this one stops and doesn't acquire it again."""


class ApplyError(ReconcileError):
    """An action failed."""


class PartlyApplied(ApplyError):
    """An action did all that can be done now; the message names what is left, and why, so it isn't tried again in this run.

    What was made can be used: only what needs the rest is affected.

    Parameters
    ----------
    message : `str` or sequence of `str`
        What is left, and why.
    made : mapping
        What the action made: numbers or lists by noun.
    hints : sequence of `str`
        Further lines: what is known, and what to do.
    """

    def __init__(self, message: str | Sequence[str], made: Mapping[str, Any], hints: Sequence[str] = ()) -> None:
        self.made = dict(made)
        super().__init__(message, hints)


class WorkerDied(ApplyError):
    """A worker process died before it finished its part of an action; its uncommitted work was rolled back."""


class Interrupted(Exception):
    """The operator interrupted the run; finished actions stay done, and the next run continues after them.

    Parameters
    ----------
    problems : sequence of `str`
        What the interrupted action could not do before.
    """

    def __init__(self, problems: Sequence[str] = ()) -> None:
        super().__init__("interrupted")
        self.problems = tuple(problems)

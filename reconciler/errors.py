"""Exceptions with messages for operators, one class for each kind of failure that a caller can handle.

Adapters translate every exception of a library into one of these. Messages never contain credentials: `clean` removes them from
all text that comes from outside.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*):(?P<secret>[^\s/@]+)@", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(?P<head>(?:password|passwd|pwd|token|secret|x-rucio-auth-token|authorization)['\"]?\s*[=:]\s*(?:bearer\s+)?)"
    r"(?P<secret>'[^']*'|\"[^\"]*\"|[^\s'\",;&)]+)",
    re.IGNORECASE,
)
LONGEST_MESSAGE = 2000


def clean(text: object) -> str:
    """Return the text of an object with credentials replaced by ``***``, cut to `LONGEST_MESSAGE` characters."""
    shown = str(text)[: 4 * LONGEST_MESSAGE]
    shown = _URL_PASSWORD.sub(r"\g<head>:***@", shown)
    shown = _ASSIGNED.sub(r"\g<head>***", shown)
    return shown if len(shown) <= LONGEST_MESSAGE else shown[:LONGEST_MESSAGE] + " …"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the known word closest to a misspelt one: ``; did you mean "…"?``, or an empty string if none is close."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


class ReconcileError(Exception):
    """Base class of all errors that are shown to an operator.

    Parameters
    ----------
    message : `str`
        One line: what is wrong, and where.
    hints : sequence of `str`
        Further lines: what is known, and what to do.
    """

    def __init__(self, message: str, hints: Sequence[str] = ()) -> None:
        super().__init__(clean(message))
        self.hints = tuple(clean(hint) for hint in hints)


class StateError(ReconcileError):
    """A state file, or an input file that it names, is invalid.

    Parameters
    ----------
    problems : `str` or sequence of `str`
        All problems that were found, one line each.
    hints : sequence of `str`
        Further lines: what is known, and what to do.
    """

    def __init__(self, problems: Sequence[str] | str, hints: Sequence[str] = ()) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems), hints)


class ObserveError(ReconcileError):
    """A live system can't be queried, or its answer can't be trusted."""


class PlanError(ReconcileError):
    """The desired state can't be ordered or can't be reached."""


class RegistryNeedsRecovery(ObserveError):
    """A killed writer left a hot journal in a SQLite registry, which SQLite rolls back when it is next opened for writing."""


class LockHeld(ReconcileError):
    """Another apply holds the lock."""


class LockLost(ReconcileError):
    """The lock of this run was lost, so another apply may be running; this one stops and doesn't acquire it again."""


class ApplyError(ReconcileError):
    """An action failed."""


class WorkerDied(ApplyError):
    """A worker process died before it finished its part of an action; its uncommitted work was rolled back."""


class Interrupted(Exception):
    """The operator interrupted the run; finished actions stay done, and the next run continues after them."""

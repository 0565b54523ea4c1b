"""The errors that reach an operator, one class for each boundary.

Everything that a library raises is turned into one of these where it crosses into our code, with what is known and what to do.
None ever carries a password: `clean` takes credentials out of every text that came from outside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*):(?P<secret>[^\s/@]+)@", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(?P<head>(?:password|passwd|pwd|token|secret|x-rucio-auth-token|authorization)['\"]?\s*[=:]\s*(?:bearer\s+)?)"
    r"(?P<secret>'[^']*'|\"[^\"]*\"|[^\s'\",;&)]+)",
    re.IGNORECASE,
)
LONGEST_MESSAGE = 2000


def clean(text: object) -> str:
    """Make a text from outside fit to be shown: no credentials, and no message of megabytes.

    Parameters
    ----------
    text : `object`
        An exception, or anything else that has a text.

    Returns
    -------
    text : `str`
        The same, with ``***`` where a secret stood.
    """
    shown = str(text)[: 4 * LONGEST_MESSAGE]
    shown = _URL_PASSWORD.sub(r"\g<head>:***@", shown)
    shown = _ASSIGNED.sub(r"\g<head>***", shown)
    return shown if len(shown) <= LONGEST_MESSAGE else shown[:LONGEST_MESSAGE] + " …"


class ReconcileError(Exception):
    """Anything an operator is told as an error.

    Parameters
    ----------
    message : `str`
        One line: what and where.
    hints : sequence of `str`
        Further lines: what is known and what to do.
    """

    def __init__(self, message: str, hints: Sequence[str] = ()) -> None:
        super().__init__(clean(message))
        self.hints = tuple(clean(hint) for hint in hints)


class StateError(ReconcileError):
    """A state file, or an input that it names, is not right.

    Parameters
    ----------
    problems : sequence of `str`
        Each one line; all of a file are told at once.
    hints : sequence of `str`
        As for `ReconcileError`.
    """

    def __init__(self, problems: Sequence[str] | str, hints: Sequence[str] = ()) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems), hints)


class ObserveError(ReconcileError):
    """A live system could not be asked, or answered what can't be trusted."""


class PlanError(ReconcileError):
    """What is wanted can't be ordered or can't be done."""


class ApplyError(ReconcileError):
    """An action failed."""


class WorkerDied(ApplyError):
    """A process that did a part of an action ended before that part did; what it had not committed was rolled back."""


class Interrupted(Exception):
    """The operator asked to stop; what is done stays, and the next run goes on from there."""

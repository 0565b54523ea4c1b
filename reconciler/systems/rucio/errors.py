"""What goes wrong between this program and a Rucio server: which failures are retried, and what they mean to an operator.

Reads are retried with growing, random pauses. Writes are not: after a lost response nobody knows whether the change was made, so
the caller reads again instead.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from reconciler.errors import ApplyError, Interrupted, ObserveError, ReconcileError, clean

TRIES = 3
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
RETRIED_STATUS_CODES = (429, 500, 502, 503, 504)
LONGEST_DETAIL = 300
"""Characters of a server's message that are shown: some quote the whole request."""

T = TypeVar("T")


class IncompleteAnswer(Exception):
    """A list is shorter than the count recorded elsewhere: the connection was cut at the end of a line."""


@dataclass(frozen=True)
class Explanation:
    """What an exception means, and what an operator can do about it."""

    message: str
    hints: tuple[str, ...] = ()


@dataclass
class Attempts:
    """Calls a question again while that may help, and counts the calls for the error message."""

    made: int = 0
    started: float = field(default_factory=time.monotonic)

    def call(self, question: Callable[[], T]) -> T:
        """Return the answer to a question, after at most `TRIES` attempts."""
        import stamina

        stamina.instrumentation.set_on_retry_hooks([])  # its log lines would mix with our output

        @stamina.retry(
            on=is_transient,
            attempts=TRIES,
            timeout=None,
            wait_initial=FIRST_PAUSE,
            wait_max=LONGEST_PAUSE,
            wait_jitter=FIRST_PAUSE,
        )
        def attempt() -> T:
            self.made += 1
            return question()

        return attempt()

    def describe(self) -> str:
        """Return what a message ends with, such as `` (3 tries in 5 s)``; empty after a single try."""
        return f" ({self.made} tries in {time.monotonic() - self.started:.0f} s)" if self.made > 1 else ""


def is_transient(error: BaseException) -> bool:
    """Check whether the same read may succeed a moment later; `False` for everything that the server decided."""
    import requests
    from rucio.common import exception as rucio_errors

    if isinstance(error, rucio_errors.CannotAuthenticate):
        return not _is_refusal(error)
    # StopIteration: the library takes the first record of an empty response.
    transient = (
        *(rucio_errors.ServerConnectionException, rucio_errors.DatabaseException, IncompleteAnswer, StopIteration),
        *(requests.exceptions.RequestException, json.JSONDecodeError, ConnectionError),
    )
    return isinstance(error, transient) or _status_code(error) in RETRIED_STATUS_CODES


def explain(error: BaseException) -> Explanation:
    """Describe an exception of rucio-clients, or of a library below it, to an operator."""
    if isinstance(error, ImportError):
        return Explanation(f"rucio-clients can't be imported: {error}")
    from rucio.common import exception as rucio_errors

    detail = " ".join(clean(error).split())[:LONGEST_DETAIL]
    if isinstance(error, rucio_errors.CannotAuthenticate):
        return _explain_login(error)
    if (page := _explain_login_page(error)) is not None:
        return page
    if (code := _status_code(error)) is not None:
        return _explain_status(code)
    for classes, message, hint in _explanations():
        if isinstance(error, classes):
            return Explanation(message.format(detail=detail), (hint,) if hint else ())
    return Explanation(f"{type(error).__name__}: {detail}")


@functools.cache
def _explanations() -> list[tuple[tuple[type[BaseException], ...], str, str]]:
    """List what each class means, the first that fits being used; built on the first error, because the imports are slow."""
    import requests
    from rucio.common import exception as rucio_errors

    down = "Is the server up? Is RUCIO_CONFIG right?"
    unconfigured = (
        *(rucio_errors.ConfigNotFound, rucio_errors.MissingClientParameter, rucio_errors.NoAuthInformation),
        *(configparser.NoSectionError, configparser.NoOptionError),
    )
    return [
        # A timeout of the connection itself is both classes; it means a server that is not there.
        (
            (rucio_errors.ServerConnectionException, requests.exceptions.ConnectionError, ConnectionError),
            "connection refused or lost",
            down,
        ),
        (
            (requests.exceptions.Timeout,),
            "no answer in time",
            "Is the server overloaded? Raise `timeout` in [rucio] to wait longer.",
        ),
        ((requests.exceptions.ChunkedEncodingError,), "the answer was cut off", down),
        (
            (json.JSONDecodeError, requests.exceptions.JSONDecodeError),
            "the answer isn't from Rucio",
            "Is there a proxy or a login page in between?",
        ),
        ((IncompleteAnswer,), "the answer is incomplete: {detail}", "The dataset may have changed meanwhile; run again."),
        (unconfigured, "the client isn't configured: {detail}", "Is RUCIO_CONFIG set?"),
        ((rucio_errors.DatabaseException,), "the server can't use its database", "Report it to the server's administrators."),
        (
            (rucio_errors.AccessDenied,),
            "the account lacks permission: {detail}",
            "Ask for the permission, or use another account.",
        ),
        (
            (rucio_errors.InsufficientAccountLimit,),
            "the account's quota at the RSE is too small",
            "Ask for more quota at that RSE.",
        ),
        ((rucio_errors.InvalidRSEExpression,), "no RSE matches: {detail}", "Is rse_expression right?"),
        *_explain_refusals(),
        ((StopIteration,), "the server sent an empty answer", down),
    ]


def _explain_refusals() -> list[tuple[tuple[type[BaseException], ...], str, str]]:
    """List what the server refuses because of what the state asks for; each message keeps the server's own words."""
    from rucio.common import exception as rucio_errors

    return [
        (
            (rucio_errors.InsufficientTargetRSEs,),
            "InsufficientTargetRSEs: {detail}",
            "Lower `copies`, or let rse_expression match more RSEs.",
        ),
        (
            (rucio_errors.RSEWriteBlocked,),
            "RSEWriteBlocked: {detail}",
            "Wait until the RSE accepts files again, or choose another in rse_expression.",
        ),
        ((rucio_errors.AccountNotFound,), "AccountNotFound: {detail}", "Is the account of the rule, or of [rucio], right?"),
        ((rucio_errors.ScopeNotFound,), "ScopeNotFound: {detail}", "Is the scope right? Ask for it to be created if it is."),
        (
            (rucio_errors.DataIdentifierNotFound,),
            "DataIdentifierNotFound: {detail}",
            "It was removed meanwhile, or its name is misspelled; run `reconcile diff` again.",
        ),
        (
            (rucio_errors.DataIdentifierAlreadyExists, rucio_errors.DuplicateRule, rucio_errors.FileAlreadyExists),
            "it exists already: {detail}",
            "Somebody made it meanwhile; run again.",
        ),
        (
            (rucio_errors.UnsupportedOperation,),
            "UnsupportedOperation: {detail}",
            "If it is closed, only an administrator of the Rucio server can reopen it.",
        ),
        (
            (rucio_errors.FileConsistencyMismatch,),
            "FileConsistencyMismatch: {detail}",
            "The file has another size or checksum than Rucio recorded; restore it, or register it under another name.",
        ),
        ((rucio_errors.RuleNotFound,), "RuleNotFound: {detail}", "It was removed meanwhile; run again."),
        ((rucio_errors.InvalidObject,), "InvalidObject: {detail}", "The server's schema doesn't allow it; correct the state."),
    ]


def _explain_login(error: BaseException) -> Explanation:
    if _is_refusal(error):
        return Explanation(
            "the server refused the credentials",
            ("Are the account, user and password (or certificate, or token) in rucio.cfg right?",),
        )
    return Explanation("the server could not check the credentials", ("This isn't about the password; run again later.",))


def _explain_login_page(error: BaseException) -> Explanation | None:
    """Explain the answer of something that isn't Rucio: HTML instead of JSON, or a login that ends without a token."""
    hint = "Is there a proxy or a login page in between? Is rucio_host, or auth_host, in rucio.cfg right?"
    if isinstance(error, KeyError) and "x-rucio-auth-token" in str(error).lower():
        return Explanation("the answer to the login isn't from Rucio: it has no token, like a login page", (hint,))
    if isinstance(error, json.JSONDecodeError) and error.doc.lstrip()[:1] == "<":
        return Explanation("the answer isn't from Rucio: it is a web page, such as a login page", (hint,))
    return None


def _explain_status(code: int) -> Explanation:
    if code == 429:
        return Explanation("the server limits the request rate (429)", ("Run again later.",))
    return Explanation(f"the server answered {code}", ("If it persists, report it to the server's administrators.",))


def _is_refusal(error: BaseException) -> bool:
    """Check whether the server itself refused a login.

    The library raises CannotAuthenticate for every login that fails, also when a proxy answered 503. Only what a Rucio server
    sent is distinguishable, by its exception class at the start of the text; the library keeps it nowhere else.
    """
    return "Details: CannotAuthenticate" in str(error)


def _status_code(error: BaseException) -> int | None:
    """Read the HTTP status of a response that carries no exception of Rucio's.

    The library then raises its base class, and keeps the status only in the text ("no error information passed (http status
    code: 503)").
    """
    from rucio.common.exception import RucioException

    if type(error) is not RucioException:
        return None
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


@contextlib.contextmanager
def translate_read_errors(place: Callable[[], str], attempts: Attempts | None = None, what: str = "") -> Iterator[None]:
    """Raise `ObserveError` for everything that keeps a server from giving a trustworthy answer.

    Parameters
    ----------
    place : callable
        Returns the address of the server.
    attempts : `Attempts`, optional
        The tries, which the message counts.
    what : `str`
        The DID or pattern that the question is about; empty for a question about many.
    """
    try:
        yield
    except (ReconcileError, Interrupted):
        raise
    except Exception as error:
        why = explain(error)
        tries = attempts.describe() if attempts else ""
        subject = f"{what}: " if what and what not in why.message else ""
        raise ObserveError(f"can't query Rucio at {place()}: {subject}{why.message}{tries}", why.hints) from error


@contextlib.contextmanager
def translate_write_errors(place: Callable[[], str], what: str) -> Iterator[None]:
    """Raise `ApplyError` if a change failed, or if nobody knows whether it was made; ``what`` names the change."""
    try:
        yield
    except (ReconcileError, Interrupted):
        raise
    except Exception as error:
        why = explain(error)
        raise ApplyError(f"{what}: Rucio at {place()}: {why.message}", why.hints) from error

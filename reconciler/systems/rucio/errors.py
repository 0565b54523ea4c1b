"""What goes wrong between us and a Rucio server, when to try again, and what to tell an operator.

Reads are tried again with growing, random pauses within a budget that is told. Writes are not: after a lost answer nobody knows
whether they were done, so who writes reads again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from reconciler.errors import ApplyError, ObserveError, ReconcileError, clean

TRIES = 3
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0

T = TypeVar("T")
Retried = Callable[[Callable[[], Any]], Any]


def passing(error: BaseException) -> bool:
    """Tell whether the same question may get an answer a moment later.

    Parameters
    ----------
    error : `BaseException`
        What was raised.

    Returns
    -------
    passing : `bool`
        `False` for everything that the server decided.
    """
    import json

    import requests

    name = type(error).__name__
    text = str(error)
    if name in ("ServerConnectionException", "ShortAnswer", "DatabaseException", "StopIteration"):
        return True
    if isinstance(error, requests.exceptions.RequestException | json.JSONDecodeError | ConnectionError):
        return True
    if name == "CannotAuthenticate":
        return "Details: CannotAuthenticate" not in text  # the server's own words; else something in between answered
    return name == "RucioException" and any(f"status code: {code}" in text for code in (429, 500, 502, 503, 504))


def explain(error: BaseException) -> tuple[str, tuple[str, ...]]:
    """Say what an exception means.

    Parameters
    ----------
    error : `BaseException`
        From rucio-clients or what it stands on.

    Returns
    -------
    message : `str`
        One phrase.
    hints : tuple of `str`
        What to do.
    """
    import json

    import requests

    name = type(error).__name__
    text = " ".join(clean(error).split())
    down = ("Is the server up? Is RUCIO_CONFIG right?",)
    if name == "ServerConnectionException" or isinstance(error, requests.exceptions.ConnectionError | ConnectionError):
        return "connection refused or lost", down
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time", ("Is the server overloaded? [rucio] timeout says how long to wait.",)
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the answer was cut off", down
    if isinstance(error, json.JSONDecodeError) or name == "JSONDecodeError":
        return "the answer is not Rucio's", ("Is a proxy or a login page in between?",)
    if name == "ShortAnswer":
        return f"the answer is incomplete: {text}", ("Was the dataset changed meanwhile? Run again.",)
    if name == "CannotAuthenticate":
        if passing(error):
            return "the server could not check the credentials", ("This is not about the password; run again later.",)
        return "the server refused the credentials", (
            "Are account, user and password (or certificate, or token) of rucio.cfg right?",
        )
    if name in ("ConfigNotFound", "MissingClientParameter", "NoSectionError", "NoOptionError", "NoAuthInformation"):
        return f"the client is not configured: {text}", ("Is RUCIO_CONFIG set?",)
    if name == "DatabaseException":
        return "the server answers and its database does not", ("Tell the administrators of the server.",)
    if name == "RucioException" and "status code: 429" in text:
        return "the server asks for patience (429)", ("Run again later.",)
    if name == "RucioException" and "status code" in text:
        code = text.rpartition("status code:")[2].strip(" )'\"")[:3]
        return f"the server answered {code}", ("Tell the administrators of the server, if it lasts.",)
    if name == "AccessDenied":
        return f"the account may not do this: {text[:300]}", ("Ask for the permission, or use another account.",)
    if name == "InsufficientAccountLimit":
        return "the account's quota at the RSE does not suffice", ("Ask for more quota there.",)
    if name == "InvalidRSEExpression":
        return f"no RSE matches: {text[:300]}", ("Is rse_expression right?",)
    if name == "StopIteration":
        return "the server gave an empty answer", down
    return f"{name}: {text[:300]}", ()


@contextlib.contextmanager
def asking(place: Callable[[], str]) -> Iterator[Retried]:
    """Ask a server, again where that may help.

    Parameters
    ----------
    place : callable
        Says which server.

    Yields
    ------
    retried : callable
        Calls a question until it is answered.

    Raises
    ------
    reconciler.errors.ObserveError
        If there is no answer that can be trusted.
    """
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # its own log lines would stand between ours
    start = time.monotonic()
    tries = 0

    def retried(question: Callable[[], T]) -> T:
        nonlocal tries

        @stamina.retry(
            on=passing, attempts=TRIES, timeout=None, wait_initial=FIRST_PAUSE, wait_max=LONGEST_PAUSE, wait_jitter=FIRST_PAUSE
        )
        def ask() -> T:
            nonlocal tries
            tries += 1
            return question()

        return ask()

    try:
        yield retried
    except ReconcileError:
        raise
    except Exception as error:
        message, hints = explain(error)
        spent = f" ({tries} tries in {time.monotonic() - start:.0f} s)" if tries > 1 else ""
        raise ObserveError(f"Rucio at {place()} could not be asked: {message}{spent}", hints) from error


@contextlib.contextmanager
def telling(place: Callable[[], str], what: str) -> Iterator[None]:
    """Change something on a server, once.

    Parameters
    ----------
    place : callable
        Says which server.
    what : `str`
        What is done.

    Raises
    ------
    reconciler.errors.ApplyError
        If it failed, or nobody knows whether it was done.
    """
    try:
        yield
    except ReconcileError:
        raise
    except Exception as error:
        message, hints = explain(error)
        raise ApplyError(f"{what}: Rucio at {place()}: {message}", hints) from error

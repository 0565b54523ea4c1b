"""Translation of what the Butler, its database and its storage raise into errors that an operator understands.

Raw sqlalchemy errors, LookupError, TypeError and AssertionError all escape the Butler; each is turned into one of ours here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.errors import ApplyError, Interrupted, ObserveError, ReconcileError, RegistryNeedsRecovery, clean
from reconciler.systems.butler.server import explain_failure


class Fault(NamedTuple):
    """A known message of a database or storage (a regular expression), what it means (``{1}`` is a group), and what to do."""

    pattern: str
    meaning: str
    hint: str


_HOT_JOURNAL = Fault(
    r"attempt to write a readonly database",
    "an interrupted writer left a journal behind",
    "run reconcile apply once: opening the registry for writing recovers it",
)

_FAULTS = (
    Fault(
        r"Unexpected response to (?:HTTP request )?(\w+) (?:request to )?(\S+): (?:status )?(\d{3}(?: \w+)*)",
        "the storage answered {3} to {1} {2}",
        "does the WebDAV server work, and may this user read and write there?",
    ),
    Fault(
        r"HTTPS?ConnectionPool\(host='([^']+)', port=(\d+)\)",
        "the storage server {1}:{2} can't be reached",
        "is the WebDAV server up?",
    ),
    Fault(
        r'Could not connect to the endpoint URL: "(https?://[^/"]+)',
        "the storage server {1} can't be reached",
        "is the S3 server up, and is S3_ENDPOINT_URL its address?",
    ),
    Fault(
        r"Unable to locate credentials|partial credentials found",
        "there are no credentials for S3",
        "are they in ~/.aws/credentials, or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY?",
    ),
    Fault(
        r"An error occurred \((\w+)\) when calling the (\w+) operation: ([^\n]*)",
        "the storage answered {3} ({1}) to {2}",
        "may this user read and write in that bucket?",
    ),
    Fault(
        r"Forbidden (\w+) operation error",
        "the storage answered 403 Forbidden to {1}",
        "may this user read and write in that bucket?",
    ),
    Fault(
        r"Could not find boto3",
        "S3 needs the package boto3",
        "pip install 'rubin-reconciler[s3]'",
    ),
    Fault(
        r"No URI support for scheme: '([^']+)'",
        'the Butler has no storage for "{1}:" URLs',
        "is the scheme misspelt? It has file, https, davs, s3 and gs",
    ),
    Fault(
        r"no access credentials were found in the environment",
        "there is no access token for the Butler server",
        "set BUTLER_RUBIN_ACCESS_TOKEN to a token of this server",
    ),
    Fault(
        r"No module named '(httpx2?)'",
        "the package {1}, with which Butler servers are asked, is not installed",
        "pip install 'rubin-reconciler[server]'",
    ),
    Fault(
        r"No module named '(psycopg2?)'",
        "the PostgreSQL driver {1} is not installed",
        "pip install 'rubin-reconciler[postgres]'",
    ),
    _HOT_JOURNAL,
    Fault(
        r"permission denied for (\S+) (\S+)",
        "the database role may not use {1} {2}",
        "ask for the missing grant on it",
    ),
    Fault(
        r"permission denied to create extension|btree_gist",
        "PostgreSQL lacks the extension btree_gist",
        "an administrator runs: create extension btree_gist",
    ),
    Fault(
        r"must be superuser|must be owner of (\S+)",
        "the database role may not do this",
        "ask the database's administrator",
    ),
    Fault(
        r'database "([^"]+)" does not exist',
        'there is no database "{1}"',
        "is registry.db of butler.yaml right?",
    ),
    Fault(
        r'role "([^"]+)" does not exist',
        'there is no database role "{1}"',
        "is the user of registry.db right?",
    ),
    Fault(
        r"password authentication failed|no password supplied",
        "the database refused the credentials",
        "are they in ~/.lsst/db-auth.yaml or PGPASSFILE?",
    ),
    Fault(
        r"(?:could not translate host name|failed to resolve host) [\"']([^\"']+)[\"']",
        'the database host "{1}" is unknown',
        "is registry.db of butler.yaml right?",
    ),
    Fault(
        r"the database sent no answer within (\S+ s)",
        "the database did not answer within {1}",
        "is the server overloaded, or does another session block it? RECONCILE_DATABASE_TIMEOUT sets the limit in seconds",
    ),
    Fault(
        r"connection timeout expired|connection to server .*timeout expired",
        "the database did not answer in time",
        "is the server overloaded? Run again later",
    ),
    Fault(
        r"Connection refused|server closed the connection|could not connect|terminating connection|connection .*closed"
        r"|No such file or directory.*\.s\.PGSQL|the database system is (starting up|shutting down|in recovery)",
        "the database can't be reached",
        "is the server up? What is already written stays; run again when it is",
    ),
    Fault(
        r"schema \"([^\"]+)\" does not exist|relation \"([^\"]+)\" does not exist|no such table: (\S+)",
        "the registry's tables are missing",
        "is the namespace right? If butler create was interrupted, reconcile apply completes an empty repository",
    ),
    Fault(
        r"database is locked",
        "another process is writing to the SQLite database",
        "wait for it, and run again",
    ),
    Fault(
        r"database or disk is full|No space left on device|could not extend file|disk I/O error",
        "the disk is full or broken",
        "free space and run again; nothing half-written stays",
    ),
    Fault(
        r"unable to open database file",
        "the SQLite database can't be opened",
        "does its folder exist, and may this user write there?",
    ),
    Fault(
        r"timeout expired|statement timeout|Read timed out",
        "the server did not answer in time",
        "run again later",
    ),
)


_BACKGROUND = re.compile(r"\s*\(Background on this error at: [^)]*\)")
"""SQLAlchemy ends each message with a link that helps no operator."""
_NO_MESSAGE = re.compile(r"(?:\([\w.]+\))?\s*")
"""What is left of SQLAlchemy's message if the driver gave none: at most the class of the driver's error."""


def find_innermost_cause(error: BaseException) -> BaseException:
    """Return the exception at the end of the chain of causes, or the last one in it that has a message."""
    return next((cause for cause in reversed(_list_causes(error)) if str(cause).strip()), error)


def _list_causes(error: BaseException) -> list[BaseException]:
    """Return an exception and its causes, the innermost last."""
    found = [error]
    while (cause := found[-1].__cause__) is not None and cause not in found:
        found.append(cause)
    return found


def is_outage(error: BaseException) -> bool:
    """Return True if an exception comes from a database that can't be reached or doesn't answer."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    return any(isinstance(one, OperationalError | InterfaceError) for one in _list_causes(error))


def concerns_all(error: BaseException) -> bool:
    """Return True if an exception is about the database, the storage or this machine, and not about what was to be written."""
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError

    cause = find_innermost_cause(error)
    if any(_find_fault(one)[0] is not None for one in (error, cause)):
        return True
    if isinstance(cause, SQLAlchemyError):
        return not isinstance(cause, IntegrityError)
    return isinstance(cause, ImportError | MemoryError | PermissionError | ConnectionError | TimeoutError)


def explain(error: BaseException) -> tuple[str, tuple[str, ...]]:
    """Return in one phrase what an exception of the Butler, its database or its storage means, and hints what to do."""
    of_server = explain_failure(error)
    if of_server is not None:
        return of_server
    fault, match = _find_fault(error)
    if fault is not None and match is not None:
        groups = [match[0], *(group or "" for group in match.groups())]
        return fault.meaning.format(*groups), (fault.hint,)
    text = clean(error)
    first = _BACKGROUND.sub("", text.strip()).split("\n[SQL")[0].strip()
    if _NO_MESSAGE.fullmatch(first):
        cause = find_innermost_cause(error)
        first = clean(cause).strip() if cause is not error else ""
    return _explain_system_error(error, text, first) or _explain_butler_error(error, text, first)


def _find_fault(error: BaseException) -> tuple[Fault | None, re.Match[str] | None]:
    text = clean(error)
    for fault in _FAULTS:
        match = re.search(fault.pattern, text, re.IGNORECASE | re.DOTALL)
        if match:
            return fault, match
    return None, None


def _explain_system_error(error: BaseException, text: str, first: str) -> tuple[str, tuple[str, ...]] | None:
    if isinstance(error, ImportError) or "ModuleNotFoundError" in text:
        return first, ("this needs the Science Pipelines; is the stack set up in this shell?",)
    if isinstance(error, FileNotFoundError):
        return f"no such file: {first}", ()
    if isinstance(error, PermissionError):
        return f"not permitted: {first}", ()
    return None


def _explain_butler_error(error: BaseException, text: str, first: str) -> tuple[str, tuple[str, ...]]:
    name = type(error).__name__
    if "ReadOnlyDatabase" in name or "Butler is read-only" in text:
        return "the repository is read-only", ("does this user have write access?",)
    if "IncompatibleVersion" in name or "dimension universe" in text.lower() or "DimensionUniverse" in text:
        return f"this lsst-daf-butler can't read the repository: {first}", ("set up a newer stack",)
    if isinstance(error, AssertionError) and not first:
        return "an internal check of the Butler failed", ("run with --debug and report it",)
    return f"{name}: {' '.join(first.split())}" if first else f"{name} without a message", ()


def as_observe_error(failure: str, error: BaseException) -> ObserveError:
    """Return the ObserveError to raise for an exception; ``failure`` is what could not be done.

    It is a `RegistryNeedsRecovery` if a killed writer left its journal, which only a writer can roll back.
    """
    message, hints = explain(error)
    fault, _ = _find_fault(error)
    error_class = RegistryNeedsRecovery if fault is _HOT_JOURNAL else ObserveError
    return error_class(f"{failure}: {message}", hints)


@contextlib.contextmanager
def translate_read_errors(uri: str, system: str = "Butler") -> Iterator[None]:
    """Raise an ObserveError about this place in place of whatever is raised while reading from it."""
    try:
        yield
    except ReconcileError:
        raise
    except Exception as error:
        raise as_observe_error(f"{system} {uri} could not be read", error) from error


@contextlib.contextmanager
def translate_write_errors() -> Iterator[None]:
    """Raise an ApplyError in place of whatever is raised while writing."""
    try:
        yield
    except (ReconcileError, Interrupted):
        raise
    except Exception as error:
        message, hints = explain(error)
        raise ApplyError(message, hints) from error

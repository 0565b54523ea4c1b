"""What the Butler, its database and its storage raise, in the words of an operator.

Raw sqlalchemy errors, LookupError, TypeError and AssertionError all escape the Butler; each is turned into one of ours here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.errors import ApplyError, Interrupted, ObserveError, ReconcileError, clean


class Fault(NamedTuple):
    """A way in which a database or a storage says that something is wrong.

    Parameters
    ----------
    pattern : `str`
        Regular expression that finds it in a message.
    means : `str`
        What an operator is told; ``{1}`` is its first group.
    hint : `str`
        What to do.
    """

    pattern: str
    means: str
    hint: str


_FAULTS = (
    Fault(
        r"Unexpected response to (?:HTTP request )?(\w+) (?:request to )?(\S+): (?:status )?(\d{3}(?: \w+)*)",
        "the storage answered {3} to {1} {2}",
        "is the WebDAV server well, and may this user read and write there?",
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
        r"No module named '(psycopg2?)'",
        "the PostgreSQL driver {1} is not installed",
        "pip install 'rubin-reconciler[postgres]'",
    ),
    Fault(
        r"attempt to write a readonly database",
        "an interrupted writer left a journal behind",
        "run reconcile apply once: a writeable open recovers it",
    ),
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
        r"Connection refused|server closed the connection|could not connect|terminating connection|connection .*closed"
        r"|No such file or directory.*\.s\.PGSQL|the database system is (starting up|shutting down|in recovery)",
        "the database can't be reached",
        "is the server up? What is already written stays; run again when it is",
    ),
    Fault(
        r"schema \"([^\"]+)\" does not exist|relation \"([^\"]+)\" does not exist|no such table: (\S+)",
        "the registry's tables are missing",
        "is the namespace right? If butler create was interrupted, reconcile apply mends it where nothing is in the repository",
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


def explain(error: BaseException) -> tuple[str, tuple[str, ...]]:
    """Say what an exception means.

    Parameters
    ----------
    error : `BaseException`
        From the Butler, its database or its storage.

    Returns
    -------
    message : `str`
        One phrase.
    hints : tuple of `str`
        What to do.
    """
    text = clean(error)
    for fault in _FAULTS:
        match = re.search(fault.pattern, text, re.IGNORECASE | re.DOTALL)
        if match:
            groups = [match[0], *(group or "" for group in match.groups())]
            return fault.means.format(*groups), (fault.hint,)
    name = type(error).__name__
    first = text.strip().split("\n(Background")[0].split("\n[SQL")[0].strip()
    if isinstance(error, ModuleNotFoundError | ImportError) or "ModuleNotFoundError" in text:
        return f"{first}", ("this needs the Science Pipelines; is the stack set up in this shell?",)
    if isinstance(error, FileNotFoundError):
        return f"no such file: {first}", ()
    if isinstance(error, PermissionError):
        return f"not permitted: {first}", ()
    if "ReadOnlyDatabase" in name or "Butler is read-only" in text:
        return "the repository is read-only", ("does this user have write access?",)
    if "IncompatibleVersion" in name or "dimension universe" in text.lower() or "DimensionUniverse" in text:
        return f"this lsst-daf-butler can't read the repository: {first}", ("set up a newer stack",)
    if isinstance(error, AssertionError) and not first:
        return "an internal check of the Butler failed", ("run with --debug and report it",)
    return f"{name}: {' '.join(first.split())}", ()


@contextlib.contextmanager
def reading(uri: str, what: str = "Butler") -> Iterator[None]:
    """Turn what goes wrong while reading into an ObserveError.

    Parameters
    ----------
    uri : `str`
        The repository, or the place on storage.
    what : `str`
        Which of them.

    Raises
    ------
    reconciler.errors.ObserveError
        In place of whatever was raised.
    """
    try:
        yield
    except ReconcileError:
        raise
    except Exception as error:
        message, hints = explain(error)
        raise ObserveError(f"{what} {uri} could not be asked: {message}", hints) from error


@contextlib.contextmanager
def writing(uri: str) -> Iterator[None]:
    """Turn what goes wrong while writing into an ApplyError.

    Parameters
    ----------
    uri : `str`
        The repository.

    Raises
    ------
    reconciler.errors.ApplyError
        In place of whatever was raised.
    """
    try:
        yield
    except (ReconcileError, Interrupted):
        raise
    except Exception as error:
        message, hints = explain(error)
        raise ApplyError(message, hints) from error

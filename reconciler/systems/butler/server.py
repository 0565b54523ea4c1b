"""Butlers that are servers: how one is recognized, how long it is waited for, and what its failures mean.

A server answers read-only questions about the repository behind it through `lsst.daf.butler.remote_butler`. It has no registry
and no datastore that a client could get at, and it refuses every write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pydantic import ValidationError

from reconciler import redaction
from reconciler.counts import plural
from reconciler.errors import ObserveError, RepositoryReadOnly, clean
from reconciler.systems.butler.universe import find_unreadable_universe
from reconciler.systems.postgresql import find_statement_limit

if TYPE_CHECKING:
    from uuid import UUID

    from lsst.daf.butler import Butler
    from lsst.resources import ResourcePath

CLIENT_CLASS = "RemoteButler"
"""The class that the configuration of a server names."""
WEB_SCHEMES = ("http", "https")
"""Schemes of servers, and of repositories on plain web servers."""
TOKEN_VARIABLES = ("BUTLER_RUBIN_ACCESS_TOKEN", "ACCESS_TOKEN", "CADC_TOKEN")
"""Environment variables from which the client of a server takes its access token."""
CONNECT_LIMIT = 10.0
"""Seconds within which a server has to accept a connection, as for PostgreSQL."""
LONGEST_SILENCE = 120.0
"""Seconds without any data after which an answer is given up, the client's own default."""
NEEDS_DIRECT = (
    "name a direct Butler of the same repository instead: the folder or URL of its own butler.yaml, or a label of the repository "
    "index for that"
)
NOTHING: Mapping[str, int] = MappingProxyType({})


def is_server(config: Any) -> bool:
    """Return True if the configuration of a repository, an `lsst.daf.butler.Config`, is that of a server."""
    return str(config.get("cls", "")).rpartition(".")[2] == CLIENT_CLASS


def find_place(config: Any) -> str:
    """Return the URL of a server without credentials."""
    return clean(config.configDir).rstrip("/")


def remember_tokens() -> None:
    """Replace the access tokens of servers in everything that is printed from now on."""
    for name in TOKEN_VARIABLES:
        redaction.remember(os.environ.get(name, ""))


def open_client(config: Any, uri: str) -> Butler:
    """Open the client of a server, which asks it for its universe.

    An answer is waited for as long as for one of a database, but never longer than the client would by itself.

    Raises
    ------
    reconciler.errors.ObserveError
        If the installed Butler can't read the universe. If the server can't be asked, the client's own exception is raised.
    """
    from lsst.daf.butler.remote_butler._factory import RemoteButlerFactory  # whose client can be set up before it asks

    remember_tokens()
    factory = RemoteButlerFactory.create_factory_from_config(config)
    limit = min(find_statement_limit(), LONGEST_SILENCE)
    factory.http_client.timeout = (min(limit, CONNECT_LIMIT), limit, limit, limit)
    answers: list[Any] = []
    factory.http_client.event_hooks = {"response": [answers.append]}
    try:
        butler = factory.create_butler_with_credentials_from_environment()
        _ = butler.dimensions
    except Exception as error:
        unreadable = next((found for answer in answers if (found := _find_unreadable_universe(uri, answer))), None)
        if unreadable is not None:
            raise unreadable from error
        raise
    factory.http_client.event_hooks = {}
    return butler


def _find_unreadable_universe(uri: str, answer: Any) -> ObserveError | None:
    """Return the error about the universe in an answer of a server, if the answer has one that this Butler can't read."""
    if answer.status_code != HTTPStatus.OK or not answer.url.path.endswith("/universe"):
        return None
    try:
        return find_unreadable_universe(uri, json.dumps(answer.json()["universe"]))
    except (ValueError, KeyError, TypeError):  # it isn't an answer of a Butler server
        return None


def read_recorded_paths(butler: Butler, ids: Sequence[UUID], uri: str) -> dict[str, str]:
    """Return the path of the file of each dataset by UUID, without those that have no file or several.

    It is relative to the root of the datastore, or to that of the file system or server on which the file is. ``uri`` is the
    repository, for messages.
    """
    # The public way asks for each dataset by itself, and for a signed URL; lsst-daf-butler 29 has neither way.
    source = getattr(butler, "_file_transfer_source", None)
    if source is None:
        raise describe_unavailable(uri, "records of the datastore")
    found = source.get_file_info_for_transfer(ids)
    return {str(id): unquote(str(files[0].file_info.path)) for id, files in found.items() if len(files) == 1}


def strip_host(uri: str) -> str:
    """Return a URI, or an absolute path, as a server returns it: without its scheme, its host and the first slash."""
    scheme, separator, rest = uri.partition("://")
    return rest.partition("/")[2] if separator and "/" not in scheme else uri.lstrip("/")


def refuse_writing(uri: str, actions: Mapping[str, int] = NOTHING, hints: Sequence[str] = ()) -> RepositoryReadOnly:
    """Return the error about changes to a server; ``actions`` are their numbers by table, where they are known."""
    text = f"Butler {clean(uri)} is a server, which is read-only"
    if actions:
        count = sum(actions.values())
        tables = ", ".join(f"{kind} {number:,}" for kind, number in actions.items())
        text += f"; {plural(count, 'action')} need{'s' if count == 1 else ''} a direct Butler ({tables})"
    return RepositoryReadOnly(text, actions, (NEEDS_DIRECT, *hints))


def check_web_config(place: ResourcePath, uri: str, error: Exception) -> bool:
    """Return False if there is no configuration file on a web server, and True if it exists and is wrong.

    A Butler server answers only GET, and `lsst.resources` takes each answer but 200 for a missing file.

    Parameters
    ----------
    place : `lsst.resources.ResourcePath`
        The file.
    uri : `str`
        The repository, for messages.
    error : `Exception`
        What was raised when it was read.

    Raises
    ------
    reconciler.errors.ObserveError
        If the server can't be reached, or refuses to answer.
    """
    import requests

    failure = f"Butler {clean(uri)} could not be read: the server {place.netloc.rpartition('@')[2]}"
    try:
        if isinstance(error, requests.exceptions.RequestException):
            raise error
        if not isinstance(error, FileNotFoundError):
            return True
        with place.data_session as session:
            code = session.get(place.geturl(), stream=False, timeout=(CONNECT_LIMIT, LONGEST_SILENCE)).status_code
    except requests.exceptions.Timeout as late:
        raise ObserveError(f"{failure} did not answer in time", ("is it overloaded? Run again later",)) from late
    except requests.exceptions.RequestException as lost:
        raise ObserveError(f"{failure} can't be reached", ("is it up, and is its URL right?",)) from lost
    if code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return False
    if code != HTTPStatus.OK:
        hint = "may this user read there, and is the URL right?"
        raise ObserveError(f"{failure} answered {describe_status(code)} for {place.basename()}", (hint,))
    return True


def describe_status(code: int) -> str:
    """Return an HTTP status with its name, such as ``404 Not Found``."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def explain_failure(error: BaseException) -> tuple[str, tuple[str, ...]] | None:
    """Return what an exception of the client of a server means, and hints what to do; None for any other exception."""
    if _is_failure(error):
        code = getattr(error, "status_code", None)
        return _explain_status(int(code)) if code else _explain_connection(error.__cause__)
    if isinstance(error, ValidationError) and any(one["type"] == "json_invalid" for one in error.errors(include_url=False)):
        return "the answer is not one of a Butler server", ("is the URL right, or does a login page answer in its place?",)
    return None


def is_silence(error: BaseException | None) -> bool:
    """Return True if a server can't be reached or sent no answer in time, so that the next question would wait as long."""
    import requests

    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout):
        return True
    return error is not None and _is_failure(error) and not getattr(error, "status_code", None)


def _is_failure(error: BaseException) -> bool:
    return type(error).__name__ == "ButlerServerError"  # importing it takes the packages that only servers need


def _explain_status(code: int) -> tuple[str, tuple[str, ...]]:
    name = describe_status(code)
    if code == HTTPStatus.UNAUTHORIZED:
        hint = "is the token in BUTLER_RUBIN_ACCESS_TOKEN (or ACCESS_TOKEN) one of this server, and still valid?"
        return f"the Butler server refused the access token ({name})", (hint,)
    if code == HTTPStatus.FORBIDDEN:
        return f"the Butler server refused access to this repository ({name})", (
            "ask for membership in a group that may read it",
        )
    if code == HTTPStatus.NOT_FOUND:
        hint = "is the name at the end of the URL right? It is the server's own label of the repository"
        return f"the Butler server doesn't know this repository ({name})", (hint,)
    if code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return f"the Butler server is overloaded ({name})", ("run again later",)
    return f"the Butler server answered {name}", ("report it to the operators of the server if it lasts",)


def _explain_connection(cause: BaseException | None) -> tuple[str, tuple[str, ...]]:
    if any("Timeout" in base.__name__ for base in type(cause).__mro__):
        return "the Butler server did not answer in time", ("is it overloaded? Run again later",)
    if any(base.__name__ in ("NetworkError", "RemoteProtocolError") for base in type(cause).__mro__):
        return "the Butler server can't be reached", ("is the server up, and is its URL right?",)
    return f"the Butler server could not be asked: {type(cause).__name__}", ("run again later",)


def describe_unavailable(uri: str, what: str) -> ObserveError:
    """Return the error about something that a server doesn't answer."""
    return ObserveError(f"{what} can't be checked: {clean(uri)} is a Butler server, which doesn't return them", (NEEDS_DIRECT,))

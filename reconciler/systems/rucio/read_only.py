"""The requests to a Rucio server that only read. A check for drift sends no others.

By Rucio's REST API, every GET only reads. Some queries in bulk are a POST because their list of DIDs is too long for a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from reconciler.errors import WriteRefused

READING_POSTS = frozenset(
    {
        "dids/bulkdidsmeta",
        "dids/bulkfiles",
        "dids/bulkmeta",
        "locks/bulk_locks_for_dids",
        "replicas/datasets_bulk",
        "replicas/list",
    }
)
"""Endpoints whose POST changes nothing."""


def only_reads(method: str, path: str) -> bool:
    """Return True if a request changes nothing.

    Parameters
    ----------
    method : `str`
        The HTTP method.
    path : `str`
        The path below the server's address, without the query.
    """
    return method.upper() in ("GET", "HEAD") or (method.upper() == "POST" and path.strip("/") in READING_POSTS)


def refuse_writes(client: Any) -> None:
    """Make a `rucio.client.Client` raise `WriteRefused` instead of sending a request that could change something.

    Requests for a token are sent all the same.

    rucio-clients has no hook for this, and replaces its session when its token expires, so its private method is wrapped.
    """
    send = client._send_request
    bases = sorted({urlsplit(host).path.strip("/") for host in client.list_hosts}, key=len, reverse=True)

    def send_reading(url: str, *arguments: Any, **options: Any) -> Any:
        name = _find_method(arguments, options)
        path = urlsplit(url).path.strip("/")
        base = next((base for base in bases if base and path.startswith(base + "/")), "")
        if not options.get("get_token") and not only_reads(name, path[len(base) :]):
            raise WriteRefused(f"{name} {urlsplit(url).path} was to be sent to Rucio in a check that only reads")
        return send(url, *arguments, **options)

    client._send_request = send_reading


def _find_method(arguments: tuple[Any, ...], options: Mapping[str, Any]) -> str:
    """Return the HTTP method of a request; rucio-clients before 38 calls the option ``type_``, with GET as its default."""
    positional = arguments[0] if arguments and not isinstance(arguments[0], Mapping) else None
    method = options.get("method") or options.get("type_") or positional or "GET"
    return str(getattr(method, "value", method))

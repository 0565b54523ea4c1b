"""Replicas of a Rucio server: which files are available at an RSE, and which were declared bad."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.systems.rucio.connection import RucioConnection
from reconciler.systems.rucio.dids import DidCatalog, batches
from reconciler.systems.rucio.facts import BadReplica, Delivery, did_keys, read_rows


class ReplicaCatalog:
    """The replicas of a server."""

    def __init__(self, connection: RucioConnection, dids: DidCatalog) -> None:
        self._connection = connection
        self._dids = dids

    def delivery(self, datasets: Iterable[str], rse: str) -> Delivery:
        """Query how many files of datasets are available at an RSE."""
        asked = sorted(set(datasets))
        facts = self._dids.query(asked)
        existing = [did for did in asked if did in facts]
        missing = tuple(did for did in asked if did not in facts)
        return Delivery(len(self._dids.files(existing)), self.available(existing, rse), missing)

    def available(self, dids: Iterable[str], rse: str) -> frozenset[tuple[str, str]]:
        """Query which files are available at an RSE, as (scope, name); ``dids`` are files, or datasets that contain them."""
        asked = tuple(sorted(set(dids)))
        if not asked:
            return frozenset()
        return self._connection.ask(("available", asked, rse), lambda: self._read_available(asked, rse))

    def _read_available(self, dids: Sequence[str], rse: str) -> frozenset[tuple[str, str]]:
        found = set()
        for batch in batches(dids):
            answer = self._connection.client.list_replicas(did_keys(batch), rse_expression=rse)
            for row in read_rows(answer, "scope", "name", "states"):
                if row["states"].get(rse) == "AVAILABLE":
                    found.add((row["scope"], row["name"]))
        return frozenset(found)

    def bad(self, rses: Iterable[str]) -> frozenset[BadReplica]:
        """List the replicas at some RSEs that were declared bad and not replaced since, by one call for each RSE."""
        found: set[BadReplica] = set()
        for rse in sorted(set(rses)):
            found |= self._connection.ask(("bad replicas", rse), functools.partial(self._read_bad, rse), rse)
        return frozenset(found)

    def _read_bad(self, rse: str) -> frozenset[BadReplica]:
        rows = _list_bad_replicas(self._connection.client, rse)
        return frozenset(BadReplica(f"{row['scope']}:{row['name']}", rse) for row in read_rows(rows, "scope", "name", "state"))


def _list_bad_replicas(client: Any, rse: str) -> Any:
    """Call ``GET /replicas/bad/states``, for which rucio-clients has no method.

    The other ways to find bad replicas list all replicas of a dataset. The method for requests has another signature before 38.5.
    """
    import requests
    from rucio.common import constants
    from rucio.common.utils import build_url

    url = build_url(client.list_hosts[0], path="replicas/bad/states", params={"state": "B", "rse": rse})
    method = {"method": constants.HTTPMethod.GET} if hasattr(constants, "HTTPMethod") else {"type_": "GET"}
    response = client._send_request(url, **method)
    if response.status_code != requests.codes.ok:
        error, message = client._get_exception(headers=response.headers, status_code=response.status_code, data=response.content)
        raise error(message)
    return [json.loads(line) for line in response.text.splitlines() if line]

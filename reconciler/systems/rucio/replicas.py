"""Replicas of a Rucio server: which files are available at an RSE, and which were declared bad."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from reconciler.systems.rucio.connection import RucioConnection
from reconciler.systems.rucio.dids import DidCatalog, batches
from reconciler.systems.rucio.facts import BadReplica, Delivery, did_keys, read_rows
from reconciler.systems.rucio.requests import get_rows


class ReplicaCatalog:
    """The replicas of a server; raises `reconciler.errors.ObserveError` if it can't be queried."""

    def __init__(self, connection: RucioConnection, dids: DidCatalog) -> None:
        self._connection = connection
        self._dids = dids

    def delivery(self, datasets: Iterable[str], rse: str) -> Delivery:
        """Query which files of datasets are available at an RSE, of how many, and which datasets don't exist."""
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
        # rucio-clients has no method for this; its other ways to find bad replicas list all replicas of a dataset.
        rows = get_rows(self._connection.client, "replicas/bad/states", {"state": "B", "rse": rse})
        return frozenset(BadReplica(f"{row['scope']}:{row['name']}", rse) for row in read_rows(rows, "scope", "name", "state"))

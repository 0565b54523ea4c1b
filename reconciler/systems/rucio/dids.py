"""Datasets, containers and files of a Rucio server: what exists, what they contain, and making them.

Rucio silently leaves out DIDs that don't exist, and a response that is cut at the end of a line is just a shorter list. So the
number of files is compared with the recorded one wherever there is one.
"""

from __future__ import annotations

import fnmatch
import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from reconciler.patterns import is_glob
from reconciler.systems.rucio.connection import RucioConnection
from reconciler.systems.rucio.errors import IncompleteAnswer
from reconciler.systems.rucio.facts import DidFacts, FileFacts, did_facts, did_keys, read_rows, split_did

DIDS_PER_CALL = 1000
"""The server refuses more, with a message of megabytes."""
PARALLEL_CALLS = 4
DIDS_PER_ATTACHMENT = 500


def batches(dids: Sequence[str], size: int = DIDS_PER_CALL) -> list[Sequence[str]]:
    """Split DIDs into as many as one call takes."""
    return [dids[start : start + size] for start in range(0, len(dids), size)]


class DidCatalog:
    """The DIDs of a server."""

    def __init__(self, connection: RucioConnection) -> None:
        self._connection = connection

    def query(self, dids: Iterable[str]) -> dict[str, DidFacts]:
        """Query the type and state of DIDs, in bulk; those that don't exist are left out."""
        asked = sorted(set(dids))
        new = [did for did in asked if not self._connection.is_cached(("did", did))]
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            for batch, found in pool.map(self._query_batch, batches(new)):
                for did in batch:
                    self._connection.cache(("did", did), found.get(did))
        known: dict[str, DidFacts | None] = {did: self._connection.cached(("did", did)) for did in asked}
        return {did: facts for did, facts in known.items() if facts is not None}

    def _query_batch(self, dids: Sequence[str]) -> tuple[Sequence[str], dict[str, DidFacts]]:
        def read() -> dict[str, DidFacts]:
            answer = self._connection.client.get_metadata_bulk(did_keys(dids), plugin="DID_COLUMN")
            return {f"{row['scope']}:{row['name']}": did_facts(row) for row in read_rows(answer, "scope", "name", "did_type")}

        return dids, self._connection.read(read)

    def match(self, pattern: str, did_type: str = "dataset") -> list[str]:
        """List the DIDs that match ``scope:name`` with wildcards in the name; without any, return the DID, existing or not."""
        if not is_glob(pattern):
            return [pattern]
        scope, name = split_did(pattern)
        # Rucio's only wildcard is *, so anything finer is matched here.
        coarse = "".join("*" if sign in "?[" else sign for sign in name.partition("[")[0]) + ("*" if "[" in name else "")

        def read() -> list[str]:
            names = self._connection.client.list_dids(scope, [{"name": coarse}], did_type=did_type)
            return sorted(f"{scope}:{found}" for found in names if fnmatch.fnmatchcase(found, name))

        return self._connection.ask(("match", pattern, did_type), read)

    def contents(self, containers: Iterable[str]) -> dict[str, set[str]]:
        """List the DIDs in each container."""
        return {did: self._connection.ask(("contents", did), functools.partial(self._read_contents, did)) for did in containers}

    def _read_contents(self, did: str) -> set[str]:
        answer = self._connection.client.list_content(*split_did(did))
        return {f"{row['scope']}:{row['name']}" for row in read_rows(answer, "scope", "name")}

    def files(self, datasets: Iterable[str]) -> list[FileFacts]:
        """List the files of datasets, each file once.

        Raises
        ------
        reconciler.errors.ObserveError
            If the server can't be queried, or lists fewer files than it records for a dataset.
        """
        asked = tuple(sorted(set(datasets)))
        if not asked:
            return []
        facts = self.query(asked)
        return self._connection.ask(("files", asked), lambda: self._read_files(asked, facts))

    def _read_files(self, datasets: Sequence[str], facts: Mapping[str, DidFacts]) -> list[FileFacts]:
        found: dict[tuple[str, str], FileFacts] = {}
        listed: dict[str, int] = defaultdict(int)
        for batch in batches(datasets):
            for row in read_rows(self._connection.client.bulk_list_files(did_keys(batch)), "scope", "name"):
                listed[f"{row['parent_scope']}:{row['parent_name']}"] += 1
                found[row["scope"], row["name"]] = FileFacts(row["scope"], row["name"], int(row["bytes"] or 0))
        for did in datasets:
            recorded = facts[did].length if did in facts else None
            if recorded is not None and listed[did] != recorded:
                raise IncompleteAnswer(f"{did}: {listed[did]:,} files listed, {recorded:,} recorded")
        return list(found.values())

    def create_dataset(self, did: str) -> None:
        """Create an empty, open dataset."""
        scope, name = split_did(did)
        self._connection.write(f"create dataset {did}", lambda client: client.add_dataset(scope, name))

    def create_container(self, did: str) -> None:
        """Create an empty, open container."""
        scope, name = split_did(did)
        self._connection.write(f"create container {did}", lambda client: client.add_container(scope, name))

    def close(self, did: str) -> None:
        """Close a dataset or container, so that nothing can be added."""
        scope, name = split_did(did)
        self._connection.write(f"close {did}", lambda client: client.close(scope, name))

    def attach(self, container: str, dids: Sequence[str]) -> None:
        """Add datasets and containers to a container."""
        for batch in batches(dids, DIDS_PER_ATTACHMENT):
            self._connection.write(f"attach to {container}", functools.partial(_attach, container, did_keys(batch)))


def _attach(container: str, keys: list[dict[str, str]], client: Any) -> None:
    client.attach_dids(*split_did(container), keys)

"""Datasets, containers and files of a Rucio server: what exists, what they contain, and making them.

Rucio silently leaves out DIDs that don't exist, and a response that is cut at the end of a line is just a shorter list. So
nothing counts as absent because a list leaves it out: the number of files is compared with the recorded one. Where none is
recorded, some open datasets are asked for again at the end of the list, and their files have to be there twice, else all open
ones are counted. DIDs that are left out are queried one by one, and a search is repeated in two parts.
"""

from __future__ import annotations

import fnmatch
import functools
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote_plus

from reconciler.counts import plural
from reconciler.patterns import is_glob
from reconciler.systems.rucio.connection import RucioConnection
from reconciler.systems.rucio.errors import IncompleteAnswer, translate_read_errors
from reconciler.systems.rucio.facts import DidFacts, FileFacts, did_facts, did_keys, not_a_record, read_rows, split_did
from reconciler.systems.rucio.requests import get_rows, post_rows

DIDS_PER_CALL = 1000
"""The server refuses more, with a message of megabytes."""
PARALLEL_CALLS = 4
MOST_QUERIED_ALONE = 1000
"""DIDs that are queried one by one because a bulk answer leaves them out; 3 ms each, `PARALLEL_CALLS` at a time."""
REPEATED = 3
"""Open datasets that are listed again at the end of a list: if their files are there twice, the list was not cut."""
MOST_COUNTED_ALONE = 3
"""Up to this many open datasets are counted one by one: listing them once more costs more."""
MOST_PARENTS_QUERIED = 20
"""DIDs whose containers are queried because a list leaves them out."""
DIDS_PER_ATTACHMENT = 500
MANY_FILES = 20_000
"""From so many files on, several calls side by side list them; a server takes a second for 50,000."""
LISTED_ALONE = 1000
"""Closed datasets with so many files are listed one by one: lines that don't repeat the dataset cost a server a fifth less."""
LISTS_AT_ONCE = 2
"""Such lists side by side; four cost a server with two processors 15 % more, since its threads wait for each other."""


def batches(dids: Sequence[str], size: int = DIDS_PER_CALL) -> list[Sequence[str]]:
    """Split DIDs into lists that one call takes, of at most ``size``."""
    return [dids[start : start + size] for start in range(0, len(dids), size)]


def _is_doubled(files: Sequence[FileFacts]) -> bool:
    return len(files) == 2 * len(set(files))


def _split_by_files(datasets: Sequence[str], facts: Mapping[str, DidFacts]) -> list[Sequence[str]]:
    """Split datasets into lists whose files one call lists; many files are for several calls."""
    total = sum(facts[did].length or 0 for did in datasets if did in facts)
    share = -(-len(datasets) // PARALLEL_CALLS) if total >= MANY_FILES else DIDS_PER_CALL
    return batches(datasets, min(share, DIDS_PER_CALL - REPEATED))


class DidCatalog:
    """The DIDs of a server. Answers are cached until the connection forgets them, also that a DID doesn't exist.

    What reads raises `reconciler.errors.ObserveError`. What writes raises what `RucioConnection.write` raises, such as a
    `reconciler.errors.ApplyError` if what is to be created exists, or what is to be closed or attached is so already.
    """

    def __init__(self, connection: RucioConnection) -> None:
        self._connection = connection
        self._listing: dict[frozenset[str], threading.Lock] = {}

    def query(self, dids: Iterable[str], *, confirm: bool = True) -> dict[str, DidFacts]:
        """Query the type and state of DIDs, in bulk; those that don't exist are left out.

        Parameters
        ----------
        dids : iterable of `str`
            Each as ``scope:name``.
        confirm : `bool`
            Whether DIDs that the bulk answer leaves out are queried one by one; False where it does no harm to miss one.

        Raises
        ------
        reconciler.errors.ObserveError
            If the server can't be queried, or leaves out more DIDs than can be queried one by one.
        """
        asked = sorted(set(dids))
        new = [did for did in asked if not self._connection.is_cached(("did", did))]
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            found: dict[str, DidFacts] = {}
            for part in pool.map(self._query_batch, batches(new)):
                found |= part
            if confirm:
                left_out = [did for did in new if did not in found]
                self._check_left_out(left_out, len(new))
                for did, facts in zip(left_out, pool.map(self._query_alone, left_out), strict=True):
                    self._connection.cache(("did", did), facts)
        for did, facts in found.items():
            self._connection.cache(("did", did), facts)
        known = {did: self._connection.cached(("did", did)) for did in asked if self._connection.is_cached(("did", did))}
        return {did: facts for did, facts in known.items() if facts is not None}

    def _query_batch(self, dids: Sequence[str]) -> dict[str, DidFacts]:
        def read() -> dict[str, DidFacts]:
            answer = self._connection.client.get_metadata_bulk(did_keys(dids), plugin="DID_COLUMN")
            return {f"{row['scope']}:{row['name']}": did_facts(row) for row in read_rows(answer, "scope", "name", "did_type")}

        return self._connection.read(read, endpoint="dids")

    def _check_left_out(self, left_out: Sequence[str], asked: int) -> None:
        if len(left_out) > MOST_QUERIED_ALONE:
            with translate_read_errors(self._connection.place):
                raise IncompleteAnswer(
                    f"it leaves out {len(left_out):,} of {asked:,} DIDs, such as {left_out[0]}; up to {MOST_QUERIED_ALONE:,} are "
                    "confirmed to be absent"
                )

    def _query_alone(self, did: str) -> DidFacts | None:
        """Query one DID; only the server's error for a DID that doesn't exist means that it is absent."""
        from rucio.common.exception import DataIdentifierNotFound

        def read() -> DidFacts | None:
            try:
                answer = self._connection.client.get_metadata(*split_did(did))
            except DataIdentifierNotFound:
                return None
            return did_facts(next(read_rows([answer], "did_type", "is_open", "length")))

        return self._connection.read(read, did, endpoint="did")

    def match(self, pattern: str) -> list[str]:
        """List the datasets and containers of a scope whose names match ``scope:name``, with wildcards in the name, sorted.

        A pattern without wildcards is returned as it is, whether it exists or not. The scope is taken literally.

        Raises
        ------
        reconciler.errors.ObserveError
            If the server can't be queried, or two searches disagree.
        """
        if not is_glob(pattern):
            return [pattern]
        scope, name = split_did(pattern)
        # Rucio's only wildcard is *, so anything finer is matched here.
        coarse = "".join("*" if sign in "?[" else sign for sign in name.partition("[")[0]) + ("*" if "[" in name else "")

        def read() -> list[str]:
            names = self._search(scope, coarse)
            return sorted(f"{scope}:{found}" for found in names if fnmatch.fnmatchcase(found, name))

        return self._connection.ask(("match", pattern), read, pattern)

    def _search(self, scope: str, name: str) -> set[str]:
        """Search names of datasets and containers with wildcards, again in two parts, and for one name alone.

        A search that is cut the same way each time loses other names in parts, and the only one when asked for one.
        """

        def read(**bounds: str) -> set[str]:
            filters = {"name": name, **{key.replace("_", "."): value for key, value in bounds.items()}}
            return set(read_rows(self._connection.client.list_dids(scope, [filters], did_type="collection")))

        first = read()
        if first:
            middle = sorted(first)[(len(first) - 1) // 2]
            with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
                parts = [{"name_lte": middle}, {"name_gt": middle}, {"name_gte": middle, "name_lte": middle}]
                until_middle, rest, alone = pool.map(lambda bounds: read(**bounds), parts)
            second = until_middle | rest
            if first == second and middle not in alone:
                raise IncompleteAnswer(f"a search for {scope}:{name} found {middle}, and a search for that name alone did not")
        else:
            second = read()
        if first != second:
            raise IncompleteAnswer(f"a search for {scope}:{name} found {len(first):,} DIDs, and the next one {len(second):,}")
        return first

    def contents(self, containers: Iterable[str]) -> dict[str, set[str]]:
        """List the DIDs in each container, not those below them; a container that doesn't exist is an error."""
        return {
            did: self._connection.ask(("contents", did), functools.partial(self._read_contents, did), did) for did in containers
        }

    def _read_contents(self, did: str) -> set[str]:
        answer = self._connection.client.list_content(*split_did(did))
        return {f"{row['scope']}:{row['name']}" for row in read_rows(answer, "scope", "name")}

    def confirm_not_contained(self, container: str, dids: Sequence[str]) -> None:
        """Query the parents of the first few DIDs that a container's list leaves out.

        Raises
        ------
        reconciler.errors.ObserveError
            If the container contains one of them.
        """
        for did in dids[:MOST_PARENTS_QUERIED]:
            if container in self.parents(did):
                with translate_read_errors(self._connection.place, what=container):
                    raise IncompleteAnswer(f"the list of its contents leaves out {did}")

    def parents(self, did: str) -> set[str]:
        """List the datasets or containers that contain a DID; none if it doesn't exist."""
        from rucio.common.exception import DataIdentifierNotFound

        def read() -> set[str]:
            try:
                rows = list(read_rows(self._connection.client.list_parent_dids(*split_did(did)), "scope", "name"))
            except DataIdentifierNotFound:
                return set()
            return {f"{row['scope']}:{row['name']}" for row in rows}

        return self._connection.ask(("parents", did), read, did)

    def files(self, datasets: Iterable[str]) -> list[FileFacts]:
        """List the files of datasets, each file once; see `files_by_dataset`."""
        found = {(file.scope, file.name): file for files in self.files_by_dataset(datasets).values() for file in files}
        return list(found.values())

    def files_by_dataset(self, datasets: Iterable[str]) -> dict[str, list[FileFacts]]:
        """List the files of each dataset; an empty list for one that doesn't exist.

        Of a container, the files of all datasets in it are listed, at any depth and each once.

        Raises
        ------
        reconciler.errors.ObserveError
            If the server can't be queried, or lists another number of files than it records or counts.
        """
        asked = sorted(set(datasets))
        with self._listing.setdefault(frozenset(asked), threading.Lock()):  # another thread may be listing the same
            self._list_uncached([did for did in asked if not self._connection.is_cached(("files", did))])
        return {did: self._connection.cached(("files", did)) for did in asked}

    def _list_uncached(self, datasets: Sequence[str]) -> None:
        if not datasets:
            return
        facts = self.query(datasets)
        datasets = self._list_containers(datasets, facts)
        lengths = {did: facts[did].length or 0 for did in datasets if did in facts}
        large = {did: length for did, length in lengths.items() if length >= LISTED_ALONE}
        rest = [did for did in datasets if did not in large]
        with ThreadPoolExecutor(LISTS_AT_ONCE) as pool:
            for did, files in zip(large, pool.map(self._read_alone, large, large.values()), strict=True):
                self._connection.cache(("files", did), files)
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            for found in pool.map(functools.partial(self._read_batch, facts=facts), _split_by_files(rest, facts)):
                for did, files in found.items():
                    self._connection.cache(("files", did), files)

    def _list_containers(self, dids: Sequence[str], facts: Mapping[str, DidFacts]) -> list[str]:
        """List the files of the containers among some DIDs, and return the others.

        The length of a container isn't that of a list: Rucio counts a file in two of its datasets twice, and records the number
        when the container is closed, although open datasets in it still grow.
        """
        containers = [did for did in dids if did in facts and facts[did].type == "CONTAINER"]
        below = {did: self._find_datasets(did) for did in containers}
        files = self.files_by_dataset({dataset for found in below.values() for dataset in found}) if below else {}
        for did, found in below.items():
            if sum(len(files[dataset]) for dataset in found) != self._count_below(did):
                found = self._list_again(did)
                files |= {dataset: self._connection.cached(("files", dataset)) for dataset in found}
            self._connection.cache(("files", did), list(dict.fromkeys(file for dataset in found for file in files[dataset])))
        return [did for did in dids if did not in below]

    def _count_below(self, container: str) -> int:
        """Count the files of the datasets below a container; a file in two of them counts twice."""

        def read() -> int:
            return int(self._connection.client.get_did(*split_did(container), dynamic_depth="FILE")["length"] or 0)

        return self._connection.read(read, container, endpoint="did")

    def _list_again(self, container: str) -> list[str]:
        """List the datasets below a container once more, and their files: it grew, or a list was cut.

        Raises
        ------
        reconciler.errors.ObserveError
            If Rucio counts another number of files than are listed.
        """
        self._connection.forget_some("contents")
        found = self._find_datasets(container)
        self._list_uncached(found)
        listed = sum(len(self._connection.cached(("files", dataset))) for dataset in found)
        counted = self._count_below(container)
        if listed != counted:
            with translate_read_errors(self._connection.place, what=container):
                _check_count(container, listed, counted)
        return found

    def _find_datasets(self, container: str) -> list[str]:
        """Return the datasets in a container, at any depth."""
        datasets: list[str] = []
        visited: set[str] = set()
        left = {container}
        while left:
            visited |= left
            children = {did for found in self.contents(sorted(left)).values() for did in found} - visited
            facts = self.query(children)
            datasets += [did for did, its in facts.items() if its.type == "DATASET"]
            left = {did for did, its in facts.items() if its.type == "CONTAINER"}
        return sorted(set(datasets))

    def _read_alone(self, did: str, length: int) -> list[FileFacts]:
        def read() -> list[FileFacts]:
            files = self._list_alone(did)
            _check_count(did, len(files), length)
            return files

        return self._connection.read(read, did, endpoint="files")

    def _list_alone(self, did: str) -> list[FileFacts]:
        """List the files of a dataset, each once; none if it has gone meanwhile, which `_read_alone` reports as incomplete."""
        from rucio.common.exception import DataIdentifierNotFound

        path = "/".join(["dids", *map(quote_plus, split_did(did)), "files"])
        try:
            return list(dict.fromkeys(map(_read_file, get_rows(self._connection.client, path))))
        except DataIdentifierNotFound:
            return []

    def _read_batch(self, datasets: Sequence[str], facts: Mapping[str, DidFacts]) -> dict[str, list[FileFacts]]:
        found = self._connection.read(functools.partial(self._read_files, datasets, facts), endpoint="files")
        return {did: found.get(did, []) for did in datasets}

    def _read_files(self, datasets: Sequence[str], facts: Mapping[str, DidFacts]) -> dict[str, list[FileFacts]]:
        opened = [did for did in datasets if did in facts and facts[did].length is None]
        repeated = opened[:REPEATED]
        rows = self._list_files([*datasets, *repeated])
        listed = {did: list(dict.fromkeys(files)) for did, files in rows.items()}
        counts = {did: facts[did].length for did in datasets if did in facts}
        if not any(rows.get(did) for did in repeated) or not all(_is_doubled(rows.get(did, ())) for did in repeated):
            counts |= self._count_files(opened, rows)
        for did, count in counts.items():
            if count is not None:
                _check_count(did, len(listed.get(did, ())), count)
        return listed

    def _list_files(self, datasets: Sequence[str]) -> dict[str, list[FileFacts]]:
        listed: dict[tuple[str, str], list[FileFacts]] = defaultdict(list)
        for row in post_rows(self._connection.client, "dids/bulkfiles", {"dids": did_keys(datasets)}):
            try:
                listed[row["parent_scope"], row["parent_name"]].append(_read_file(row))
            except (KeyError, TypeError) as error:
                raise not_a_record(row) from error
        return {f"{scope}:{name}": files for (scope, name), files in listed.items()}

    def _count_files(self, datasets: Sequence[str], first: Mapping[str, Sequence[FileFacts]]) -> dict[str, int]:
        """Count the files of open datasets, which have no recorded length, if the first list of them may have been cut.

        Many are counted by a second list, in the opposite order. If both are empty, one dataset is counted alone: to count each
        would be a request for each of many new datasets.
        """
        if len(datasets) > MOST_COUNTED_ALONE:
            second = self._list_files(datasets[::-1])
            if second or any(first.get(did) for did in datasets):
                return {did: len(set(second.get(did, ()))) for did in datasets}
            datasets = datasets[:1]
        client = self._connection.client
        return {did: client.get_did(*split_did(did), dynamic_depth="FILE")["length"] or 0 for did in datasets}

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
        """Add datasets and containers to a container, some hundred at a time; what was added before an error stays."""
        for batch in batches(dids, DIDS_PER_ATTACHMENT):
            self._connection.write(f"attach to {container}", functools.partial(_attach, container, did_keys(batch)))


def _read_file(row: Any) -> FileFacts:
    """Read a record of a list of files."""
    try:
        return FileFacts(row["scope"], row["name"], row["bytes"] or 0, row.get("adler32") or "")
    except (KeyError, TypeError, AttributeError) as error:
        raise not_a_record(row) from error


def _check_count(did: str, listed: int, recorded: int) -> None:
    """Raise an error if a list has another number of files than Rucio records or counts."""
    if listed != recorded:
        raise IncompleteAnswer(f"{did}: {plural(listed, 'file')} listed, {recorded:,} recorded")


def _attach(container: str, keys: list[dict[str, str]], client: Any) -> None:
    client.attach_dids(*split_did(container), keys)

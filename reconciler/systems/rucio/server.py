"""A Rucio server, asked in bulk: one call for a thousand DIDs, one list of rules for each scope.

Rucio silently leaves out DIDs that do not exist and, cut at the end of a line, gives a shorter list; so what was asked for
is counted against what came wherever there is a count.
"""

from __future__ import annotations

import fnmatch
import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from reconciler.state.braces import is_glob
from reconciler.systems.rucio.connection import Connection
from reconciler.systems.rucio.errors import asking
from reconciler.systems.rucio.facts import Delivery, DidFacts, FileFacts, ShortAnswer, rows, split

CHUNK = 1000
"""DIDs in one call; the server refuses more, with a message of megabytes."""

SIDE_BY_SIDE = 4
"""Questions of one sort that are asked at the same time."""
FEW = 3
"""Up to so many DIDs of a scope are asked about one by one: a list of all its rules costs more."""
MOST_CONFIRMED = 20
"""DIDs that are asked about once more, alone."""


class Rucio(Connection):
    """What is known of a Rucio server."""

    def dids(self, dids: Iterable[str]) -> dict[str, DidFacts]:
        """Look up datasets and containers.

        Parameters
        ----------
        dids : iterable of `str`
            ``scope:name`` each.

        Returns
        -------
        facts : `dict`
            Of those that exist.
        """
        wanted = sorted(set(dids))
        fresh = [did for did in wanted if ("did", did) not in self._kept]
        chunks = [tuple(fresh[start : start + CHUNK]) for start in range(0, len(fresh), CHUNK)]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            answers = pool.map(lambda chunk: self._ask(("dids", chunk), functools.partial(self._dids, chunk)), chunks)
            for chunk, found in zip(chunks, answers, strict=True):
                self._kept |= {("did", did): found.get(did) for did in chunk}
        known = {did: self._kept["did", did] for did in wanted}
        return {did: facts for did, facts in known.items() if facts is not None}

    def _dids(self, dids: Sequence[str]) -> dict[str, DidFacts]:
        asked = [{"scope": scope, "name": name} for scope, name in map(split, dids)]
        return {
            f"{row['scope']}:{row['name']}": DidFacts(
                str(row["did_type"]).rpartition(".")[2], bool(row["is_open"]), row["length"], row["bytes"]
            )
            for row in rows(self.client.get_metadata_bulk(asked, plugin="DID_COLUMN"), "scope", "name", "did_type")
        }

    def matching(self, pattern: str, did_type: str = "dataset") -> list[str]:
        """Find the DIDs that a pattern names.

        Parameters
        ----------
        pattern : `str`
            ``scope:name``, perhaps with wildcards in the name.
        did_type : `str`
            What to look for.

        Returns
        -------
        dids : `list` [`str`]
            Sorted; a name without wildcards is given whether it exists or not.
        """
        if not is_glob(pattern):
            return [pattern]
        scope, name = split(pattern)
        # Rucio's own wildcard is *; anything finer is matched here.
        coarse = "".join("*" if sign in "?[" else sign for sign in name.partition("[")[0]) + ("*" if "[" in name else "")

        def read() -> list[str]:
            names = self.client.list_dids(scope, [{"name": coarse}], did_type=did_type)
            return sorted(f"{scope}:{found}" for found in names if fnmatch.fnmatchcase(found, name))

        return self._ask(("matching", pattern, did_type), read)

    def rules(self, dids: Iterable[str]) -> dict[str, list[Mapping[str, Any]]]:
        """Read replication rules: of many DIDs by one list of their scope, of a few one by one.

        Parameters
        ----------
        dids : iterable of `str`
            Whose.

        Returns
        -------
        rules : `dict`
            Rules by DID.
        """
        by_scope: dict[str, list[str]] = defaultdict(list)
        for did in dict.fromkeys(dids):
            by_scope[split(did)[0]].append(did)
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for scope, wanted in by_scope.items():
            if len(wanted) <= FEW and ("rules", scope) not in self._kept:
                found |= {did: self._ask(("rules", did), functools.partial(self._rules, *split(did))) for did in wanted}
                continue
            for rule in self._ask(("rules", scope), functools.partial(self._rules, scope)):
                found[f"{scope}:{rule['name']}"].append(rule)
        return found

    def _rules(self, scope: str, name: str = "") -> list[Mapping[str, Any]]:
        chosen = {"scope": scope, "name": name} if name else {"scope": scope}
        return list(rows(self.client.list_replication_rules(chosen), "id", "name", "state"))

    def dids_and_rules(self, dids: Collection[str]) -> tuple[dict[str, DidFacts], dict[str, list[Mapping[str, Any]]]]:
        """Ask for both at the same time.

        Parameters
        ----------
        dids : collection of `str`
            ``scope:name`` each.

        Returns
        -------
        facts, rules : `dict`
            As `dids` and `rules` give them.
        """
        assert self.client is not None  # one connects before two ask
        with ThreadPoolExecutor(1) as beside:
            rules = beside.submit(self.rules, dids)
            return self.dids(dids), rules.result()

    def confirm_rules(self, dids: Sequence[str], known: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Ask for the rules of some DIDs again, alone: a list of rules has no count that would show it was cut.

        Parameters
        ----------
        dids : sequence of `str`
            Those that seem to lack a rule; the first few are asked about.
        known : mapping
            What `rules` gave.

        Raises
        ------
        reconciler.errors.ObserveError
            If one has rules that the list of its scope did not tell of.
        """
        for did in dids[:MOST_CONFIRMED]:
            listed = {rule["id"] for rule in known.get(did, ())}
            alone = {rule["id"] for rule in self._ask(("rules again", did), functools.partial(self._rules, *split(did)))}
            if alone - listed:
                with asking(self.place):
                    raise ShortAnswer(f"{did} has {len(alone):,} rules, and the list before told of {len(listed):,}")

    def locks(self, rule: str) -> list[Mapping[str, Any]]:
        """Read the locks of a rule: which of its files are where.

        Parameters
        ----------
        rule : `str`
            Its id.

        Returns
        -------
        locks : `list` of mapping
            One for each file and RSE.
        """
        return self._ask(("locks", rule), lambda: list(rows(self.client.list_replica_locks(rule), "name", "state")))

    def contents(self, containers: Iterable[str]) -> dict[str, set[str]]:
        """List what is in containers.

        Parameters
        ----------
        containers : iterable of `str`
            Their DIDs.

        Returns
        -------
        contents : `dict`
            DIDs by container.
        """
        return {did: self._ask(("contents", did), functools.partial(self._contents, did)) for did in containers}

    def _contents(self, did: str) -> set[str]:
        return {f"{row['scope']}:{row['name']}" for row in rows(self.client.list_content(*split(did)), "scope", "name")}

    def files(self, datasets: Iterable[str]) -> list[FileFacts]:
        """List the files of datasets; a list that is shorter than the datasets say is an error.

        Parameters
        ----------
        datasets : iterable of `str`
            Their DIDs.

        Returns
        -------
        files : `list` [`FileFacts`]
            Each once.
        """
        wanted = tuple(sorted(set(datasets)))
        if not wanted:
            return []
        facts = self.dids(wanted)
        return self._ask(("files", wanted), lambda: self._files(wanted, facts))

    def _files(self, datasets: Sequence[str], facts: Mapping[str, DidFacts]) -> list[FileFacts]:
        found: dict[tuple[str, str], FileFacts] = {}
        counted: dict[str, int] = defaultdict(int)
        for start in range(0, len(datasets), CHUNK):
            asked = [{"scope": scope, "name": name} for scope, name in map(split, datasets[start : start + CHUNK])]
            for row in rows(self.client.bulk_list_files(asked), "scope", "name"):
                counted[f"{row['parent_scope']}:{row['parent_name']}"] += 1
                found[row["scope"], row["name"]] = FileFacts(row["scope"], row["name"], int(row["bytes"] or 0))
        for did in datasets:
            known = facts.get(did)
            if known is not None and known.length is not None and counted[did] != known.length:
                raise ShortAnswer(f"{did}: {counted[did]:,} files listed, {known.length:,} recorded")
        return list(found.values())

    def delivery(self, datasets: Iterable[str], rse: str, *, which: bool = False) -> Delivery:
        """Ask how much of some datasets is available at an RSE.

        Parameters
        ----------
        datasets : iterable of `str`
            Their DIDs.
        rse : `str`
            Where.
        which : `bool`
            Whether the files are to be named.

        Returns
        -------
        delivery : `Delivery`
            How much.
        """
        wanted = sorted(set(datasets))
        facts = self.dids(wanted)
        absent = tuple(did for did in wanted if did not in facts)
        present = [did for did in wanted if did in facts]
        total = len(self.files(present))
        here = self._ask(("delivery", tuple(present), rse), lambda: self._here(present, rse)) if present else frozenset()
        return Delivery(total, len(here), here if which or len(here) < total else frozenset(), absent)

    def available(self, files: Iterable[str], rse: str) -> frozenset[tuple[str, str]]:
        """Tell which files are available at an RSE.

        Parameters
        ----------
        files : iterable of `str`
            Their DIDs.
        rse : `str`
            Where.

        Returns
        -------
        files : frozenset of (`str`, `str`)
            Scope and name of those that are.
        """
        wanted = tuple(sorted(set(files)))
        return self._ask(("available", wanted, rse), lambda: self._here(wanted, rse)) if wanted else frozenset()

    def _here(self, datasets: Sequence[str], rse: str) -> frozenset[tuple[str, str]]:
        here = set()
        for start in range(0, len(datasets), CHUNK):
            asked = [{"scope": scope, "name": name} for scope, name in map(split, datasets[start : start + CHUNK])]
            for row in rows(self.client.list_replicas(asked, rse_expression=rse), "scope", "name", "states"):
                if row["states"].get(rse) == "AVAILABLE":
                    here.add((row["scope"], row["name"]))
        return frozenset(here)

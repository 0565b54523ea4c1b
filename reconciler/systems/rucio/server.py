"""A Rucio server as kinds use it: named questions and changes, each passed to the part that knows how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from reconciler.systems.rucio.connection import RucioConnection, RucioConnectionSettings
from reconciler.systems.rucio.dids import DidCatalog
from reconciler.systems.rucio.facts import BadReplica, Delivery, DidFacts, FileFacts, RuleFacts, RuleOptions, RuleRequest
from reconciler.systems.rucio.replicas import ReplicaCatalog
from reconciler.systems.rucio.rules import RuleCatalog


class RucioServer:
    """The DIDs, rules and replicas of one Rucio server.

    Answers are cached until `forget`. What reads raises `reconciler.errors.ObserveError`. What writes raises
    `reconciler.errors.ApplyError`, also because a DID to create or a rule to add exists, or a DID to close or attach is closed or
    attached already; `reconciler.errors.ObserveError` if it can't log in; and `reconciler.errors.WriteRefused` in a check that
    only reads.
    """

    def __init__(self, settings: RucioConnectionSettings, counted: Callable[[Any], None] | None = None) -> None:
        self.connection = RucioConnection(settings, counted)
        self._dids = DidCatalog(self.connection)
        self._rules = RuleCatalog(self.connection)
        self._replicas = ReplicaCatalog(self.connection, self._dids)

    @property
    def settings(self) -> RucioConnectionSettings:
        return self.connection.settings

    @property
    def counted(self) -> Callable[[Any], None] | None:
        """Receives the client when it connects, to count its calls."""
        return self.connection.counted

    @counted.setter
    def counted(self, count: Callable[[Any], None] | None) -> None:
        self.connection.counted = count

    @property
    def client(self) -> Any:
        """The client of rucio-clients, logged in."""
        return self.connection.client

    @property
    def account(self) -> str:
        """The account that acts."""
        return self.connection.account

    def place(self) -> str:
        """Return the server's address, or a phrase if no configuration has it; messages and names of locks contain it."""
        return self.connection.place()

    def ping(self) -> None:
        """Raise `ObserveError` unless the server and its database answer, or did since the last `forget`."""
        self.connection.ping()

    def forget(self) -> None:
        """Drop the cached answers, after something was changed."""
        self.connection.forget()

    def dids(self, dids: Iterable[str], *, confirm: bool = True) -> dict[str, DidFacts]:
        """Query DIDs in bulk; those that don't exist are left out, which is confirmed one by one unless ``confirm`` is False."""
        return self._dids.query(dids, confirm=confirm)

    def matching(self, pattern: str) -> list[str]:
        """List datasets and containers that match a pattern; a DID without wildcards is returned as it is, existing or not."""
        return self._dids.match(pattern)

    def contents(self, containers: Iterable[str]) -> dict[str, set[str]]:
        """List the DIDs in each container, not those below them; a container that doesn't exist is an error."""
        return self._dids.contents(containers)

    def confirm_not_contained(self, container: str, dids: Sequence[str]) -> None:
        """Query the containers of the first few DIDs; raise `ObserveError` if a list of contents left one out."""
        self._dids.confirm_not_contained(container, dids)

    def parents(self, did: str) -> set[str]:
        """List the datasets or containers that contain a DID; none if it doesn't exist."""
        return self._dids.parents(did)

    def files(self, datasets: Iterable[str]) -> list[FileFacts]:
        """List the files of datasets, each once; any number but Rucio's own count is an error."""
        return self._dids.files(datasets)

    def files_by_dataset(self, datasets: Iterable[str]) -> dict[str, list[FileFacts]]:
        """List the files of each dataset, none of one that doesn't exist; any number but Rucio's own count is an error."""
        return self._dids.files_by_dataset(datasets)

    def rules(self, dids: Iterable[str]) -> dict[str, list[RuleFacts]]:
        """List the replication rules by DID; a DID without rules may be left out.

        If many DIDs of a scope are asked for, all of that scope that have rules are included.
        """
        return self._rules.query(dids)

    def dids_and_rules(self, dids: Collection[str]) -> tuple[dict[str, DidFacts], dict[str, list[RuleFacts]]]:
        """Query DIDs and their rules in parallel."""
        with ThreadPoolExecutor(1) as pool:
            rules = pool.submit(self.rules, dids)
            return self.dids(dids), rules.result()

    def confirm_rules(self, dids: Sequence[str], known: Mapping[str, Sequence[RuleFacts]]) -> None:
        """Query the rules of the first few DIDs again; raise `ObserveError` if ``known`` lacks some, because its list was cut."""
        self._rules.confirm(dids, known)

    def delivery(self, datasets: Iterable[str], rse: str) -> Delivery:
        """Query which files of datasets are available at an RSE, of how many, and which datasets don't exist."""
        return self._replicas.delivery(datasets, rse)

    def available(self, files: Iterable[str], rse: str) -> frozenset[tuple[str, str]]:
        """Return scope and name of the files available at an RSE; ``files`` may also name datasets, for all files in them."""
        return self._replicas.available(files, rse)

    def create_dataset(self, did: str) -> None:
        """Create an empty, open dataset."""
        self._dids.create_dataset(did)

    def create_container(self, did: str) -> None:
        """Create an empty, open container."""
        self._dids.create_container(did)

    def close(self, did: str) -> None:
        """Close a dataset or container, so that nothing can be added."""
        self._dids.close(did)

    def attach(self, container: str, dids: Sequence[str]) -> None:
        """Add datasets and containers to a container."""
        self._dids.attach(container, dids)

    def add_rule(self, did: str, rule: RuleRequest) -> list[str]:
        """Add a replication rule to a DID, and return the new ID as the only item of a list."""
        return self._rules.add(did, rule)

    def move_rule(self, did: str, rule_id: str, rse_expression: str, copies: int) -> str:
        """Replace a rule of a DID, and return the ID of the new one; Rucio deletes the old one when the new one is OK."""
        return self._rules.move(did, rule_id, rse_expression, copies)

    def update_rule(self, did: str, rule_id: str, options: RuleOptions) -> None:
        """Change the lifetime, activity, comment, priority or lock of a rule of a DID."""
        self._rules.update(did, rule_id, options)

    def delete_rule(self, did: str, rule_id: str) -> None:
        """Delete a rule of a DID; Rucio makes it expire in an hour."""
        self._rules.delete(did, rule_id)

    def locks(self, rule_id: str) -> Counter[str]:
        """Count the copies of each file (by DID) that a rule demands, one lock each."""
        return self._rules.locks(rule_id)

    def rses(self, rse_expression: str) -> frozenset[str]:
        """List the RSEs that an expression selects; none if it is invalid now."""
        return self._rules.rses(rse_expression)

    def scopes(self) -> frozenset[str]:
        """List all scopes."""
        return self._rules.scopes()

    def has_account(self, account: str) -> bool:
        """Return whether an account exists."""
        return self._rules.has_account(account)

    def accounts(self) -> frozenset[str]:
        """List all accounts."""
        return self._rules.accounts()

    def bad_replicas(self, rses: Iterable[str]) -> frozenset[BadReplica]:
        """List the replicas at some RSEs that were declared bad and not replaced since, of all files."""
        return self._replicas.bad(rses)

"""Replication rules of a Rucio server: listing, confirming and changing them."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from reconciler.systems.rucio.connection import RucioConnection
from reconciler.systems.rucio.errors import IncompleteAnswer, translate_read_errors
from reconciler.systems.rucio.facts import RuleFacts, RuleOptions, RuleRequest, did_keys, read_rows, split_did

MOST_QUERIED_ALONE = 3
"""Up to this many DIDs of a scope are queried one by one: listing all rules of the scope costs more."""
MOST_CONFIRMED = 20
"""DIDs whose rules are queried a second time."""


class RuleCatalog:
    """The replication rules of a server.

    What reads raises `reconciler.errors.ObserveError`, and what writes also `reconciler.errors.ApplyError`, as
    `reconciler.systems.rucio.connection.RucioConnection` does.
    """

    def __init__(self, connection: RucioConnection) -> None:
        self._connection = connection

    def query(self, dids: Iterable[str]) -> dict[str, list[RuleFacts]]:
        """List the rules by DID: of many DIDs of a scope by one list of it, of a few one by one.

        A DID without rules may be left out; of a scope that was listed, all DIDs with rules are included.
        """
        by_scope: dict[str, list[str]] = defaultdict(list)
        for did in dict.fromkeys(dids):
            by_scope[split_did(did)[0]].append(did)
        found: dict[str, list[RuleFacts]] = defaultdict(list)
        for scope, asked in by_scope.items():
            if len(asked) <= MOST_QUERIED_ALONE and not self._connection.is_cached(("rules", scope)):
                found |= {did: self._connection.ask(("rules", did), functools.partial(self._read, did), did) for did in asked}
                continue
            for rule in self._connection.ask(("rules", scope), functools.partial(self._read, scope), f"rules of scope {scope}"):
                found[f"{scope}:{rule.name}"].append(rule)
        return found

    def _read(self, scope_or_did: str) -> list[RuleFacts]:
        scope, name = split_did(scope_or_did)
        filters = {"scope": scope, "name": name} if name else {"scope": scope}
        answer = self._connection.client.list_replication_rules(filters)
        keys = ("id", "name", "account", "rse_expression", "copies", "state")
        return [RuleFacts.from_row(row) for row in read_rows(answer, *keys)]

    def confirm(self, dids: Sequence[str], known: Mapping[str, Sequence[RuleFacts]]) -> None:
        """Query the rules of the first `MOST_CONFIRMED` DIDs again, one by one: no count shows when a list of rules was cut.

        Raises
        ------
        reconciler.errors.ObserveError
            If a DID has rules that ``known``, the result of `query`, does not contain.
        """
        for did in dids[:MOST_CONFIRMED]:
            listed = {rule.id for rule in known.get(did, ())}
            confirmed = self._connection.ask(("confirmed rules", did), functools.partial(self._read, did), did)
            if {rule.id for rule in confirmed} - listed:
                with translate_read_errors(self._connection.place):
                    raise IncompleteAnswer(f"{did} has {len(confirmed):,} rules, but the list before had only {len(listed):,}")

    def add(self, did: str, rule: RuleRequest) -> list[str]:
        """Add a rule to a DID, and return the new ID as the only item of a list."""
        options = {name: value for name, value in dataclasses.asdict(rule).items() if value is not None}
        ids = self._connection.write(
            f"add rule {rule.rse_expression} × {rule.copies} to {did}",
            lambda client: client.add_replication_rule(did_keys([did]), **options),
        )
        return list(ids)

    def move(self, did: str, rule_id: str, rse_expression: str, copies: int) -> str:
        """Replace a rule of a DID by a new one, and return the new ID; Rucio deletes the old one when the new one is OK."""
        new = self._connection.write(
            f"move rule {rule_id} of {did} to {rse_expression} × {copies}",
            lambda client: client.move_replication_rule(rule_id, rse_expression, {"copies": copies}),
        )
        return str(new)

    def update(self, did: str, rule_id: str, options: RuleOptions) -> None:
        """Change properties of a rule of a DID; `RuleOptions` lists those that Rucio lets one change."""
        self._connection.write(
            f"update rule {rule_id} of {did}", lambda client: client.update_replication_rule(rule_id, dict(options))
        )

    def delete(self, did: str, rule_id: str) -> None:
        """Delete a rule of a DID; Rucio makes it expire in an hour."""
        self._connection.write(f"remove rule {rule_id} of {did}", lambda client: client.delete_replication_rule(rule_id))

    def locks(self, rule_id: str) -> Counter[str]:
        """Count the copies of each file (by DID) that a rule demands: one lock each, whatever its state."""

        def read() -> Counter[str]:
            rows = read_rows(self._connection.client.list_replica_locks(rule_id), "scope", "name")
            return Counter(f"{row['scope']}:{row['name']}" for row in rows)

        return self._connection.ask(("locks", rule_id), read, f"rule {rule_id}")

    def rses(self, rse_expression: str) -> frozenset[str]:
        """List the RSEs that an expression selects; none if it is invalid now."""
        from rucio.common.exception import InvalidRSEExpression

        def read() -> frozenset[str]:
            try:
                return frozenset(row["rse"] for row in read_rows(self._connection.client.list_rses(rse_expression), "rse"))
            except InvalidRSEExpression:
                return frozenset()

        return self._connection.ask(("rses", rse_expression), read, rse_expression)

    def scopes(self) -> frozenset[str]:
        """List all scopes, in one call."""
        return self._connection.ask("scopes", lambda: frozenset(map(str, read_rows(self._connection.client.list_scopes()))))

    def has_account(self, account: str) -> bool:
        """Return whether an account exists."""
        from rucio.common.exception import AccountNotFound

        def read() -> bool:
            try:
                return bool(self._connection.client.get_account(account))
            except AccountNotFound:
                return False

        return self._connection.ask(("account", account), read, f"account {account}")

    def accounts(self) -> frozenset[str]:
        """List all accounts, in one call."""
        return self._connection.ask(
            "accounts", lambda: frozenset(row["account"] for row in read_rows(self._connection.client.list_accounts(), "account"))
        )

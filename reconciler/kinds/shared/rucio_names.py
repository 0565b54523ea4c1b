"""Check that RSE expressions, accounts and scopes exist in Rucio, where a table needs something that isn't there yet.

Each is asked for once, and nothing where all rules and DIDs exist. Rucio itself would refuse them at the write, after others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.errors import did_you_mean

if TYPE_CHECKING:
    from reconciler.kinds.shared.rucio_rules import Rule
    from reconciler.systems.context import Context


@dataclass(frozen=True)
class UnknownNames:
    """RSE expressions, accounts and scopes that Rucio doesn't have, each with a phrase, and how many RSEs match an expression."""

    expressions: Mapping[str, str] = field(default_factory=dict)
    matches: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    scopes: Mapping[str, str] = field(default_factory=dict)

    def explain_rule(self, rule: Rule) -> str:
        """Return why Rucio would refuse a rule; an empty text if it knows the names and has RSEs for all copies."""
        place = self.expressions.get(rule.rse_expression, "")
        matches = self.matches.get(rule.rse_expression, rule.copies)
        if not place and matches < rule.copies:
            place = f"copies: {rule.copies} on different RSEs, and {rule.rse_expression} matches {matches}"
        return "; ".join(filter(None, (place, self.accounts.get(rule.account or "", ""))))

    def explain_scope(self, did: str) -> str:
        """Return a phrase if the scope of a DID doesn't exist, else an empty text."""
        return self.scopes.get(did.partition(":")[0], "")


def find_unknown_names(context: Context, rules: Iterable[Rule], dids: Iterable[str]) -> UnknownNames:
    """Query whether the names in rules that are to be added, and the scopes of DIDs that are to be created, exist.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be asked.
    """
    added = list(rules)
    expressions = dict.fromkeys(rule.rse_expression for rule in added)
    accounts = dict.fromkeys(rule.account for rule in added if rule.account)
    scopes = dict.fromkeys(did.partition(":")[0] for did in dids)
    known_scopes = context.rucio.scopes() if scopes else frozenset()
    return UnknownNames(
        {expression: text for expression in expressions if (text := _explain_expression(context, expression))},
        {expression: len(context.rucio.rses(expression)) for expression in expressions},
        {account: text for account in accounts if (text := _explain_account(context, account))},
        {
            scope: f'Rucio has no scope "{scope}"{did_you_mean(scope, known_scopes)}'
            for scope in scopes
            if scope not in known_scopes
        },
    )


def describe_unknown_names(
    unknown: UnknownNames, did: str, rules: Iterable[tuple[int, Rule]], *, new: bool
) -> Iterator[Condition]:
    """Yield a condition for each rule of a DID that Rucio would refuse, by its number, and for the scope of a new DID."""
    if new and (text := unknown.explain_scope(did)):
        yield Condition(DifferenceKind.BLOCKED, text)
    for number, rule in rules:
        if text := unknown.explain_rule(rule):
            yield Condition(DifferenceKind.BLOCKED, f"rules[{number}]: {text}", field="rules")


def explain_unknown_rse(context: Context, rse: str) -> str:
    """Return a phrase if there is no RSE of a name, with the one that was probably meant; else an empty text."""
    if rse in context.rucio.rses(rse):
        return ""
    return f'Rucio has no RSE "{rse}"{did_you_mean(rse, context.rucio.rses("*"))}'


def _explain_expression(context: Context, expression: str) -> str:
    """Return that an expression selects no RSE; of several names in it, the first that is unknown is named."""
    if context.rucio.rses(expression):
        return ""
    known = context.rucio.rses("*")
    names = [name for name in re.split(r"[|&\\()\s]+", expression) if name and not re.search(r"[=<>*]", name)]
    for name in names:
        if name not in known:
            return f'rse_expression: Rucio has no RSE "{name}"{did_you_mean(name, known)}'
    return f'rse_expression: no RSE matches "{expression}"'


def _explain_account(context: Context, account: str) -> str:
    if context.rucio.has_account(account):
        return ""
    return f'account: Rucio has no account "{account}"{did_you_mean(account, context.rucio.accounts())}'

"""The order of things: who needs what, as edges between addresses.

Tokens make the edges, so a chain never names raws: it needs a collection, and whoever provides it comes first.
"""

from __future__ import annotations

import fnmatch
import heapq
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from reconciler.engine.model import Id
from reconciler.engine.registry import discover
from reconciler.errors import PlanError, ReconcileError, StateError
from reconciler.state.braces import is_glob
from reconciler.state.loader import State

REPOSITORY = "repository:"


@dataclass(frozen=True)
class Graph:
    """Addresses in an order in which each comes after what it needs.

    Parameters
    ----------
    order : tuple of `Id`
        All of them.
    needs : mapping
        For each, the addresses that it can't do without, and for which token.
    follows : mapping
        For each, further addresses that come first.
    unprovided : mapping
        For each, the tokens that no table provides; they have to exist live.
    owners : mapping
        The one address that alone may provide a token.
    """

    order: tuple[Id, ...]
    needs: Mapping[Id, Mapping[Id, str]]
    follows: Mapping[Id, frozenset[Id]]
    unprovided: Mapping[Id, tuple[str, ...]] = field(default_factory=dict)
    owners: Mapping[str, Id] = field(default_factory=dict)

    def before(self, id: Id) -> set[Id]:
        """Give what comes directly before an address.

        Parameters
        ----------
        id : `Id`
            The address.

        Returns
        -------
        ids : `set` [`Id`]
            What it needs or follows.
        """
        return set(self.needs.get(id, ())) | self.follows.get(id, frozenset())

    def closure(self, ids: Iterable[Id]) -> set[Id]:
        """Add to some addresses all that they need, at any distance.

        Parameters
        ----------
        ids : iterable of `Id`
            Addresses.

        Returns
        -------
        ids : `set` [`Id`]
            With what they need.
        """
        found: set[Id] = set()
        stack = list(ids)
        while stack:
            id = stack.pop()
            if id not in found:
                found.add(id)
                stack += self.before(id)
        return found


def build(state: State) -> Graph:
    """Find the order of a state's resources.

    Parameters
    ----------
    state : `reconciler.state.loader.State`
        What is wanted.

    Returns
    -------
    graph : `Graph`
        Their order.

    Raises
    ------
    reconciler.errors.StateError
        If an input that is needed to know is not right.
    reconciler.errors.PlanError
        If two tables provide the same thing, or there is a cycle.
    """
    kinds = discover()
    providers: dict[str, set[Id]] = defaultdict(set)
    owners: dict[str, Id] = {}
    needs_tokens: dict[Id, list[str]] = {}
    follows_tokens: dict[Id, list[str]] = {}
    wrong: list[str] = []
    twice: list[str] = []
    for id, spec in state.resources.items():
        kind = kinds[id.kind]
        try:
            for token in kind.provides(id.name, spec):
                if token in owners:
                    rival = f"{owners[token]} ({state.where(owners[token])})"
                    twice.append(f"{state.where(id)}: {id}: {words(token)} is provided by {rival} too")
                owners.setdefault(token, id)
                providers[token].add(id)
            for token in kind.contributes(id.name, spec):
                providers[token].add(id)
            needs_tokens[id] = list(kind.needs(id.name, spec))
            follows_tokens[id] = list(kind.follows(id.name, spec))
        except ReconcileError as error:
            wrong.append(f"{state.where(id)}: {id}: {error}")
            continue
        lost = [path for path in kind.inputs(spec) if "://" not in path and not os.path.isfile(path)]
        wrong += [f"{state.where(id)}: {id}: {path}: no such file" for path in lost]
        if "butler" in kind.systems(spec) and id.kind != "repository":
            needs_tokens[id].insert(0, REPOSITORY)
    if wrong:
        raise StateError(wrong)
    if twice:
        raise PlanError("\n".join(twice))
    by_address = {str(id): id for id in state.resources}
    needs: dict[Id, dict[Id, str]] = {}
    follows: dict[Id, frozenset[Id]] = {}
    unprovided: dict[Id, tuple[str, ...]] = {}
    for id, spec in state.resources.items():
        needs[id] = {}
        lacking = []
        for token in needs_tokens[id]:
            found = _providers(token, providers) - {id}
            for other in found:
                needs[id].setdefault(other, token)
            if not found and id not in _providers(token, providers):
                lacking.append(token)
        for address in spec.requires:
            needs[id].setdefault(by_address[address], address)
        soft = {other for token in follows_tokens[id] for other in _providers(token, providers)}
        follows[id] = frozenset(soft - {id} - set(needs[id]))
        if lacking:
            unprovided[id] = tuple(lacking)
    return Graph(_sorted(state, needs, follows), needs, follows, unprovided, owners)


def _providers(token: str, providers: Mapping[str, set[Id]]) -> set[Id]:
    if not is_glob(token):
        return providers.get(token, set())
    return {id for other in fnmatch.filter(providers, token) for id in providers[other]}


def _sorted(state: State, needs: Mapping[Id, Mapping[Id, str]], follows: Mapping[Id, frozenset[Id]]) -> tuple[Id, ...]:
    """Sort so that, where nothing else decides, kinds and then lines of the file do."""
    kinds = discover()
    position = {id: (kinds[id.kind].rank, number) for number, id in enumerate(state.resources)}
    sorter: TopologicalSorter[Id] = TopologicalSorter({id: set(needs[id]) | follows[id] for id in needs})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = [f"{id} ({state.where(id)})" for id in reversed(error.args[1])]
        raise PlanError(f"these tables need each other in a circle: {' needs '.join(cycle)}") from error
    ready: list[tuple[tuple[int, int], Id]] = []
    order = []
    while sorter.is_active():
        for id in sorter.get_ready():
            heapq.heappush(ready, (position[id], id))
        _, id = heapq.heappop(ready)
        order.append(id)
        sorter.done(id)
    return tuple(order)


def words(token: str) -> str:
    """Say what a token stands for.

    Parameters
    ----------
    token : `str`
        ``collection:HSC/raw/all``.

    Returns
    -------
    text : `str`
        ``collection "HSC/raw/all"``.
    """
    kind, _, name = token.partition(":")
    return f'{"Rucio DID" if kind == "did" else kind.replace("_", " ")} "{name}"' if name else f"a [{kind}] table"

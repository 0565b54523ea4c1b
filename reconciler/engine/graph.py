"""The order of resources: which resource needs which, as edges between addresses.

Tokens make the edges, so a chain never names raws: it needs a collection, and the resource that provides it comes first.
"""

from __future__ import annotations

import fnmatch
import heapq
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from reconciler.engine.kind import Links, System
from reconciler.engine.model import Address, DesiredState
from reconciler.engine.spec import Spec
from reconciler.errors import MissingFile, PlanError, ReconcileError, StateError
from reconciler.patterns import Glob


@dataclass(frozen=True)
class Graph:
    """Addresses in an order in which each comes after what it needs.

    Parameters
    ----------
    order : `tuple` [`Address`, ...]
        All addresses.
    needs : `Mapping` [`Address`, `Mapping` [`Address`, `str`]]
        For each address, those that it can't do without, and the token that it needs of each.
    after : `Mapping` [`Address`, `frozenset` [`Address`]]
        For each address, further ones that come first.
    unprovided : `Mapping` [`Address`, `tuple` [`str`, ...]]
        For each address, the tokens that no table provides; they must exist live.
    owners : `Mapping` [`str`, `Address`]
        The one address that alone may provide a token.
    tokens : `frozenset` [`str`]
        All tokens that tables mention, without patterns.
    missing_files : `frozenset` [`str`]
        Input files that don't exist on this machine, so that what they define is not in the graph.
    """

    order: tuple[Address, ...]
    needs: Mapping[Address, Mapping[Address, str]]
    after: Mapping[Address, frozenset[Address]]
    unprovided: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    owners: Mapping[str, Address] = field(default_factory=dict)
    tokens: frozenset[str] = frozenset()
    missing_files: frozenset[str] = frozenset()

    def predecessors(self, address: Address) -> set[Address]:
        """Return the addresses that come directly before one."""
        return set(self.needs.get(address, ())) | self.after.get(address, frozenset())

    def with_predecessors(self, addresses: Iterable[Address]) -> set[Address]:
        """Return some addresses with all that come before them, at any distance."""
        found: set[Address] = set()
        stack = list(addresses)
        while stack:
            address = stack.pop()
            if address not in found:
                found.add(address)
                stack += self.predecessors(address)
        return found


def build_graph(state: DesiredState, *, need_files: bool = True) -> Graph:
    """Find the order of a state's resources.

    Parameters
    ----------
    state : `DesiredState`
        The state.
    need_files : `bool`
        Whether it is an error if an input file doesn't exist on this machine.

    Raises
    ------
    reconciler.errors.StateError
        If an input file is missing or wrong.
    reconciler.errors.PlanError
        If two tables provide the same thing, or tables need each other in a circle.
    """
    links, missing_files = _read_links(state, need_files)
    providers, owners = _find_providers(state, links)
    by_text = {str(address): address for address in state.resources}
    needs: dict[Address, dict[Address, str]] = {}
    after: dict[Address, frozenset[Address]] = {}
    unprovided: dict[Address, tuple[str, ...]] = {}
    for address, spec in state.resources.items():
        needs[address], lacking = _resolve_needs(address, _needed_tokens(state, address, spec, links), providers)
        for required in spec.requires:
            needs[address].setdefault(by_text[required], required)
        if lacking:
            unprovided[address] = tuple(lacking)
        earlier = {other for token in links[address].after for other in _matching_providers(token, providers)}
        after[address] = frozenset(earlier - {address} - set(needs[address]))
    tokens = frozenset(str(token) for its in links.values() for token in _all_tokens(its) if not isinstance(token, Glob))
    return Graph(_sort(state, needs, after), needs, after, unprovided, owners, tokens, frozenset(missing_files))


def _all_tokens(links: Links) -> Iterator[str]:
    for tokens in (links.provides, links.contributes, links.needs, links.after):
        yield from tokens


def describe_token(token: str) -> str:
    """Return a token in words: ``collection "HSC/raw/all"`` for ``collection:HSC/raw/all``."""
    kind, _, name = token.partition(":")
    return f'{"Rucio DID" if kind == "did" else kind.replace("_", " ")} "{name}"'


def system_token(system: System) -> str:
    """Return the token of a live system, which the resource that opens it provides."""
    return f"system:{system}"


def _read_links(state: DesiredState, need_files: bool) -> tuple[dict[Address, Links], set[str]]:
    """Return the edges of each resource, and the input files that don't exist."""
    links: dict[Address, Links] = {}
    wrong: list[str] = []
    missing_files: set[str] = set()
    for address, spec in state.resources.items():
        kind = state.kind_of(address)
        missing: list[MissingFile] = []
        try:
            links[address] = kind.links(address.name, spec)
        except MissingFile as error:
            links[address] = Links()
            missing = [error]
        except ReconcileError as error:
            wrong += [f"{state.where(address)}: {address}: {problem}" for problem in error.problems]
            continue
        files = kind.requirements(spec).input_files
        folders = [path for path in files if os.path.isdir(path)]
        wrong += [f"{state.where(address)}: {address}: {path}: is a folder, not a file" for path in folders]
        missing += [MissingFile(path) for path in files if "://" not in path and not os.path.exists(path)]
        missing_files.update(error.path for error in missing)
        wrong += [f"{state.where(address)}: {address}: {error}" for error in missing if need_files]
    if wrong:
        raise StateError(wrong)
    return links, missing_files


def _find_providers(state: DesiredState, links: Mapping[Address, Links]) -> tuple[dict[str, set[Address]], dict[str, Address]]:
    """Return the providers of each token, and the owner of each token that only one resource may provide."""
    providers: dict[str, set[Address]] = defaultdict(set)
    owners: dict[str, Address] = {}
    wrong: list[str] = []
    for address, its in links.items():
        opened = state.kind_of(address).traits.opens
        if opened is not None:
            providers[system_token(opened)].add(address)
        for token in its.provides:
            if token in owners:
                rival = f"{owners[token]} ({state.where(owners[token])})"
                wrong.append(f"{state.where(address)}: {address}: {describe_token(token)} is also provided by {rival}")
            owners.setdefault(token, address)
            providers[token].add(address)
        for token in its.contributes:
            providers[token].add(address)
    if wrong:
        raise PlanError(wrong)
    return providers, owners


def _needed_tokens(state: DesiredState, address: Address, spec: Spec, links: Mapping[Address, Links]) -> list[str]:
    kind = state.kind_of(address)
    systems = kind.requirements(spec).systems - {kind.traits.opens}
    return [*map(system_token, sorted(systems)), *links[address].needs]


def _resolve_needs(
    address: Address, tokens: Iterable[str], providers: Mapping[str, set[Address]]
) -> tuple[dict[Address, str], list[str]]:
    """Return the addresses that provide some tokens, and the tokens that nobody provides."""
    found: dict[Address, str] = {}
    lacking: list[str] = []
    for token in tokens:
        its_providers = _matching_providers(token, providers)
        for other in its_providers - {address}:
            found.setdefault(other, token)
        if not its_providers and not token.startswith("system:"):
            lacking.append(token)
    return found, lacking


def _matching_providers(token: str, providers: Mapping[str, set[Address]]) -> set[Address]:
    if token in providers or not isinstance(token, Glob):
        return providers.get(token, set())
    return {address for other in fnmatch.filter(providers, token) for address in providers[other]}


def _sort(
    state: DesiredState, needs: Mapping[Address, Mapping[Address, str]], after: Mapping[Address, frozenset[Address]]
) -> tuple[Address, ...]:
    """Sort topologically; where that leaves a choice, by kind and then by line."""
    position = {address: (state.kind_of(address).traits.order, number) for number, address in enumerate(state.resources)}
    sorter: TopologicalSorter[Address] = TopologicalSorter({address: set(needs[address]) | after[address] for address in needs})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = [f"{address} ({state.where(address)})" for address in reversed(error.args[1])]
        first = error.args[1][-1]
        where = f"{state.where(first)}: {first}"
        raise PlanError(f"{where}: these tables need each other in a circle: {' needs '.join(cycle)}") from error
    ready: list[tuple[tuple[int, int], Address]] = []
    order = []
    while sorter.is_active():
        for address in sorter.get_ready():
            heapq.heappush(ready, (position[address], address))
        _, address = heapq.heappop(ready)
        order.append(address)
        sorter.done(address)
    return tuple(order)

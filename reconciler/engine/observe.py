"""Look at the live systems: one pass over the kinds, each asked once for all of its resources.

When one system can't be asked, what the other knows is still told; the rest is unknown, which is never in sync.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from reconciler.engine.graph import Graph, words
from reconciler.engine.model import Id, Seen
from reconciler.engine.registry import discover
from reconciler.errors import ObserveError, PlanError, ReconcileError, StateError
from reconciler.state.braces import meant
from reconciler.state.loader import State
from reconciler.systems.context import Live


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Parameters
    ----------
    seen : mapping
        By address.
    unknown : mapping
        Why an address could not be looked at.
    """

    seen: Mapping[Id, Seen[Any]] = field(default_factory=dict)
    unknown: Mapping[Id, ReconcileError] = field(default_factory=dict)


def observe(state: State, live: Live, ids: Collection[Id]) -> Observation:
    """Look at some resources.

    Parameters
    ----------
    state : `reconciler.state.loader.State`
        What is wanted.
    live : `reconciler.systems.context.Live`
        The live systems.
    ids : collection of `Id`
        Which.

    Returns
    -------
    observation : `Observation`
        What was seen of each.

    Raises
    ------
    reconciler.errors.StateError
        If an input is not right.
    """
    look = _Look(state, live)
    groups = _groups(state, ids)
    of_rucio = {key: group for key, group in groups.items() if key[1] == ("rucio",)}
    of_both = {key: group for key, group in groups.items() if len(key[1]) > 1}
    of_butler = {key: group for key, group in groups.items() if key not in of_rucio and key not in of_both}
    if of_rucio and of_butler:
        with ThreadPoolExecutor(1) as beside:  # while one system is asked, the other one works
            rest = beside.submit(look.at, of_rucio)
            look.at(of_butler)
            rest.result()
        look.at(of_both)
    else:
        look.at(groups)
    if look.wrong:
        raise StateError(look.wrong)
    return Observation(look.seen, look.unknown)


class _Look:
    """One pass over some groups of resources; when a system is down, it is not asked again for each kind."""

    def __init__(self, state: State, live: Live) -> None:
        self.state, self.live = state, live
        self.seen: dict[Id, Seen[Any]] = {}
        self.unknown: dict[Id, ReconcileError] = {}
        self.wrong: list[str] = []
        self.down: dict[str, ObserveError] = {}

    def at(self, groups: Mapping[tuple[str, tuple[str, ...]], list[Id]]) -> None:
        """Look at some groups, one after the other."""
        for (kind_name, systems), group in groups.items():
            failed = next((self.down[system] for system in systems if system in self.down), None)
            if failed is not None:
                self.unknown |= dict.fromkeys(group, failed)
            else:
                with self.live.stats.phase(kind_name):
                    self._at(discover()[kind_name], systems, group)

    def _at(self, kind: Any, systems: Iterable[str], group: list[Id]) -> None:
        state, live = self.state, self.live
        try:
            found = kind.observe(live, {id.name: state.resources[id] for id in group})
        except StateError as error:
            culprits = _culprits(kind, live, state, group)
            self.wrong += [f"{state.where(id)}: {id}: {error}" for id in culprits] or [str(error)]
        except ObserveError as error:
            self.unknown |= _one_by_one(kind, live, state, group, error, self.seen)
            for system in systems:
                if _is_down(live, system):
                    self.down[system] = error
        else:
            self.seen |= {id: found.get(id.name, Seen(None)) for id in group}


def _groups(state: State, ids: Collection[Id]) -> dict[tuple[str, tuple[str, ...]], list[Id]]:
    """Put together what is asked in one go: of one kind, and of the same systems."""
    kinds = discover()
    groups: dict[tuple[str, tuple[str, ...]], list[Id]] = defaultdict(list)
    for id, spec in state.resources.items():
        if id in ids:
            groups[id.kind, tuple(sorted(kinds[id.kind].systems(spec)))].append(id)
    ranked = sorted(groups, key=lambda key: (key[0] != "repository", kinds[key[0]].rank, key[1]))
    return {key: groups[key] for key in ranked}


def _culprits(kind: Any, live: Live, state: State, group: Iterable[Id]) -> list[Id]:
    found = []
    for id in group:
        try:
            kind.observe(live, {id.name: state.resources[id]})
        except StateError:
            found.append(id)
        except ReconcileError:
            continue
    return found


def _one_by_one(
    kind: Any, live: Live, state: State, group: list[Id], error: ObserveError, seen: dict[Id, Seen[Any]]
) -> dict[Id, ReconcileError]:
    """Find out which of several can't be looked at, unless a whole system is down."""
    if len(group) == 1 or any(_is_down(live, system) for system in ("butler", "rucio")):
        return dict.fromkeys(group, error)
    unknown: dict[Id, ReconcileError] = {}
    for id in group:
        try:
            seen[id] = kind.observe(live, {id.name: state.resources[id]}).get(id.name, Seen(None))
        except ObserveError as own:
            unknown[id] = own
    return unknown


def _is_down(live: Live, system: str) -> bool:
    """Tell whether a system does not answer at all, so that it is not asked again for each kind."""
    try:
        if system == "butler" and live.repository is not None:
            live.repository.collections()
        elif system == "rucio" and live.server is not None:
            live.server.ping()
    except ObserveError:
        return True
    return False


def check_provided(state: State, live: Live, graph: Graph, ids: Collection[Id]) -> None:
    """See that what tables need and none provides exists live.

    Parameters
    ----------
    state : `reconciler.state.loader.State`
        What is wanted.
    live : `reconciler.systems.context.Live`
        The live systems.
    graph : `reconciler.engine.graph.Graph`
        With the tokens that no table provides.
    ids : collection of `Id`
        Which resources matter.

    Raises
    ------
    reconciler.errors.PlanError
        If something does not exist.
    reconciler.errors.ObserveError
        If that can't be found out.
    """
    asked = {token for id in ids for token in graph.unprovided.get(id, ())}
    exist = existing(live, asked)
    provided = [token.partition(":")[2] for token in graph.owners]
    wrong = [
        f"{state.where(id)}: {id}: needs {words(token)}, which no table makes and which does not exist"
        f"{meant(token.partition(':')[2], provided)}"
        for id in graph.order
        if id in ids
        for token in graph.unprovided.get(id, ())
        if token not in exist
    ]
    if wrong:
        raise PlanError("\n".join(wrong))


def existing(live: Live, tokens: Collection[str]) -> set[str]:
    """Find out which tokens exist live.

    Parameters
    ----------
    live : `reconciler.systems.context.Live`
        The live systems.
    tokens : collection of `str`
        What to look for.

    Returns
    -------
    tokens : `set` [`str`]
        Those that do.
    """
    found: set[str] = set()
    for kind in discover().values():
        mine = {token for token in tokens if token.partition(":")[0] in kind.answers}
        if mine:
            found |= set(kind.exists(live, mine))
    return found

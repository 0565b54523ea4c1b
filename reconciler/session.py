"""One state file and its live systems, from loading to a plan: what `diff` and `apply` have in common."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.engine import graph as graphs
from reconciler.engine.graph import Graph
from reconciler.engine.model import Id
from reconciler.engine.observe import Observation, check_provided, observe
from reconciler.engine.plan import Plan, plan
from reconciler.engine.registry import discover
from reconciler.engine.requirements import unable
from reconciler.errors import StateError, clean
from reconciler.files.prefetch import reading_ahead
from reconciler.kinds.repository import RepositorySpec
from reconciler.state.braces import meant
from reconciler.state.loader import State, load
from reconciler.state.variables import Scalar
from reconciler.systems.context import Live
from reconciler.systems.workers import Workers


@dataclass
class Session:
    """A state with its graph and its live systems.

    Parameters
    ----------
    state : `reconciler.state.loader.State`
        What is wanted.
    graph : `reconciler.engine.graph.Graph`
        The order.
    live : `reconciler.systems.context.Live`
        The live systems.
    """

    state: State
    graph: Graph
    live: Live
    started: float = 0.0
    unable: Mapping[Id, str] | None = None

    @property
    def butler_name(self) -> str | None:
        return clean(self.live.repository.uri) if self.live.repository else None

    @property
    def rucio_name(self) -> str | None:
        """The server and the account, without asking either."""
        if self.live.server is None:
            return None
        account = self.live.server.settings.account
        return self.live.server.place() + (f" as {account}" if account else "")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def plan(
        self, only: Sequence[str] = (), without: Sequence[str] = (), *, with_needs: bool = False, prune: bool = False
    ) -> Plan:
        """Look at everything and say what is to be done.

        Parameters
        ----------
        only, without : sequence of `str`
            Globs of addresses to take, all if empty, and to leave out.
        with_needs : `bool`
            Whether what the chosen need is taken too.
        prune : `bool`
            Whether anything may be removed.

        Returns
        -------
        plan : `reconciler.engine.plan.Plan`
            What is to be done.

        Raises
        ------
        reconciler.errors.ReconcileError
            If the state can't be planned.
        """
        chosen = select(self.state, only)
        if without:
            chosen -= select(self.state, without)
        if with_needs:
            chosen = self.graph.closure(chosen)
        seen = observe(self.state, self.live, chosen)
        with self.live.stats.phase("plan"):
            return self._plan(seen, chosen, prune)

    def _plan(self, seen: Observation, chosen: Collection[Id], prune: bool) -> Plan:
        known = [id for id in chosen if id not in seen.unknown]
        check_provided(self.state, self.live, self.graph, known)
        first = plan(self.state, self.graph, seen, only=chosen, prune=prune)
        self.unable = unable(self.state.resources, [entry.id for entry in first.entries if entry.actions])
        if not self.unable:
            return first
        return plan(self.state, self.graph, seen, only=chosen, prune=prune, unable=self.unable)


def start(
    path: Path, variables: Mapping[str, Scalar], *, deep: bool = False, counted: bool = False, workers: Workers | None = None
) -> Session:
    """Load a state and get ready to ask its live systems.

    Parameters
    ----------
    path : `pathlib.Path`
        The state file.
    variables : mapping
        What overrides its variables.
    deep : `bool`
        Whether members are compared everywhere.
    counted : `bool`
        Whether statements and calls are counted.
    workers : `reconciler.systems.workers.Workers`, optional
        Who does bulk work; one process if left out.

    Returns
    -------
    session : `Session`
        Nothing was asked yet.

    Raises
    ------
    reconciler.errors.ReconcileError
        If the state is not right.
    """
    started = time.monotonic()
    live = Live(deep=deep, workers=workers or Workers())
    with live.stats.phase("load"):
        state = load(path, variables)
    repository = state.resources.get(Id("repository", ""))
    if isinstance(repository, RepositorySpec):
        from reconciler.systems.butler.connection import import_butler
        from reconciler.systems.butler.datasets import Repository

        with live.stats.phase("import lsst.daf.butler"), reading_ahead(_exports(state)):
            import_butler()
        live.repository = Repository(repository.uri)
        if counted:
            live.stats.count_statements()
    with live.stats.phase("load"):
        graph = graphs.build(state)
        live.owners = {token: str(id) for token, id in graph.owners.items()}
    if state.rucio is not None:
        from reconciler.systems.rucio.server import Rucio

        live.server = Rucio(state.rucio)
        live.rse = state.rucio.rse
        if counted:
            live.server.counted = live.stats.count_calls
    return Session(state, graph, live, started)


def _exports(state: State) -> Iterable[str]:
    kinds = discover()
    return (path for id, spec in state.resources.items() for path in kinds[id.kind].exports(spec))


def select(state: State, only: Sequence[str]) -> set[Id]:
    """Choose resources by globs of their addresses.

    Parameters
    ----------
    state : `reconciler.state.loader.State`
        What is wanted.
    only : sequence of `str`
        ``chain.*``, ``rucio_dataset."raw:*"``; quotes may be left out.

    Returns
    -------
    ids : `set` [`Id`]
        Those that match any; all for no globs.

    Raises
    ------
    reconciler.errors.StateError
        If a glob matches nothing.
    """
    if not only:
        return set(state.resources)
    found: set[Id] = set()
    for pattern in only:
        plain = pattern.replace('"', "")
        names = {(f"{id.kind}.{id.name}" if id.name else id.kind): id for id in state.resources}
        matched = {names[name] for name in fnmatch.filter(names, plain)}
        if not matched:
            raise StateError(f"{state.path.name}: no address matches {pattern}{meant(plain, names)}")
        found |= matched
    return found

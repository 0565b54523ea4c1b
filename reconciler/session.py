"""One state file with its live systems, from loading to a plan: what `diff` and `apply` have in common."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.engine.graph import Graph, build_graph
from reconciler.engine.model import Address
from reconciler.engine.observe import Observation, check_unprovided, observe
from reconciler.engine.plan import Plan, plan
from reconciler.engine.requirements import find_unmet_requirements
from reconciler.errors import StateError, clean, did_you_mean
from reconciler.files.export_prefetch import prefetch_exports
from reconciler.kinds.import_ import ImportSpec
from reconciler.kinds.repository import RepositorySpec
from reconciler.state.loader import StateFile, load
from reconciler.state.variables import Scalar
from reconciler.systems.context import Context
from reconciler.systems.policy import ComparisonPolicy
from reconciler.systems.workers import Workers


@dataclass
class Session:
    """A state file with its graph and its live systems.

    Parameters
    ----------
    state : `StateFile`
        What is desired.
    graph : `Graph`
        In which order.
    context : `Context`
        The live systems.
    started : `float`
        When loading began, in seconds of the monotonic clock.
    unmet : `Mapping` [`Address`, `str`]
        Why the actions of an address can't be executed on this machine; known after `plan`.
    """

    state: StateFile
    graph: Graph
    context: Context
    started: float = 0.0
    unmet: Mapping[Address, str] = field(default_factory=dict)

    @property
    def repository_spec(self) -> RepositorySpec | None:
        """The [repository] table."""
        return find_repository(self.state)

    @property
    def butler_name(self) -> str | None:
        """The location of the repository, without credentials."""
        return clean(self.context.repository.uri) if self.context.repository else None

    @property
    def rucio_name(self) -> str | None:
        """The server and the account, without asking either."""
        if self.context.server is None:
            return None
        account = self.context.server.settings.account
        return self.context.server.place() + (f" as {account}" if account else "")

    @property
    def elapsed(self) -> float:
        """Seconds since loading began."""
        return time.monotonic() - self.started

    def plan(
        self, only: Sequence[str] = (), without: Sequence[str] = (), *, with_needs: bool = False, prune: bool = False
    ) -> Plan:
        """Observe resources and plan what to do.

        Parameters
        ----------
        only, without : `Sequence` [`str`]
            Globs of addresses to take, all if empty, and to leave out.
        with_needs : `bool`
            Whether to take what the chosen resources need, too.
        prune : `bool`
            Whether unwanted members may be removed.

        Raises
        ------
        reconciler.errors.ReconcileError
            If the state can't be planned.
        """
        chosen = select(self.state, only)
        if without:
            chosen -= select(self.state, without)
        if with_needs:
            chosen = self.graph.with_predecessors(chosen)
        observation = observe(self.state, self.context, chosen)
        with self.context.phase("plan"):
            return self._plan(observation, chosen, prune)

    def _plan(self, observation: Observation, chosen: Collection[Address], prune: bool) -> Plan:
        known = [address for address in chosen if address not in observation.unknown]
        check_unprovided(self.state, self.context, self.graph, known)
        first = plan(self.state, self.graph, observation, only=chosen, prune=prune)
        acting = [entry.address for entry in first.entries if entry.actions]
        self.unmet = find_unmet_requirements(self.state, self.context, acting)
        if not self.unmet:
            return first
        return plan(self.state, self.graph, observation, only=chosen, prune=prune, unmet=self.unmet)

    def close(self) -> None:
        """Close connections and workers."""
        self.context.close()


def start(
    path: Path, variables: Mapping[str, Scalar], *, deep: bool = False, counted: bool = False, workers: Workers | None = None
) -> Session:
    """Load a state file and prepare its live systems; nothing is asked yet.

    Parameters
    ----------
    path : `pathlib.Path`
        The state file.
    variables : `Mapping`
        Values that override its ``[vars]``.
    deep : `bool`
        Whether members are always listed.
    counted : `bool`
        Whether to count SQL statements and Rucio calls.
    workers : `Workers`, optional
        Where bulk work is done; one process by default.

    Raises
    ------
    reconciler.errors.ReconcileError
        If the state file is wrong.
    """
    started = time.monotonic()
    context = Context(policy=ComparisonPolicy(deep=deep), workers=workers or Workers())
    with context.phase("load"):
        state = load(path, variables)
    repository = find_repository(state)
    if repository is not None:
        from reconciler.systems.butler.connection import import_butler
        from reconciler.systems.butler.repository import Repository

        with context.phase("import lsst.daf.butler"), prefetch_exports(find_export_files(state)):
            import_butler()
        context.repository = Repository(repository.uri, on_statement=context.stats.count_statement if counted else None)
    with context.phase("load"):
        graph = build_graph(state)
        context.owners = {token: str(address) for token, address in graph.owners.items()}
    if state.rucio is not None:
        from reconciler.systems.rucio.connection import RucioConnectionSettings
        from reconciler.systems.rucio.server import RucioServer

        settings = RucioConnectionSettings(state.rucio.config, state.rucio.account, state.rucio.timeout)
        context.server = RucioServer(settings)
        context.rse = state.rucio.rse
        if counted:
            context.server.counted = context.stats.count_calls
    return Session(state, graph, context, started)


def find_repository(state: StateFile) -> RepositorySpec | None:
    """Return the [repository] table of a state."""
    return next((spec for spec in state.resources.values() if isinstance(spec, RepositorySpec)), None)


def find_export_files(state: StateFile) -> list[str]:
    """Return the paths of the export files that the [import] tables of a state name."""
    return [spec.export_file for spec in state.resources.values() if isinstance(spec, ImportSpec)]


def select(state: StateFile, patterns: Sequence[str]) -> set[Address]:
    """Return the addresses that match any of some globs, such as ``chain.*`` or ``rucio_dataset."raw:*"``; all for none.

    Raises
    ------
    reconciler.errors.StateError
        If a glob matches nothing.
    """
    if not patterns:
        return set(state.resources)
    names = {address.plain: address for address in state.resources}
    found: set[Address] = set()
    for pattern in patterns:
        plain = pattern.replace('"', "")
        matched = {names[name] for name in fnmatch.filter(names, plain)}
        if not matched:
            raise StateError(f"{state.path.name}: no address matches {pattern}{did_you_mean(plain, names)}")
        found |= matched
    return found

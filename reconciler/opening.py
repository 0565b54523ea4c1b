"""Open a session: load a state file, and prepare its live systems without asking them anything."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from reconciler.engine.graph import build_graph
from reconciler.errors import StateError
from reconciler.files.export_prefetch import prefetch_exports
from reconciler.kinds.dataset_type import DatasetTypeSpec
from reconciler.kinds.repository import find_repository
from reconciler.kinds.shared.coming_names import find_coming_names, find_export_files
from reconciler.session import Session, ignore_text
from reconciler.state.loader import load
from reconciler.state.variable_sources import Variables
from reconciler.systems.context import Context
from reconciler.systems.policy import ComparisonPolicy
from reconciler.systems.stats import Stats
from reconciler.systems.workers import Workers


def open_session(
    path: str | os.PathLike[str],
    variables: Variables | None = None,
    *,
    deep: bool = False,
    quick: bool = False,
    jobs: int = 1,
    parsl: str | None = None,
    counted: bool = False,
    notify: Callable[[str], None] = ignore_text,
    report_phase: Callable[[str], None] = ignore_text,
) -> Session:
    """Load a state file and prepare its live systems; only the repository index is read, for what may be a label.

    Parameters
    ----------
    path : path-like
        The state file.
    variables : `Mapping` or `reconciler.state.variable_sources.Overrides`, optional
        Values that override its ``[vars]``.
    deep : `bool`
        Whether proofs of earlier listings are ignored, and the datastore's records are compared for any number of members.
    quick : `bool`
        Whether many members are compared by count only.
    jobs : `int`
        Number of processes for bulk work. With more than one, the program needs the usual ``if __name__ == "__main__":``.
    parsl : `str`, optional
        Python file with a Parsl ``config``; bulk work runs on its workers.
    counted : `bool`
        Whether to count SQL statements and Rucio calls.
    notify : callable
        Called with notices, such as who holds a lock that is waited for.
    report_phase : callable
        Called with the name of each phase when it begins: ``load``, ``import lsst.daf.butler``, ``plan``, or the table whose
        resources are being observed.

    Returns
    -------
    session : `Session`
        To be used in a ``with`` statement.

    Raises
    ------
    reconciler.errors.StateError
        If the state file, a file that it names, or the environment variable ``RECONCILE_DATABASE_TIMEOUT`` is invalid, or both
        deep and quick are asked for.
    reconciler.errors.PlanError
        If its tables can't be ordered.
    reconciler.errors.ObserveError
        If the Butler can't be imported, or the repository index that may explain a label can't be read.
    reconciler.errors.PluginError
        If a kind of an installed package can't be loaded, or fails.
    """
    if deep and quick:
        raise StateError("--deep and --quick: give only one of them")
    started = time.monotonic()
    stats = Stats(report_phase=report_phase)
    context = Context(policy=ComparisonPolicy(deep=deep, quick=quick), workers=Workers(jobs, parsl), stats=stats)
    with context.phase("load"):
        state = load(Path(path), variables)
    repository = find_repository(state)
    if repository is not None:
        from reconciler.systems.butler.repository import Repository
        from reconciler.systems.butler.repository_index import locate_repository
        from reconciler.systems.postgresql import find_statement_limit

        find_statement_limit()  # a wrong value is an error of its own, not one of opening the repository
        on_statement = context.stats.count_statement if counted else None
        uri = locate_repository(repository.uri, state.path.absolute().parent)
        context.repository = Repository(uri, on_statement, may_create=repository.may_create)
        context.repository.connection.label = repository.uri if "/" not in repository.uri else ""
        context.repository.expect_seed(repository.seed_config)
        with prefetch_exports(find_export_files(state)) as parsers:
            if parsers:  # otherwise, it is imported while Rucio is asked
                context.prepare()
    with context.phase("load"):
        graph = build_graph(state)
        context.owners = {token: str(address) for token, address in graph.owners.items()}
        if context.repository is not None:
            names = [token.partition(":")[2] for token in graph.tokens if token.startswith("collection:")]
            context.repository.expect_collections(names)
        context.coming = find_coming_names(state, graph.tokens)
        context.storage_classes = {
            address.name: spec.storage_class for address, spec in state.resources.items() if isinstance(spec, DatasetTypeSpec)
        }
    if state.rucio is not None:
        from reconciler.systems.rucio.connection import RucioConnectionSettings
        from reconciler.systems.rucio.server import RucioServer

        settings = RucioConnectionSettings(state.rucio.config, state.rucio.account, state.rucio.timeout)
        context.server = RucioServer(settings)
        context.rse = state.rucio.rse
        if counted:
            context.server.counted = context.stats.count_calls
    return Session(state, graph, context, started, notify)

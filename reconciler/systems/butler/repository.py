"""A Butler repository as the rest of the program sees it: its connection and its readers behind one object."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from reconciler.systems.butler.connection import ButlerConnection, RepositoryStatus
from reconciler.systems.butler.counts import DatasetCounter
from reconciler.systems.butler.datasets import DatasetReader
from reconciler.systems.butler.definitions import DefinitionReader
from reconciler.systems.butler.observations import ObservationReader

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef as DatasetRef  # for annotations in kinds, which don't import lsst


class Repository:
    """A Butler repository that may not exist yet, if it may be created; then everything in it is empty.

    It delegates to a `ButlerConnection`, which owns the cache of answers, and to the readers that share it:
    `DefinitionReader`, `ObservationReader`, `DatasetCounter` and `DatasetReader`.

    Parameters
    ----------
    uri : `str`
        Location of the repository, or its label in the repository index.
    on_statement : callable, optional
        Called without arguments for each SQL statement that is sent to its registry.
    may_create : `bool`
        Whether the repository may be absent; otherwise asking it anything is an error then.
    """

    def __init__(self, uri: str, on_statement: Callable[[], None] | None = None, *, may_create: bool = True) -> None:
        self.connection = connection = ButlerConnection(uri, on_statement, may_create=may_create)
        self.uri = uri
        self.config = connection.config
        self.open = connection.open
        self.analyze = connection.analyze
        self.forget = connection.forget
        self.close = connection.close

        definitions = DefinitionReader(connection)
        self._definitions = definitions
        self.collections = definitions.collections
        self.matching_collections = definitions.matching_collections
        self.flattened = definitions.flattened
        self.dataset_types = definitions.dataset_types
        self.required = definitions.required
        self.check_storage_class = definitions.check_storage_class
        self.check_expression = definitions.check_expression
        self.universe = definitions.universe
        self.records = definitions.records
        self.record_values = definitions.record_values
        self.count_records = definitions.count_records
        self.has_field = definitions.has_field
        self.make_record = definitions.make_record

        observations = ObservationReader(connection, definitions)
        self.exposures = observations.exposures
        self.nights = observations.nights
        self.visit_definitions = observations.visit_definitions
        self.visit_memberships = observations.visit_memberships

        counter = DatasetCounter(connection, definitions)
        self.count = counter.count
        self.count_in = counter.count_in
        self.count_in_ranges = counter.count_in_ranges
        self.count_tagged = counter.count_tagged

        datasets = DatasetReader(connection, definitions)
        self.data_ids = datasets.data_ids
        self.refs = datasets.refs
        self.refs_in = datasets.refs_in
        self.members = datasets.members
        self.members_where = datasets.members_where
        self.registered_after = datasets.registered_after
        self.paths = datasets.paths
        self.recorded_paths = datasets.recorded_paths
        self.comparable_path = datasets.comparable_path
        self.files = datasets.files
        self.certifications = datasets.certifications

    def expect_collections(self, names: Iterable[str]) -> None:
        """Read these collections at once when the first one is asked for; others are read one by one."""
        self._definitions.expected_collections = frozenset(names)

    def expect_seed(self, path: str | None) -> None:
        """Name the configuration with which the repository will be created, if it doesn't exist."""
        self._definitions.seed_config = path

    @property
    def status(self) -> RepositoryStatus:
        """Whether the repository is absent, ready, or left half-made by an interrupted creation."""
        return self.connection.status

    @property
    def ready(self) -> bool:
        """Whether the repository can be queried."""
        return self.connection.ready

    @property
    def is_server(self) -> bool:
        """Whether it is a Butler server, which only answers questions."""
        return self.connection.is_server

    def asked_since(self, clock: Callable[[], datetime.datetime]) -> datetime.datetime:
        """Return the time at which this was first called since `forget`: cached answers are older by seconds at most."""
        return self.connection.cached("asked since", clock)

    @property
    def identity(self) -> str:
        """The location of the registry and its namespace, without credentials; empty unless the repository is ready."""
        return self.connection.identity

    @property
    def many_writers(self) -> bool:
        """Whether several processes may write at the same time; SQLite allows one writer."""
        return self.connection.many_writers

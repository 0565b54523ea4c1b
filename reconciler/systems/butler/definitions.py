"""The definitions of a repository: collections, dataset types and dimension records, each read in one query.

A repository that doesn't exist yet has none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.errors import ObserveError, StateError, did_you_mean
from reconciler.systems.butler.collection_catalog import WILDCARDS, CollectionCatalog
from reconciler.systems.butler.errors import translate_read_errors
from reconciler.systems.butler.queries import suggest_identifier

if TYPE_CHECKING:
    from reconciler.systems.butler.connection import ButlerConnection


class DatasetTypeFacts(NamedTuple):
    """The definition of a dataset type; its dimensions are the required ones, sorted."""

    dimensions: tuple[str, ...]
    storage_class: str
    is_calibration: bool


class DefinitionReader:
    """Reads the definitions of one repository; before it exists there are none."""

    def __init__(self, connection: ButlerConnection) -> None:
        self.connection = connection
        self.expected_collections: frozenset[str] = frozenset()
        self.seed_config: str | None = None
        """Configuration with which the repository will be created, which may define storage classes."""

    def collections(self) -> CollectionCatalog:
        """Return all collections by name; each is read when it is first asked for."""
        return self.connection.cached("collections", lambda: CollectionCatalog(self.connection, self.expected_collections))

    def dataset_types(self) -> Mapping[str, DatasetTypeFacts]:
        """Return all dataset types by name."""
        return self.connection.cached("dataset types", self._read_dataset_types)

    def _read_dataset_types(self) -> Mapping[str, DatasetTypeFacts]:
        if not self.connection.ready:
            return {}
        return {
            found.name: DatasetTypeFacts(tuple(sorted(found.dimensions.required)), found.storageClass_name, found.isCalibration())
            for found in self.connection.open().registry.queryDatasetTypes("*")
        }

    def required(self, dimensions: Iterable[str]) -> tuple[str, ...]:
        """Return the dimensions that these dimensions require, sorted.

        Raises
        ------
        reconciler.errors.StateError
            If one is not in the repository's universe, or in the Butler's own before the repository exists.
        """
        universe = self._coming_universe()
        known = universe.dimensions.names
        unknown = sorted(set(dimensions) - set(known))
        if unknown:
            raise StateError([f'unknown dimension "{name}"{did_you_mean(name, known)}' for name in unknown])
        with translate_read_errors(self.connection.uri):
            return tuple(sorted(universe.conform(dimensions).required))

    def check_storage_class(self, name: str) -> None:
        """Check that a storage class exists; before the repository does, also those of its seed configuration exist.

        Raises
        ------
        reconciler.errors.StateError
            If there is none.
        """
        from lsst.daf.butler import StorageClassFactory

        if self.connection.ready:
            self.connection.open()  # adds the storage classes of the repository's configuration to those of the Butler
        factory = StorageClassFactory()
        if name not in factory and name not in self._configured_storage_classes():
            known = factory._storageClasses  # there is no public list
            raise StateError(f'unknown storage class "{name}"{did_you_mean(name, known)}')

    def _configured_storage_classes(self) -> Collection[str]:
        """Return the storage classes that the seed configuration defines, or that a server is known to have."""
        if self.connection.is_server:  # it doesn't return its own configuration
            return {found.storage_class for found in self.dataset_types().values()}
        if self.connection.ready or self.seed_config is None:
            return ()
        from lsst.daf.butler import Config

        with translate_read_errors(self.seed_config, "the seed configuration"):
            return list(Config(self.seed_config).get("storageClasses", {}))

    def check_expression(self, where: str) -> None:
        """Check that a query expression is valid, without querying the database.

        Raises
        ------
        reconciler.errors.StateError
            If it isn't.
        """
        from lsst.daf.butler import InvalidQueryError

        if not where:
            return
        try:
            with translate_read_errors(self.connection.uri):
                self._parse_expression(where)
        except ObserveError as error:
            if not isinstance(error.__cause__, InvalidQueryError):
                raise
            reason = " ".join(str(error.__cause__).split()).removesuffix(".")
            universe = self._coming_universe()
            raise StateError(f'where = "{where}": {reason}{suggest_identifier(where, universe)}') from error

    def _parse_expression(self, where: str) -> None:
        if self.connection.ready:
            with self.connection.open().query() as query:
                query.where(where)  # which parses it, and knows the universe of the repository
            return
        # There is no public way to parse an expression without a repository.
        from lsst.daf.butler.queries._expression_strings import convert_expression_string_to_predicate
        from lsst.daf.butler.queries._identifiers import IdentifierContext

        universe = self._coming_universe()
        identifiers = IdentifierContext(universe.empty, frozenset())
        convert_expression_string_to_predicate(where, context=identifiers, universe=universe)

    def _coming_universe(self) -> Any:
        """Return the dimension universe of the repository, or the one that it will get."""
        if self.connection.ready:
            return self.universe()
        from lsst.daf.butler import DimensionUniverse

        return DimensionUniverse()

    def matching_collections(self, patterns: Iterable[str]) -> list[str]:
        """Return the collections that match any pattern; a pattern without wildcards is returned whether it exists or not."""
        found: dict[str, None] = {}
        for pattern in patterns:
            if WILDCARDS.isdisjoint(pattern) or pattern in self.collections():  # that may be its name
                found[pattern] = None
            else:
                found |= dict.fromkeys(self.collections().matching(pattern))
        return list(found)

    def flattened(self, name: str) -> list[str]:
        """Return the collections that a search of this collection visits, in order and without chains; empty if it is absent."""
        collections = self.collections()
        found: dict[str, None] = {}
        stack, visited = [name], set()
        while stack:
            collection = stack.pop()
            facts = collections.get(collection)
            if facts is None or collection in visited:
                continue
            visited.add(collection)
            if facts.type == "CHAINED":
                stack.extend(reversed(facts.children))
            else:
                found[collection] = None
        return list(found)

    def searchable(self, dataset_type: str, patterns: Iterable[str]) -> list[str]:
        """Return the flattened collections that can contain a dataset type; querying an absent type or collection would fail."""
        if dataset_type not in self.dataset_types():
            return []
        collections = self.collections()
        names = dict.fromkeys(name for found in self.matching_collections(patterns) for name in self.flattened(found))
        return [name for name in names if dataset_type in collections[name].dataset_types]

    def universe(self) -> Any:
        """Return the `lsst.daf.butler.DimensionUniverse`, or None if the repository doesn't exist."""
        return self.connection.cached("universe", lambda: self.connection.open().dimensions if self.connection.ready else None)

    def has_field(self, element: str, field: str) -> bool:
        """Return True if the records of a dimension have a field in the repository's universe, or there is no repository yet."""
        return self.universe() is None or field in self.find_fields(element)

    def find_fields(self, element: str) -> frozenset[str]:
        """Return the fields that the records of a dimension have in the universe of the repository, which exists.

        Raises
        ------
        reconciler.errors.ObserveError
            If its universe has no such dimension, as that of another project.
        """
        return frozenset(self._find_element(element).RecordClass.fields.names)

    def _find_element(self, name: str) -> Any:
        """Return a dimension of the repository, which exists.

        Raises
        ------
        reconciler.errors.ObserveError
            If its universe has none of this name, as that of another project.
        """
        universe = self.universe()
        if name not in universe.elements.names:
            text = f"its dimension universe, version {universe.version} of {universe.namespace}, has no dimension {name}"
            hint = "only tables about dimensions that it has can be compared with this repository"
            raise ObserveError(f"Butler {self.connection.uri}: {text}", (hint,))
        return universe[name]

    def make_record(self, element: str, values: Mapping[str, Any]) -> Any:
        """Build a `lsst.daf.butler.DimensionRecord` for comparison, without writing it; the repository must exist."""
        with translate_read_errors(self.connection.uri):
            return self._find_element(element).RecordClass(**values)

    def records(self, element: str, where: str = "", **data_id: Any) -> Sequence[Any]:
        """Return the dimension records that match a data ID and a query expression, in no particular order."""

        def read() -> Sequence[Any]:
            if not self.connection.ready:
                return []
            self._find_element(element)
            with self.connection.open().query() as query:
                chosen = query.where(data_id, where) if where else query.where(data_id)
                return list(chosen.dimension_records(element))

        return self.connection.cached(("records", element, where, tuple(sorted(data_id.items()))), read)

    def record_values(self, element: str, field: str, where: str = "", **data_id: Any) -> Mapping[Any, Any]:
        """Return one field of the dimension records that match, by their ID; in a third of the time of reading whole records."""

        def read() -> Mapping[Any, Any]:
            if not self.connection.ready:
                return {}
            self._find_element(element)
            with self.connection.open().query() as query:
                chosen = query.where(data_id, where) if where else query.where(data_id)
                if field in self.connection.open().dimensions.dimensions.names:  # such as the day_obs of an exposure
                    return {row[element]: row[field] for row in chosen.general([element, field], find_first=False)}
                rows = chosen.general([element], dimension_fields={element: {field}}, find_first=False)
                return {row[element]: row[f"{element}.{field}"] for row in rows}

        return self.connection.cached(("record values", element, field, where, tuple(sorted(data_id.items()))), read)

    def count_records(self, element: str, where: str = "", **data_id: Any) -> int:
        """Count the dimension records that match a data ID and a query expression."""

        def read() -> int:
            if not self.connection.ready:
                return 0
            self._find_element(element)
            with self.connection.open().query() as query:
                chosen = query.where(data_id, where) if where else query.where(data_id)
                return int(chosen.dimension_records(element).count())

        return self.connection.cached(("count records", element, where, tuple(sorted(data_id.items()))), read)

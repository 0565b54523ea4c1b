"""Counts of datasets: the database counts in hundredths of a second what takes many to list."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.systems.butler.errors import translate_read_errors
from reconciler.systems.butler.queries import find_ranges, from_runs, in_ranges, with_bound_values, with_value_range

if TYPE_CHECKING:
    from lsst.daf.butler.queries import Query

    from reconciler.systems.butler.connection import ButlerConnection
    from reconciler.systems.butler.definitions import DefinitionReader

COUNT_CHUNK = 10_000
"""Values bound in one count."""
MOST_RANGES = 100
"""Ranges of values in one count."""
MOST_RUNS = 1_000
"""RUN collections bound in one count."""


class DatasetCounter:
    """Counts the datasets of one repository."""

    def __init__(self, connection: ButlerConnection, definitions: DefinitionReader) -> None:
        self.connection = connection
        self.definitions = definitions

    def count(self, dataset_type: str, collections: Iterable[str], where: str = "") -> int:
        """Count the datasets of a type in collections, chains and wildcards included, that match a query expression.

        A dataset counts once for each collection that contains it.
        """
        names = self.definitions.searchable(dataset_type, collections)

        def read() -> int:
            if not names:
                return 0
            if not where and self._find_types(names) == ["TAGGED"]:
                return self._count_data_ids(dataset_type, names)
            with self.connection.open().query() as query:
                return self._count_found(query.where(where) if where else query, dataset_type, names)

        return self.connection.cached(("count", dataset_type, tuple(names), where), read)

    def count_tagged(
        self,
        dataset_type: str,
        collection: str,
        sources: Iterable[str],
        where: str = "",
    ) -> int | None:
        """Count the members of a TAGGED collection that are in some other collections and match a query expression.

        Returns
        -------
        count : `int` or `None`
            None if the datasets of these collections can't be counted so, because they are not few RUN collections.
        """
        names = self.definitions.searchable(dataset_type, [collection])
        runs = self.definitions.searchable(dataset_type, sources)
        if len(runs) > MOST_RUNS or not set(self._find_types(runs)) <= {"RUN"}:
            return None
        if not names or not runs:
            return 0
        expression, runs_bound = from_runs(dataset_type, runs, where)
        with translate_read_errors(self.connection.uri):
            return self._count_data_ids(dataset_type, names, expression, runs_bound)

    def _count_data_ids(
        self, dataset_type: str, names: Sequence[str], where: str = "", bind: Mapping[str, Any] | None = None
    ) -> int:
        """Count by data ID, which a TAGGED collection contains once: that doesn't join each dataset's run unless asked for it.

        The range of detectors excludes nothing. It makes SQLite begin with the collection: SQLite assumes that all collections
        are equally large, and would begin with all exposures.
        """
        dimensions = self.definitions.dataset_types()[dataset_type].dimensions
        detectors: dict[str, list[int]] = {}
        if {"instrument", "detector"} < set(dimensions):
            for record in self.definitions.records("detector"):
                detectors.setdefault(record.instrument, []).append(record.id)
        ranges = [with_value_range(instrument, "detector", ids) for instrument, ids in detectors.items()]
        count = 0
        for value_range in ranges or [""]:
            with self.connection.open().query() as query:
                chosen = query.join_dataset_search(dataset_type, names)
                for expression in filter(None, (value_range, where)):
                    chosen = chosen.where(expression, bind=dict(bind or {}) if expression is where else {})
                count += int(chosen.data_ids(dimensions).count())
        return count

    def count_in(
        self, dataset_type: str, collections: Iterable[str], dimension: str, values: Iterable[Any], instrument: str
    ) -> int:
        """Count the datasets that have one of these values of a dimension of their type."""
        ordered = sorted(values)
        names = self.definitions.searchable(dataset_type, collections)

        def read() -> int:
            count = 0
            for start in range(0, len(ordered) if names else 0, COUNT_CHUNK):
                where, bind = with_bound_values(instrument, dimension, ordered[start : start + COUNT_CHUNK])
                with self.connection.open().query() as query:
                    count += self._count_found(query.where(where, bind=bind), dataset_type, names)
            return count

        key = ("count in", dataset_type, tuple(names), dimension, tuple(ordered), instrument)
        return self.connection.cached(key, read)

    def count_in_ranges(self, dataset_type: str, collection: str, dimension: str, values: Collection[Any]) -> int | None:
        """Count the datasets that have one of these values of a dimension of their type.

        Returns
        -------
        count : `int` or `None`
            None if these are not natural numbers, or form more than `MOST_RANGES` ranges, so that they can't be counted so.
        """
        names = self.definitions.searchable(dataset_type, [collection])
        ranges = find_ranges(values) if set(map(type, values)) == {int} and min(values) >= 0 else []
        if not 0 < len(ranges) <= MOST_RANGES:
            return None
        if not names:
            return 0
        with translate_read_errors(self.connection.uri), self.connection.open().query() as query:
            return self._count_found(query.where(in_ranges(dimension, ranges)), dataset_type, names)

    def _count_found(self, query: Query, dataset_type: str, names: Sequence[str]) -> int:
        """Count the datasets that a query finds; in one RUN collection by data ID, which doesn't join each dataset."""
        if self._find_types(names) != ["RUN"]:
            return int(query.datasets(dataset_type, names, find_first=False).count())
        dimensions = self.definitions.dataset_types()[dataset_type].dimensions
        return int(query.join_dataset_search(dataset_type, names).data_ids(dimensions).count())

    def _find_types(self, names: Iterable[str]) -> list[str]:
        return [self.definitions.collections()[name].type for name in names]

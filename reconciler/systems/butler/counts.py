"""How many datasets there are: counted by the database, which takes hundredths of a second where a list takes many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.systems.butler.definitions import Definitions

COUNT_CHUNK = 10_000
"""Values bound in one count."""


@dataclass
class Counts(Definitions):
    """A repository that may not exist yet, and the numbers of its datasets."""

    def _searched(self, dataset_type: str, collections: Iterable[str]) -> list[str]:
        """Leave out collections that can't hold the type: the query would fail on a type or collection that is not there."""
        if dataset_type not in self.dataset_types():
            return []
        known = self.collections()
        wanted = self.matching_collections(collections)
        names = dict.fromkeys(name for collection in wanted for name in self.flattened(collection))
        return [name for name in names if dataset_type in known[name].dataset_types]

    def count(self, dataset_type: str, collections: Iterable[str], where: str = "", *, find_first: bool = False) -> int:
        """Count datasets.

        Parameters
        ----------
        dataset_type : `str`
            Of which type.
        collections : iterable of `str`
            Where; chains are searched through.
        where : `str`
            A Butler query expression.
        find_first : `bool`
            Whether a data ID counts once however many collections have it.

        Returns
        -------
        count : `int`
            From the registry.
        """
        names = self._searched(dataset_type, collections)

        def read() -> int:
            if not names:
                return 0
            if not where and [self.collections()[name].type for name in names] == ["TAGGED"]:
                return self._count_tagged(dataset_type, names)
            with self.open().query() as query:
                if where:
                    query = query.where(where)
                return int(query.datasets(dataset_type, names, find_first=find_first).count())

        found: int = self._keep(("count", dataset_type, tuple(names), where, find_first), read)
        return found

    def _count_tagged(self, dataset_type: str, names: Sequence[str]) -> int:
        """Count by data ID, which is in a TAGGED collection once: that does not look up each dataset's run.

        That the detector is one of the instrument's excludes nothing, and lets SQLite begin with the collection: it believes
        that all collections are equally large, and would begin with all exposures.
        """
        dimensions = self.dataset_types()[dataset_type].dimensions
        detectors: dict[str, list[int]] = {}
        if {"instrument", "detector"} < set(dimensions):
            for record in self.records("detector"):
                detectors.setdefault(record.instrument, []).append(record.id)
        wheres = [f"instrument = '{name}' AND detector IN ({min(ids)}..{max(ids)})" for name, ids in detectors.items()]
        count = 0
        for where in wheres or [""]:
            with self.open().query() as query:
                chosen = query.where(where) if where else query
                count += int(chosen.join_dataset_search(dataset_type, names).data_ids(dimensions).count())
        return count

    def count_in(
        self, dataset_type: str, collections: Iterable[str], dimension: str, values: Iterable[Any], instrument: str
    ) -> tuple[int, int]:
        """Count the datasets of some values of a dimension, and the values that have any.

        Parameters
        ----------
        dataset_type, collections, dimension, values, instrument
            As for `refs_in`; the dimension may be one that the type's own dimensions only lead to, as exposures do to visits.

        Returns
        -------
        datasets, values : `int`
            How many.
        """
        wanted = sorted(values)
        names = self._searched(dataset_type, collections)

        def read() -> tuple[int, int]:
            datasets = having = 0
            for start in range(0, len(wanted) if names else 0, COUNT_CHUNK):
                bind = {"chosen": wanted[start : start + COUNT_CHUNK], "camera": instrument}
                with self.open().query() as query:
                    chosen = query.where(f"instrument = camera AND {dimension} IN (chosen)", bind=bind)
                    datasets += int(chosen.datasets(dataset_type, names, find_first=False).count())
                    having += int(chosen.join_dataset_search(dataset_type, names).data_ids([dimension]).count())
            return datasets, having

        found: tuple[int, int] = self._keep(("count in", dataset_type, tuple(names), dimension, tuple(wanted)), read)
        return found

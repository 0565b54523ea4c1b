"""What a repository defines: collections, dataset types, dimension records; each read in one query."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.state.braces import is_glob
from reconciler.systems.butler.connection import Opening
from reconciler.systems.butler.errors import reading


class CollectionFacts(NamedTuple):
    """What a repository keeps of a collection.

    Parameters
    ----------
    type : `str`
        RUN, TAGGED, CALIBRATION or CHAINED.
    children : tuple of `str`
        Of a chain.
    doc : `str`
        Its documentation.
    dataset_types : frozenset of `str`
        What may be in it.
    """

    type: str
    children: tuple[str, ...]
    doc: str
    dataset_types: frozenset[str]


class DatasetTypeFacts(NamedTuple):
    """The definition of a dataset type.

    Parameters
    ----------
    dimensions : tuple of `str`
        The required ones, sorted.
    storage_class : `str`
        Its name.
    is_calibration : `bool`
        Whether it may be certified.
    """

    dimensions: tuple[str, ...]
    storage_class: str
    is_calibration: bool


@dataclass
class Definitions(Opening):
    """The definitions of a repository; none where there is no repository."""

    def collections(self) -> Mapping[str, CollectionFacts]:
        """Read all collections, in one query.

        Returns
        -------
        collections : mapping
            By name.
        """
        found: Mapping[str, CollectionFacts] = self._keep("collections", self._collections)
        return found

    def _collections(self) -> dict[str, CollectionFacts]:
        if not self.ready:
            return {}
        infos = self.open().collections.query_info("*", include_chains=True, include_summary=True, include_doc=True)
        return {
            info.name: CollectionFacts(info.type.name, tuple(info.children), info.doc or "", frozenset(info.dataset_types or ()))
            for info in infos
        }

    def dataset_types(self) -> Mapping[str, DatasetTypeFacts]:
        """Read all dataset types, in one query.

        Returns
        -------
        dataset_types : mapping
            By name.
        """
        found: Mapping[str, DatasetTypeFacts] = self._keep("dataset types", self._dataset_types)
        return found

    def _dataset_types(self) -> dict[str, DatasetTypeFacts]:
        if not self.ready:
            return {}
        return {
            found.name: DatasetTypeFacts(tuple(sorted(found.dimensions.required)), found.storageClass_name, found.isCalibration())
            for found in self.open().registry.queryDatasetTypes("*")
        }

    def required(self, dimensions: Iterable[str]) -> tuple[str, ...]:
        """Complete dimensions by those they imply the need of.

        Parameters
        ----------
        dimensions : iterable of `str`
            As somebody wrote them.

        Returns
        -------
        required : tuple of `str`
            Sorted; as written where the repository does not exist yet.

        Raises
        ------
        reconciler.errors.ObserveError
            If one is not in the repository's universe.
        """
        if not self.ready:
            return tuple(sorted(dimensions))
        with reading(self.uri):
            return tuple(sorted(self.open().dimensions.conform(dimensions).required))

    def matching_collections(self, patterns: Iterable[str]) -> list[str]:
        """Find the collections that patterns name.

        Parameters
        ----------
        patterns : iterable of `str`
            Names with wildcards; one without is given whether it exists or not.

        Returns
        -------
        names : `list` [`str`]
            Each once.
        """
        found = (
            name
            for pattern in patterns
            for name in (sorted(fnmatch.filter(self.collections(), pattern)) if is_glob(pattern) else [pattern])
        )
        return list(dict.fromkeys(found))

    def flattened(self, name: str) -> list[str]:
        """Give the collections that a search of one looks in, in order.

        Parameters
        ----------
        name : `str`
            A collection; perhaps a chain.

        Returns
        -------
        names : `list` [`str`]
            No chain among them; empty if there is no such collection.
        """
        all_of_them = self.collections()
        found: dict[str, None] = {}
        stack, seen = [name], set()
        while stack:
            one = stack.pop()
            facts = all_of_them.get(one)
            if facts is None or one in seen:
                continue
            seen.add(one)
            if facts.type == "CHAINED":
                stack.extend(reversed(facts.children))
            else:
                found[one] = None
        return list(found)

    def universe(self) -> Any:
        """Give the repository's dimension universe.

        Returns
        -------
        universe : `lsst.daf.butler.DimensionUniverse` or `None`
            `None` where there is no repository.
        """
        return self._keep("universe", lambda: self.open().dimensions if self.ready else None)

    def make_record(self, element: str, values: Mapping[str, Any]) -> Any:
        """Make a dimension record, without writing it.

        Parameters
        ----------
        element : `str`
            A dimension.
        values : mapping
            Its columns.

        Returns
        -------
        record : `lsst.daf.butler.DimensionRecord`
            To be compared.
        """
        with reading(self.uri):
            return self.universe()[element].RecordClass(**values)

    def records(self, element: str, where: str = "", **data_id: Any) -> Sequence[Any]:
        """Read dimension records.

        Parameters
        ----------
        element : `str`
            A dimension, or a join of dimensions.
        where : `str`
            A Butler query expression.
        **data_id
            Which; all of them if empty.

        Returns
        -------
        records : sequence of `lsst.daf.butler.DimensionRecord`
            In no order.
        """

        def read() -> list[Any]:
            if not self.ready:
                return []
            with self.open().query() as query:
                chosen = query.where(data_id, where) if where else query.where(data_id)
                return list(chosen.dimension_records(element))

        found: Sequence[Any] = self._keep(("records", element, where, tuple(sorted(data_id.items()))), read)
        return found

    def count_records(self, element: str, where: str = "", **data_id: Any) -> int:
        """Count dimension records.

        Parameters
        ----------
        element, **data_id
            As for `records`.
        where : `str`
            A Butler query expression.

        Returns
        -------
        count : `int`
            From the registry.
        """

        def read() -> int:
            if not self.ready:
                return 0
            with self.open().query() as query:
                chosen = query.where(data_id, where) if where else query.where(data_id)
                return int(chosen.dimension_records(element).count())

        found: int = self._keep(("count records", element, where, tuple(sorted(data_id.items()))), read)
        return found

"""A Butler repository as kinds see it: its definitions, and here its datasets, in as few queries as it takes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.live.definitions import Definitions
from reconciler.live.faults import reading

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

COUNT_CHUNK = 10_000
"""Values bound in one count."""
BIND_CHUNK = 1000
"""Values bound in one IN; SQLite allows 32,766 variables in a statement."""


class Certification(NamedTuple):
    """A dataset that is valid for some time.

    Parameters
    ----------
    collection, dataset_type, id : `str`
        Where, of what, which UUID.
    begin, end : `int`
        TAI nanoseconds, as the registry keeps them.
    """

    collection: str
    dataset_type: str
    id: str
    begin: int
    end: int


class StoredFile(NamedTuple):
    """What a datastore recorded of a file.

    Parameters
    ----------
    id, uri : `str`
        Of which dataset, and where.
    size : `int`
        Bytes; -1 where none is recorded.
    checksum : `str` or `None`
        As recorded.
    """

    id: str
    uri: str
    size: int
    checksum: str | None


@dataclass
class Repository(Definitions):
    """A repository that may not exist yet; then everything in it is empty."""

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

    def data_ids(
        self, dataset_type: str, collections: Iterable[str], dimensions: Sequence[str], where: str = ""
    ) -> set[tuple[Any, ...]]:
        """List the data IDs of datasets.

        Parameters
        ----------
        dataset_type, collections, where
            As for `count`.
        dimensions : sequence of `str`
            Which dimensions to give, in which order.

        Returns
        -------
        data_ids : `set` of tuple
            One tuple of values for each.
        """
        names = self._searched(dataset_type, collections)

        def read() -> set[tuple[Any, ...]]:
            if not names:
                return set()
            with self.open().query() as query:
                if where:
                    query = query.where(where)
                rows = query.join_dataset_search(dataset_type, names).data_ids(dimensions)
                return {tuple(row[dimension] for dimension in dimensions) for row in rows}

        key = ("data ids", dataset_type, tuple(names), tuple(dimensions), where)
        found: set[tuple[Any, ...]] = self._keep(key, read)
        return found

    def refs(
        self,
        dataset_type: str,
        collections: Iterable[str],
        where: str = "",
        bind: Mapping[str, Any] | None = None,
        *,
        with_records: bool = False,
    ) -> list[DatasetRef]:
        """List datasets.

        Parameters
        ----------
        dataset_type, collections, where
            As for `count`.
        bind : mapping, optional
            Values of names in ``where``.
        with_records : `bool`
            Whether data IDs come with their dimension records.

        Returns
        -------
        refs : `list` [`lsst.daf.butler.DatasetRef`]
            In no order.
        """
        names = self._searched(dataset_type, collections)
        if not names:
            return []
        with reading(self.uri), self.open().query() as query:
            if where:
                query = query.where(where, bind=dict(bind or {}))
            results = query.datasets(dataset_type, names, find_first=False)
            return list(results.with_dimension_records() if with_records else results)

    def members_where(self, dataset_type: str, collections: Iterable[str], where: str) -> list[DatasetRef]:
        """List datasets, once for each question.

        Parameters
        ----------
        dataset_type, collections, where
            As for `count`.

        Returns
        -------
        refs : `list` [`lsst.daf.butler.DatasetRef`]
            In no order.
        """
        names = tuple(collections)
        found: list[DatasetRef] = self._keep(
            ("members where", dataset_type, names, where), lambda: self.refs(dataset_type, names, where)
        )
        return found

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

    def refs_in(
        self, dataset_type: str, collections: Iterable[str], dimension: str, values: Iterable[Any], instrument: str
    ) -> list[DatasetRef]:
        """List the datasets of some values of a dimension, by IN with binds.

        Joining data coordinates does the same 50 times slower on a SQLite database that was not analysed.

        Parameters
        ----------
        dataset_type, collections
            As for `count`.
        dimension : `str`
            Such as exposure.
        values : iterable
            Its values.
        instrument : `str`
            Whose.

        Returns
        -------
        refs : `list` [`lsst.daf.butler.DatasetRef`]
            In no order.
        """
        wanted = sorted(values)
        found: list[DatasetRef] = []
        names = list(collections)
        for start in range(0, len(wanted), BIND_CHUNK):
            bind = {"chosen": wanted[start : start + BIND_CHUNK], "camera": instrument}
            found += self.refs(dataset_type, names, f"instrument = camera AND {dimension} IN (chosen)", bind)
        return found

    def members(self, dataset_type: str, collections: Iterable[str]) -> Mapping[str, DatasetRef]:
        """List the datasets of one type in some collections, in one query.

        Parameters
        ----------
        dataset_type, collections
            As for `count`.

        Returns
        -------
        datasets : mapping
            By UUID.
        """
        names = tuple(self._searched(dataset_type, collections))
        found: Mapping[str, DatasetRef] = self._keep(
            ("members", dataset_type, names), lambda: {str(ref.id): ref for ref in self.refs(dataset_type, names)}
        )
        return found

    def paths(self, refs: Iterable[DatasetRef]) -> dict[str, str]:
        """Ask the datastore where datasets are.

        Parameters
        ----------
        refs : iterable of `lsst.daf.butler.DatasetRef`
            Datasets.

        Returns
        -------
        uris : `dict`
            URI by UUID; those the datastore does not know are left out.
        """
        from reconciler.live.storage import plain

        asked = list(refs)
        if not asked:
            return {}
        with reading(self.uri):
            butler = self.open()
            ask = getattr(butler, "get_many_uris", None) or butler._datastore.getManyURIs  # 29.2025 has only the latter
            found = ask(asked, predict=False, allow_missing=True)
            return {str(ref.id): plain(str(uris.primaryURI)) for ref, uris in found.items() if uris.primaryURI is not None}

    def files(self, refs: Iterable[DatasetRef]) -> list[StoredFile]:
        """Ask the datastore what it recorded of the files of datasets.

        Parameters
        ----------
        refs : iterable of `lsst.daf.butler.DatasetRef`
            Datasets.

        Returns
        -------
        files : `list` [`StoredFile`]
            One for each file; a dataset of several parts has several, one that the datastore does not know has none.
        """
        found: list[StoredFile] = []
        asked = list(refs)
        with reading(self.uri):
            butler = self.open()
            for data in butler._datastore.export_records(asked).values() if asked else ():
                for id, tables in data.records.items():
                    for info in (info for table in tables.values() for info in table):
                        found.append(StoredFile(str(id), str(info.path), info.file_size, info.checksum))
        below_the_root = {file.id for file in found if "://" not in file.uri and not file.uri.startswith("/")}
        uris = self.paths(ref for ref in asked if str(ref.id) in below_the_root)
        return [file._replace(uri=uris[file.id]) if file.id in uris else file for file in found]

    def certifications(self, dataset_types: Iterable[str], collections: Iterable[str]) -> set[Certification]:
        """Read certifications, in one query for each dataset type.

        Parameters
        ----------
        dataset_types : iterable of `str`
            Of which types.
        collections : iterable of `str`
            CALIBRATION collections.

        Returns
        -------
        certifications : `set` [`Certification`]
            All of them.
        """
        asked = list(collections)
        found: set[Certification] = set()
        for dataset_type in dataset_types:
            names = self._searched(dataset_type, asked)
            key = ("certifications", dataset_type, tuple(names))
            found |= self._keep(key, functools.partial(self._certifications, dataset_type, names))
        return found

    def _certifications(self, dataset_type: str, names: list[str]) -> set[Certification]:
        if not names:
            return set()
        butler = self.open()
        dimensions = butler.get_dataset_type(dataset_type).dimensions
        with butler.query() as query:
            rows = query.join_dataset_search(dataset_type, names).general(
                dimensions,
                dataset_fields={dataset_type: {"dataset_id", "collection", "timespan"}},
                find_first=False,
            )
            return {
                Certification(
                    row[f"{dataset_type}.collection"],
                    dataset_type,
                    str(row[f"{dataset_type}.dataset_id"]),
                    *row[f"{dataset_type}.timespan"].nsec,
                )
                for row in rows
            }

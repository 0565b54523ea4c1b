"""A Butler repository as kinds see it: its definitions, its counts, and here lists of what it holds, in few queries."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.systems.butler.counts import Counts
from reconciler.systems.butler.errors import reading

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

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
class Repository(Counts):
    """A repository that may not exist yet; then everything in it is empty."""

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
        from reconciler.systems.storage import plain

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

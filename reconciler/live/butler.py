"""A Butler repository, read in as few queries as it takes; what was read is kept until something is changed."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from reconciler.errors import ObserveError, clean
from reconciler.live.faults import explain, reading
from reconciler.names import is_glob

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef

BIND_CHUNK = 1000
"""Values bound in one IN; SQLite allows 32,766 variables in a statement."""


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


@dataclass
class Repository:
    """A repository that may not exist yet; then everything in it is empty.

    Parameters
    ----------
    uri : `str`
        Its location, or its label in the repository index.
    """

    uri: str

    def __post_init__(self) -> None:
        self._open: dict[bool, Butler] = {}
        self._kept: dict[Any, Any] = {}

    # ------------------------------------------------------------------ opening

    def forget(self) -> None:
        """Drop what was read."""
        self._kept.clear()
        for butler in self._open.values():
            butler.registry.refresh()

    def close(self) -> None:
        """Close what was opened."""
        self.forget_connections()

    def forget_connections(self) -> None:
        """Drop connections, so that the next question opens the repository anew."""
        for butler in self._open.values():
            with contextlib.suppress(Exception):
                close = getattr(butler, "close", None)  # lsst-daf-butler 29 has none
                if close is not None:
                    close()
        self._open.clear()
        self._kept.clear()

    def _keep(self, key: Any, make: Any) -> Any:
        if key not in self._kept:
            with reading(self.uri):
                self._kept[key] = make()
        return self._kept[key]

    @property
    def status(self) -> Literal["absent", "half-made", "ready"]:
        """Whether the repository is there: a yaml without tables is what an interrupted creation leaves."""
        status: Literal["absent", "half-made", "ready"] = self._keep("status", self._look)
        return status

    def _look(self) -> Literal["absent", "half-made", "ready"]:
        prepare()
        from sqlalchemy.exc import OperationalError, ProgrammingError

        if not _has_config(self.uri):
            return "absent"
        try:
            self.open()
        except ObserveError as error:
            cause = error.__cause__
            if isinstance(cause, OperationalError | ProgrammingError) and _lacks_tables(clean(cause)):
                _check_empty(self.uri)
                return "half-made"
            raise
        return "ready"

    def open(self, *, writeable: bool = False) -> Butler:
        """Open the repository.

        Parameters
        ----------
        writeable : `bool`
            Whether it is to be changed.

        Returns
        -------
        butler : `lsst.daf.butler.Butler`
            The same each time.

        Raises
        ------
        reconciler.errors.ObserveError
            If it can't be opened.
        """
        if writeable not in self._open:
            prepare()
            from lsst.daf.butler import Butler

            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._open[writeable] = Butler.from_config(self.uri, writeable=writeable)
            except Exception as error:
                message, hints = explain(error)
                raise ObserveError(f"Butler {self.uri} could not be opened: {message}", hints) from error
            if writeable:
                self._open.pop(False, None)  # opening to write may make tables that the other does not know of
        return self._open[writeable]

    @property
    def ready(self) -> bool:
        """Whether there is anything to ask."""
        return self.status == "ready"

    # ------------------------------------------------------------------ definitions

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

    # ------------------------------------------------------------------ dimension records

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

    def records(self, element: str, **data_id: Any) -> Sequence[Any]:
        """Read dimension records.

        Parameters
        ----------
        element : `str`
            A dimension, or a join of dimensions.
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
                return list(query.where(data_id).dimension_records(element))

        found: Sequence[Any] = self._keep(("records", element, tuple(sorted(data_id.items()))), read)
        return found

    def count_records(self, element: str, **data_id: Any) -> int:
        """Count dimension records.

        Parameters
        ----------
        element, **data_id
            As for `records`.

        Returns
        -------
        count : `int`
            From the registry.
        """

        def read() -> int:
            if not self.ready:
                return 0
            with self.open().query() as query:
                return int(query.where(data_id).dimension_records(element).count())

        found: int = self._keep(("count records", element, tuple(sorted(data_id.items()))), read)
        return found

    # ------------------------------------------------------------------ datasets

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
            with self.open().query() as query:
                if where:
                    query = query.where(where)
                return int(query.datasets(dataset_type, names, find_first=find_first).count())

        found: int = self._keep(("count", dataset_type, tuple(names), where, find_first), read)
        return found

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
        from reconciler.live.storage import plain

        with reading(self.uri):
            asked = list(refs)
            butler = self.open()
            ask = getattr(butler, "get_many_uris", None) or butler._datastore.getManyURIs  # 29.2025 has only the latter
            found = ask(asked, predict=False, allow_missing=True) if asked else {}
            return {str(ref.id): plain(str(uris.primaryURI)) for ref, uris in found.items() if uris.primaryURI is not None}

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

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what goes wrong inside into an ObserveError that names the repository."""
        with reading(self.uri):
            yield


def _has_config(uri: str) -> bool:
    """Tell whether there is a butler.yaml; ``uri`` may be a folder, the file itself, or a label of the repository index."""
    from lsst.daf.butler import Butler
    from lsst.resources import ResourcePath

    place = ResourcePath(Butler.get_repo_uri(uri, return_label=True))
    if place.getExtension() not in (".yaml", ".yml"):
        place = ResourcePath(place, forceDirectory=True).join("butler.yaml")
    return bool(place.exists())


def _check_empty(uri: str) -> None:
    """See that a repository without tables is one whose creation was interrupted, and not one whose database is lost.

    Raises
    ------
    reconciler.errors.ObserveError
        If files are in its datastore, or its database lies in a folder that is not there.
    """
    from lsst.daf.butler import ButlerConfig
    from lsst.daf.butler.registry import RegistryConfig
    from lsst.resources import ResourcePath

    config = ButlerConfig(uri)
    assert config.configDir is not None
    registry = RegistryConfig(config)
    registry.replaceRoot(config.configDir.ospath if config.configDir.isLocal else str(config.configDir))
    url = registry.connectionString
    if url.get_backend_name() == "sqlite" and url.database and not os.path.isdir(os.path.dirname(url.database)):
        hint = "is a disk not mounted? Nothing is made anew while that may be"
        raise ObserveError(f"Butler {uri}: the folder of its database {url.database} is not there", (hint,))
    root = str(config["datastore", "root"]).replace("<butlerRoot>", str(config.configDir))
    for _, _, files in ResourcePath(root, forceDirectory=True).walk():
        kept = [name for name in files if name != "butler.yaml" and not name.startswith("gen3.")]
        if kept:
            hint = "this is no interrupted creation; restore the database, or remove butler.yaml to begin anew"
            raise ObserveError(
                f"Butler {uri}: its registry has no tables, and there are files in its datastore ({kept[0]})", (hint,)
            )


def _lacks_tables(text: str) -> bool:
    return any(
        sign in text for sign in ("no such table", "UndefinedTable", "does not exist\nLINE", "unable to open database file")
    )


@functools.cache
def prepare() -> None:
    """Silence what the Butler and its libraries tell a terminal on their own."""
    import astropy  # noqa: F401  # its logger is of a class of its own, which it makes when it is imported

    for name in ("lsst", "astropy", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

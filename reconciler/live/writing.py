"""What is written to a Butler repository, each safe to repeat and each all or nothing."""

from __future__ import annotations

import functools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.errors import ApplyError
from reconciler.live.butler import Repository
from reconciler.live.faults import writing
from reconciler.live.opening import registry_of
from reconciler.live.storage import absolute

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef, FileDataset

    from reconciler.live import Live

ASSOCIATED = 10_000
"""Members that are associated in one go."""
DESCRIBING = {"butler_attributes", "opaque_meta"}
"""Tables of a registry whose rows describe other tables and hold nothing of anybody's."""


def create(repository: Repository, seed: str | None, *, override: bool, mend: bool) -> None:
    """Create a repository, or complete one whose creation was interrupted.

    Parameters
    ----------
    repository : `Repository`
        Where.
    seed : `str` or `None`
        Seed configuration file.
    override : `bool`
        Whether the seed's values hold even where the root would decide.
    mend : `bool`
        Whether a yaml without tables is there, to be written anew.
    """
    with writing(repository.uri):
        from lsst.daf.butler import Butler, Config

        if mend:
            drop_empty_tables(repository.uri)
        config = Config(seed) if seed else None
        Butler.makeRepo(repository.uri, config=config, forceConfigRoot=not override, overwrite=mend)
    repository.forget_connections()
    repository.open(writeable=True)  # the first who opens it to write makes the datastore's tables


def drop_empty_tables(uri: str) -> None:
    """Take away the tables that an interrupted creation left, so that it can be done anew; never one that holds anything.

    Parameters
    ----------
    uri : `str`
        A repository whose registry lacks its attributes.

    Raises
    ------
    reconciler.errors.ApplyError
        If a table holds rows.
    """
    import sqlalchemy
    from lsst.daf.butler import ButlerConfig

    url, namespace = registry_of(ButlerConfig(uri))
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.begin() as connection:
            tables = sqlalchemy.MetaData(schema=namespace)
            tables.reflect(connection)
            for table in tables.sorted_tables:
                held = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar()
                if held and table.name not in DESCRIBING:
                    text = f"the registry lacks its attributes, and its table {table.name} holds {held:,} rows"
                    raise ApplyError(text, ("this is no interrupted creation; restore the registry",))
            tables.drop_all(connection)
    finally:
        engine.dispose()


def register_instrument(repository: Repository, class_name: str, *, update: bool) -> None:
    """Write the records of an instrument.

    Parameters
    ----------
    repository : `Repository`
        Where.
    class_name : `str`
        Full name of its class.
    update : `bool`
        Whether records that differ are changed.
    """
    with writing(repository.uri):
        from lsst.pipe.base import Instrument

        butler = repository.open(writeable=True)
        Instrument.from_string(class_name).register(butler.registry, update=update)


def register_dataset_type(
    repository: Repository, name: str, dimensions: Sequence[str], storage_class: str, *, is_calibration: bool
) -> None:
    """Define a dataset type.

    Parameters
    ----------
    repository : `Repository`
        Where.
    name, dimensions, storage_class, is_calibration
        Its definition.
    """
    with writing(repository.uri):
        from lsst.daf.butler import DatasetType

        butler = repository.open(writeable=True)
        dataset_type = DatasetType(
            name, tuple(dimensions), storage_class, isCalibration=is_calibration, universe=butler.dimensions
        )
        butler.registry.registerDatasetType(dataset_type)


def register_collection(repository: Repository, name: str, collection_type: str, doc: str = "") -> None:
    """Make a collection.

    Parameters
    ----------
    repository : `Repository`
        Where.
    name, collection_type, doc : `str`
        Which.

    Raises
    ------
    reconciler.errors.ApplyError
        If the name is taken by a collection of another type, which the Butler itself would not say.
    """
    with writing(repository.uri):
        from lsst.daf.butler import CollectionType

        butler = repository.open(writeable=True)
        butler.collections.register(name, CollectionType.from_name(collection_type), doc or None)
        there = butler.collections.get_info(name).type.name
        if there != collection_type:
            raise ApplyError(f"the name is taken by a {there} collection")


def set_doc(repository: Repository, name: str, doc: str) -> None:
    """Document a collection.

    Parameters
    ----------
    repository : `Repository`
        Where.
    name, doc : `str`
        Which, and what to say of it.
    """
    with writing(repository.uri):
        repository.open(writeable=True).registry.setCollectionDocumentation(name, doc)


def define_chain(repository: Repository, name: str, children: Sequence[str], doc: str = "") -> None:
    """Make a chain, or redefine it; in one transaction, so that a missing child leaves no empty chain.

    Parameters
    ----------
    repository : `Repository`
        Where.
    name : `str`
        The chain.
    children : sequence of `str`
        In search order.
    doc : `str`
        For a new one.

    Raises
    ------
    reconciler.errors.ApplyError
        If a child does not exist, or the name is taken by a collection of another type.
    """
    with writing(repository.uri):
        from lsst.daf.butler import CollectionType

        butler = repository.open(writeable=True)
        with butler.transaction():
            butler.collections.register(name, CollectionType.CHAINED, doc or None)
            there = butler.collections.get_info(name).type.name
            if there != "CHAINED":
                raise ApplyError(f"the name is taken by a {there} collection")
            butler.collections.redefine_chain(name, list(children))


def insert_records(repository: Repository, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write dimension records that are not there yet.

    Parameters
    ----------
    repository : `Repository`
        Where.
    records : mapping
        Records by dimension, as an export file gives them.
    """
    from reconciler.live.convert import record_values

    with writing(repository.uri):
        butler = repository.open(writeable=True)
        with butler.transaction():
            for element in butler.dimensions.sorted(records):
                rows = [element.RecordClass(**record_values(row)) for row in records[element.name]]
                butler.registry.insertDimensionData(element, *rows, skip_existing=True)


def ingest(
    live: Live,
    datasets: Sequence[Mapping[str, Any]],
    *,
    root: str,
    transfer: str,
    what: str,
) -> int:
    """Ingest files in chunks, each all or nothing; several at once where there are workers and the database takes it.

    Parameters
    ----------
    live : `reconciler.live.Live`
        With the repository.
    datasets : sequence of mapping
        ``dataset_type``, ``run``, ``data_id``, ``path``; ``id`` where the UUID is given, and ``formatter`` where it is.
    root : `str`
        What relative paths are relative to.
    transfer : `str`
        Transfer mode.
    what : `str`
        What they are, for the progress.

    Returns
    -------
    count : `int`
        How many were ingested.
    """
    repository, done = live.butler, 0
    chunks = live.chunks(datasets)
    if len(chunks) > 1 and live.workers.width > 1 and repository.many_writers:
        work = [(repository.uri, list(chunk), root, transfer) for chunk in chunks]
        for count in live.workers.each(ingest_chunk, work):
            done += count
            live.progress(what, done, len(datasets))
            if done < len(datasets):
                live.between_chunks()
    else:
        with writing(repository.uri):
            butler = repository.open(writeable=True)
            for chunk in chunks:
                done += _ingest(butler, chunk, root, transfer)
                live.progress(what, done, len(datasets))
                if done < len(datasets):
                    live.between_chunks()
    repository.analyze(done)
    return done


def ingest_chunk(uri: str, rows: Sequence[Mapping[str, Any]], root: str, transfer: str) -> int:
    """Ingest one chunk, in a worker.

    Parameters
    ----------
    uri : `str`
        The repository.
    rows, root, transfer
        As for `ingest`.

    Returns
    -------
    count : `int`
        How many were ingested.
    """
    with writing(uri):
        return _ingest(_opened(uri).open(writeable=True), rows, root, transfer)


@functools.cache
def _opened(uri: str) -> Repository:
    """Open a repository once for all chunks of a worker."""
    return Repository(uri)


def _ingest(butler: Butler, rows: Sequence[Mapping[str, Any]], root: str, transfer: str) -> int:
    files = _files(butler, rows, root)
    butler.ingest(*files, transfer=transfer)
    return sum(len(file.refs) for file in files)


def _files(butler: Butler, rows: Sequence[Mapping[str, Any]], root: str) -> list[FileDataset]:
    """Group the datasets by file: one file may hold several."""
    from lsst.daf.butler import DataCoordinate, DatasetRef, FileDataset
    from lsst.utils import doImportType

    types = {name: butler.get_dataset_type(name) for name in {row["dataset_type"] for row in rows}}
    formatters = {name: doImportType(name) for name in {row.get("formatter") for row in rows} if name}
    refs: dict[tuple[str, str | None], list[DatasetRef]] = defaultdict(list)
    for row in rows:
        dataset_type = types[row["dataset_type"]]
        data_id = DataCoordinate.standardize(row["data_id"], dimensions=dataset_type.dimensions)
        given = {"id": uuid.UUID(row["id"])} if row.get("id") else {}
        ref = DatasetRef(dataset_type, data_id, run=row["run"], **given)
        refs[absolute(row["path"], root), row.get("formatter")].append(ref)
    return [FileDataset(path=path, refs=group, formatter=formatters.get(name)) for (path, name), group in refs.items()]


def certify(
    repository: Repository, certifications: Iterable[tuple[str, int, int]], refs: Mapping[str, DatasetRef], collection: str
) -> None:
    """Certify datasets in one collection, in one transaction.

    Parameters
    ----------
    repository : `Repository`
        Where.
    certifications : iterable of (`str`, `int`, `int`)
        UUID, begin and end in TAI nanoseconds.
    refs : mapping
        Datasets by UUID.
    collection : `str`
        A CALIBRATION collection.
    """
    with writing(repository.uri):
        from lsst.daf.butler import Timespan

        butler = repository.open(writeable=True)
        by_range: dict[tuple[int, int], list[DatasetRef]] = defaultdict(list)
        for id, begin, end in certifications:
            by_range[begin, end].append(refs[id])
        with butler.transaction():
            for nsec, members in by_range.items():
                butler.registry.certify(collection, members, Timespan(None, None, _nsec=nsec))


def associate(repository: Repository, collection: str, refs: Sequence[DatasetRef], progress: Callable[[int], None]) -> None:
    """Add datasets to a TAGGED collection.

    Parameters
    ----------
    repository : `Repository`
        Where.
    collection : `str`
        Made if absent.
    refs : sequence of `lsst.daf.butler.DatasetRef`
        The datasets.
    progress : callable
        Told how many are done after each chunk.
    """
    register_collection(repository, collection, "TAGGED")
    with writing(repository.uri):
        butler = repository.open(writeable=True)
        for start in range(0, len(refs), ASSOCIATED):
            butler.registry.associate(collection, refs[start : start + ASSOCIATED])
            progress(min(start + ASSOCIATED, len(refs)))


def disassociate(repository: Repository, collection: str, refs: Sequence[DatasetRef]) -> None:
    """Take datasets out of a TAGGED collection; the datasets stay.

    Parameters
    ----------
    repository : `Repository`
        Where.
    collection : `str`
        Which.
    refs : sequence of `lsst.daf.butler.DatasetRef`
        The datasets.
    """
    with writing(repository.uri):
        repository.open(writeable=True).registry.disassociate(collection, refs)

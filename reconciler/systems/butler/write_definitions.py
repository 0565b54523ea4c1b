"""Definitions that are written to a Butler repository: collections, chains, types, instruments, and the repository itself.

Each is safe to repeat and all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.errors import ApplyError
from reconciler.systems.butler.connection import registry_of
from reconciler.systems.butler.datasets import Repository
from reconciler.systems.butler.errors import writing

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
        with butler.transaction():
            butler.collections.register(name, CollectionType.from_name(collection_type), doc or None)
        there = butler.collections.get_info(name).type.name
        if there != collection_type:
            raise ApplyError(f"the name is taken by a {there} collection")
    if collection_type == "RUN":
        complete_runs(repository, [name])


def complete_runs(repository: Repository, names: Iterable[str]) -> None:
    """Complete RUN collections that were made by half: the Butler writes two rows of each, in two transactions.

    After a kill between them the name is there, and each ingest into it fails on a foreign key. What is whole is left alone.

    Parameters
    ----------
    repository : `Repository`
        Where.
    names : iterable of `str`
        RUN collections.
    """
    with writing(repository.uri):
        manager = repository.open(writeable=True)._registry._managers.collections  # nothing public does this
        for name in names:
            manager._db.sync(manager._tables.run, keys={manager._collectionIdName: manager.find(name).key})


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
    from reconciler.systems.butler.export_values import record_values

    with writing(repository.uri):
        butler = repository.open(writeable=True)
        with butler.transaction():
            for element in butler.dimensions.sorted(records):
                rows = [element.RecordClass(**record_values(row)) for row in records[element.name]]
                butler.registry.insertDimensionData(element, *rows, skip_existing=True)

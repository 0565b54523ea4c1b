"""Writes of definitions to a Butler repository: collections, chains, dataset types, instruments, and the repository itself.

Each is safe to repeat, and all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.errors import ApplyError
from reconciler.systems.butler.errors import translate_write_errors
from reconciler.systems.butler.registry_database import open_database, registry_of
from reconciler.systems.butler.repository import Repository
from reconciler.systems.postgresql import limited_waits

METADATA_TABLES = {"butler_attributes", "opaque_meta"}
"""Tables of a registry whose rows only describe other tables."""


def create(repository: Repository, seed: str | None, *, override: bool, repair: bool) -> None:
    """Create a repository, or complete one whose creation was interrupted.

    Parameters
    ----------
    repository : `Repository`
        The repository to create.
    seed : `str` or `None`
        Seed configuration file.
    override : `bool`
        Whether the seed's values take precedence over those derived from the location.
    repair : `bool`
        Whether an interrupted creation left a configuration without tables, which is written again.
    """
    with translate_write_errors():
        from lsst.daf.butler import Butler, Config

        if repair:
            drop_empty_tables(repository.uri)
        config = Config(seed) if seed else None
        with limited_waits():
            Butler.makeRepo(repository.uri, config=config, forceConfigRoot=not override, overwrite=repair)
    repository.close()
    repository.open(writeable=True)  # the first open for writing creates the datastore's tables


def drop_empty_tables(uri: str) -> None:
    """Drop the tables that an interrupted creation left; raise ApplyError if any contains data."""
    import sqlalchemy
    from lsst.daf.butler import ButlerConfig

    url, namespace = registry_of(ButlerConfig(uri))
    engine = open_database(url)
    try:
        with engine.begin() as connection:
            tables = sqlalchemy.MetaData(schema=namespace)
            tables.reflect(connection)
            for table in tables.sorted_tables:
                rows = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar()
                if rows and table.name not in METADATA_TABLES:
                    text = f"the registry lacks its attributes, and its table {table.name} contains {rows:,} rows"
                    raise ApplyError(text, ("its creation was not interrupted; restore the registry",))
            tables.drop_all(connection)
    finally:
        engine.dispose()


def register_instrument(repository: Repository, class_name: str, *, update: bool) -> None:
    """Register the instrument of a class and its detectors and filters; existing records change only with ``update``."""
    with translate_write_errors():
        from lsst.pipe.base import Instrument

        butler = repository.open(writeable=True)
        Instrument.from_string(class_name).register(butler.registry, update=update)


def register_dataset_type(
    repository: Repository, name: str, dimensions: Sequence[str], storage_class: str, *, is_calibration: bool
) -> None:
    """Register a dataset type."""
    with translate_write_errors():
        from lsst.daf.butler import DatasetType

        butler = repository.open(writeable=True)
        dataset_type = DatasetType(
            name, tuple(dimensions), storage_class, isCalibration=is_calibration, universe=butler.dimensions
        )
        butler.registry.registerDatasetType(dataset_type)


def register_collection(repository: Repository, name: str, collection_type: str, doc: str = "") -> None:
    """Create a collection if it doesn't exist.

    Raises
    ------
    reconciler.errors.ApplyError
        If the name belongs to a collection of another type, which the Butler accepts silently.
    """
    with translate_write_errors():
        from lsst.daf.butler import CollectionType

        butler = repository.open(writeable=True)
        with butler.transaction():
            butler.collections.register(name, CollectionType.from_name(collection_type), doc or None)
        existing = butler.collections.get_info(name).type.name
        if existing != collection_type:
            raise ApplyError(f"the name is taken by a {existing} collection")
    if collection_type == "RUN":
        complete_runs(repository, [name])


def complete_runs(repository: Repository, names: Iterable[str]) -> None:
    """Complete RUN collections that were created only in part.

    The Butler writes two rows for each, in two transactions. After a kill between them the name exists, and every ingest into it
    fails on a foreign key. Complete collections are left alone.
    """
    with translate_write_errors():
        manager = repository.open(writeable=True)._registry._managers.collections  # there is no public way
        for name in names:
            manager._db.sync(manager._tables.run, keys={manager._collectionIdName: manager.find(name).key})


def set_doc(repository: Repository, name: str, doc: str) -> None:
    """Set the documentation of a collection."""
    with translate_write_errors():
        repository.open(writeable=True).registry.setCollectionDocumentation(name, doc)


def define_chain(repository: Repository, name: str, children: Sequence[str], doc: str = "") -> None:
    """Create a chain or set its children, in one transaction, so that a missing child leaves no empty chain.

    Raises
    ------
    reconciler.errors.ApplyError
        If a child doesn't exist, or the name belongs to a collection of another type.
    """
    with translate_write_errors():
        from lsst.daf.butler import CollectionType

        butler = repository.open(writeable=True)
        with butler.transaction():
            butler.collections.register(name, CollectionType.CHAINED, doc or None)
            existing = butler.collections.get_info(name).type.name
            if existing != "CHAINED":
                raise ApplyError(f"the name is taken by a {existing} collection")
            butler.collections.redefine_chain(name, list(children))


def insert_records(repository: Repository, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Insert the dimension records (by dimension, as in an export file) that don't exist yet."""
    from reconciler.systems.butler.export_values import record_values

    with translate_write_errors():
        butler = repository.open(writeable=True)
        with butler.transaction():
            for element in butler.dimensions.sorted(records):
                rows = [element.RecordClass(**record_values(row)) for row in records[element.name]]
                butler.registry.insertDimensionData(element, *rows, skip_existing=True)

"""Writes of datasets to a Butler repository: ingest, certification and TAGGED membership, each chunk repeatable and atomic."""

from __future__ import annotations

import functools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.systems.butler.errors import translate_write_errors
from reconciler.systems.butler.insert_batching import batched_inserts
from reconciler.systems.butler.repository import Repository
from reconciler.systems.butler.write_definitions import register_collection
from reconciler.systems.storage import join_root

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef, FileDataset

    from reconciler.systems.context import Context

ASSOCIATE_CHUNK = 10_000
"""Members that are associated at once."""


def ingest(
    context: Context,
    datasets: Sequence[Mapping[str, Any]],
    *,
    root: str,
    transfer: str,
    what: str,
) -> int:
    """Ingest files in chunks, each all or nothing; in parallel if there are workers and the database allows several writers.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems and the workers.
    datasets : sequence of mapping
        Each with ``dataset_type``, ``run``, ``data_id`` and ``path``, and optionally ``id`` (UUID) and ``formatter``.
    root : `str`
        Folder of relative paths.
    transfer : `str`
        Transfer mode of the Butler.
    what : `str`
        Description of the datasets for the progress display.

    Returns
    -------
    count : `int`
        Number of datasets ingested.
    """
    repository, done = context.butler, 0
    chunks = context.split_into_chunks(datasets)
    if len(chunks) > 1 and context.workers.width > 1 and repository.many_writers:
        work = [(repository.uri, list(chunk), root, transfer) for chunk in chunks]
        for count in context.workers.each(ingest_chunk, work):
            done += count
            context.report_progress(what, done, len(datasets))
            if done < len(datasets):
                context.cancellation.check()
    else:
        with translate_write_errors():
            butler = repository.open(writeable=True)
            for chunk in chunks:
                done += _ingest(butler, chunk, root, transfer)
                context.report_progress(what, done, len(datasets))
                if done < len(datasets):
                    context.cancellation.check()
    repository.analyze(done)
    return done


def ingest_chunk(uri: str, rows: Sequence[Mapping[str, Any]], root: str, transfer: str) -> int:
    """Ingest one chunk in a worker; return the number of datasets ingested."""
    with translate_write_errors():
        return _ingest(_repository(uri).open(writeable=True), rows, root, transfer)


@functools.cache
def _repository(uri: str) -> Repository:
    """Open a repository once for all chunks of a worker."""
    return Repository(uri)


def _ingest(butler: Butler, rows: Sequence[Mapping[str, Any]], root: str, transfer: str) -> int:
    files = _group_by_file(butler, rows, root)
    with batched_inserts():
        butler.ingest(*files, transfer=transfer)
    return sum(len(file.refs) for file in files)


def _group_by_file(butler: Butler, rows: Sequence[Mapping[str, Any]], root: str) -> list[FileDataset]:
    """Group the datasets by file: one file may contain several."""
    from lsst.daf.butler import DataCoordinate, DatasetRef, FileDataset
    from lsst.utils import doImportType

    types = {name: butler.get_dataset_type(name) for name in {row["dataset_type"] for row in rows}}
    formatters = {name: doImportType(name) for name in {row.get("formatter") for row in rows} if name}
    refs: dict[tuple[str, str | None], list[DatasetRef]] = defaultdict(list)
    for row in rows:
        dataset_type = types[row["dataset_type"]]
        data_id = DataCoordinate.standardize(row["data_id"], dimensions=dataset_type.dimensions)
        given = {"id": uuid.UUID(row["id"])} if row.get("id") else {}
        ref = DatasetRef(dataset_type, data_id, run=row["run"], conform=False, **given)  # data_id conforms
        refs[join_root(row["path"], root), row.get("formatter")].append(ref)
    return [FileDataset(path=path, refs=group, formatter=formatters.get(name)) for (path, name), group in refs.items()]


def certify(
    repository: Repository, certifications: Iterable[tuple[str, int, int]], refs: Mapping[str, DatasetRef], collection: str
) -> None:
    """Certify datasets in a CALIBRATION collection, in one transaction.

    Parameters
    ----------
    repository : `Repository`
        The repository.
    certifications : iterable of (`str`, `int`, `int`)
        UUID, begin and end in TAI nanoseconds.
    refs : mapping
        Datasets by UUID.
    collection : `str`
        Name of the CALIBRATION collection.
    """
    with translate_write_errors():
        from lsst.daf.butler import Timespan

        butler = repository.open(writeable=True)
        by_range: dict[tuple[int, int], list[DatasetRef]] = defaultdict(list)
        for id, begin, end in certifications:
            by_range[begin, end].append(refs[id])
        with butler.transaction():
            for nsec, members in by_range.items():
                butler.registry.certify(collection, members, Timespan(None, None, _nsec=nsec))


def associate(repository: Repository, collection: str, refs: Sequence[DatasetRef], progress: Callable[[int], None]) -> None:
    """Add datasets to a TAGGED collection, which is created if absent; ``progress`` is called with the number done so far."""
    register_collection(repository, collection, "TAGGED")
    with translate_write_errors(), batched_inserts():
        butler = repository.open(writeable=True)
        for start in range(0, len(refs), ASSOCIATE_CHUNK):
            butler.registry.associate(collection, refs[start : start + ASSOCIATE_CHUNK])
            progress(min(start + ASSOCIATE_CHUNK, len(refs)))


def disassociate(repository: Repository, collection: str, refs: Sequence[DatasetRef]) -> None:
    """Remove datasets from a TAGGED collection; the datasets themselves stay."""
    with translate_write_errors():
        repository.open(writeable=True).registry.disassociate(collection, refs)

"""Datasets that are written to a Butler repository, each chunk safe to repeat and all or nothing."""

from __future__ import annotations

import functools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.systems.butler.datasets import Repository
from reconciler.systems.butler.errors import writing
from reconciler.systems.butler.insert_batching import batched_inserts
from reconciler.systems.butler.write_definitions import register_collection
from reconciler.systems.storage import absolute

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef, FileDataset

    from reconciler.systems.context import Live

ASSOCIATED = 10_000
"""Members that are associated in one go."""


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
    live : `reconciler.systems.context.Live`
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
    with batched_inserts():
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
        ref = DatasetRef(dataset_type, data_id, run=row["run"], conform=False, **given)  # data_id conforms
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
    with writing(repository.uri), batched_inserts():
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

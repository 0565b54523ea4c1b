"""Check that files which the registry knows exist on storage, for the kinds that ingest files.

Missing files are reported and never restored: only a person knows whether a file can come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from reconciler.engine.model import Condition, DifferenceKind, JsonObject
from reconciler.errors import ApplyError, ObserveError
from reconciler.kinds.shared.delivery import query_checksums
from reconciler.kinds.shared.suspects import Suspects

if TYPE_CHECKING:
    from reconciler.systems.butler.datasets import StoredFile
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context
    from reconciler.systems.storage import FileProblem

VERIFY = Field(
    "none",
    pattern=r"^(none|all|(sample|checksum):[1-9]\d*)$",
    description=(
        "Files to check on storage for existence and recorded size: `none`, `all`, or `sample:N` for N random files, or those in "
        "the zips of N exposures. `checksum:N` also compares the content of such a sample with the checksum in Rucio, so it "
        "needs `delivered_by`; local files are read, and WebDAV servers that keep checksums are asked for them."
    ),
    examples=["sample:100"],
)

UNKNOWN_TO_DATASTORE = "unknown to the datastore"
"""The problem of a dataset of which the datastore has no file."""


def sample_size(verify: str) -> int | None:
    """Return the number of datasets to check, given ``all``, ``sample:N`` or ``checksum:N``; None for all."""
    return None if verify == "all" else int(verify.partition(":")[2])


def check_stored_files(
    context: Context,
    verify: str,
    batches: Iterable[Sequence[DatasetRef]],
    total: int,
    delivered_by: Sequence[str] = (),
    *,
    sampled: bool = False,
) -> tuple[Condition, ...]:
    """Return a condition if files of datasets are missing from storage, unknown to the datastore or differ from their record.

    Another one is about the files whose checksums can't be compared, with ``checksum:N``. Datasets that are wrong are recorded as
    suspects, and those that are right no longer are any; see `reconciler.kinds.shared.suspects`.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems and the workers.
    verify : `str`
        ``all``, or ``sample:N`` or ``checksum:N`` for N random datasets of the first batch, suspects first.
    batches : iterable of sequence of `lsst.daf.butler.DatasetRef`
        The datasets, as many at a time as memory allows; only problems are kept.
    total : `int`
        Number of datasets, for the progress display.
    delivered_by : sequence of `str`
        DIDs with wildcards, in whose scopes Rucio has the checksums.
    sampled : `bool`, optional
        Whether the batches are a sample already, all of which is checked.

    Raises
    ------
    reconciler.errors.ObserveError
        If the repository, Rucio or a storage can't be queried, or a worker fails.
    reconciler.errors.StateError
        If bulk work runs on Parsl, and that isn't installed or configured.
    """
    patterns = delivered_by if verify.startswith("checksum") else None
    count = sample_size(verify)
    suspects = Suspects.read(context)
    if count is not None and not sampled:
        batches = [suspects.choose(next(iter(batches), ()), count, lambda ref: str(ref.id) in suspects.known)]
        total = len(batches[0])
    problems: list[dict[str, Any]] = []
    checked = 0
    try:
        for batch in batches:
            found, files, wrong = _check_batch(context, batch, checked, total, patterns)
            problems += found
            checked += files
            suspects.record((str(ref.id) for ref in batch), wrong)
    except ApplyError as error:  # workers report every error as ApplyError; here it is a failed observation
        raise ObserveError(f"files on storage could not be checked: {error}", error.hints) from error
    return tuple(_describe_problems(problems, checked, "recorded size" if patterns is None else "recorded size or checksum"))


def _describe_problems(problems: Sequence[JsonObject], checked: int, record: str) -> Iterator[Condition]:
    """Describe files that are missing or differ, and those whose checksum can't be compared."""
    from reconciler.systems.storage import NO_RECORDED_CHECKSUM, NO_STORED_CHECKSUM

    unknown = tuple(found for found in problems if found["problem"] in (NO_RECORDED_CHECKSUM, NO_STORED_CHECKSUM))
    wrong = tuple(found for found in problems if found["problem"] not in (NO_RECORDED_CHECKSUM, NO_STORED_CHECKSUM))
    if wrong:
        text = f"{len(wrong):,} of {checked:,} files checked are missing from storage or differ from their {record}"
        yield Condition(DifferenceKind.DEGRADED, text, wrong, "storage")
    if unknown:
        text = f"the checksums of {len(unknown):,} of {checked:,} files can't be compared; use `all` or `sample:N`"
        yield Condition(DifferenceKind.DEGRADED, text, unknown, "storage")


def _check_batch(
    context: Context, refs: Sequence[DatasetRef], before: int, total: int, patterns: Sequence[str] | None
) -> tuple[list[dict[str, Any]], int, dict[str, JsonObject]]:
    """Return the problems, the number of files checked, and the data IDs of wrong datasets; report progress after each chunk."""
    from reconciler.systems.storage import NO_RECORDED_CHECKSUM, NO_STORED_CHECKSUM

    checked = check_refs(context, refs, before, total, patterns)
    by_id = {str(ref.id): ref for ref in refs}
    problems: list[dict[str, Any]] = [
        {**ref.dataId.required, "uri": "", "problem": UNKNOWN_TO_DATASTORE} for ref in checked.unknown
    ]
    problems += [{**by_id[found.id].dataId.required, "uri": found.uri, "problem": found.problem} for found in checked.problems]
    comparable = [found for found in checked.problems if found.problem not in (NO_RECORDED_CHECKSUM, NO_STORED_CHECKSUM)]
    wrong = {found.id for found in comparable} | {str(ref.id) for ref in checked.unknown}
    data_ids: dict[str, JsonObject] = {dataset_id: dict(by_id[dataset_id].dataId.required) for dataset_id in wrong}
    return problems, len(checked.files) + len(checked.unknown), data_ids


def _split_between_zips(files: Sequence[StoredFile], most: int) -> Iterator[list[StoredFile]]:
    """Yield the files in chunks of so many, or more if one zip has more: a zip is opened, and is wrong, only once."""
    from reconciler.systems.storage import find_container

    groups: dict[str, list[StoredFile]] = {}
    for file in files:
        groups.setdefault(find_container(file.uri), []).append(file)
    chunk: list[StoredFile] = []
    for group in groups.values():
        if chunk and len(chunk) + len(group) > most:
            yield chunk
            chunk = []
        chunk += group
    if chunk:
        yield chunk


@dataclass(frozen=True)
class CheckedFiles:
    """The files of some datasets, what is wrong with them, and the datasets that the datastore doesn't know.

    If checksums were compared, ``problems`` also has the files whose checksums can't be compared.
    """

    files: Sequence[StoredFile]
    problems: Sequence[FileProblem]
    unknown: Sequence[DatasetRef]


def check_refs(
    context: Context, refs: Sequence[DatasetRef], before: int = 0, total: int = 0, patterns: Sequence[str] | None = None
) -> CheckedFiles:
    """Check the files of some datasets on storage.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems and the workers.
    refs : sequence of `lsst.daf.butler.DatasetRef`
        The datasets.
    before, total : `int`
        Number of files checked earlier, and of all files, for the progress display.
    patterns : sequence of `str`, optional
        DIDs with wildcards; if given, content is compared with the checksums in their scopes.

    Raises
    ------
    reconciler.errors.ObserveError
        If the repository, Rucio or a storage can't be queried.
    reconciler.errors.ApplyError
        If a worker fails, or can't query one of them.
    reconciler.errors.StateError
        If bulk work runs on Parsl, and that isn't installed or configured.
    """
    from reconciler.systems import storage

    files = context.butler.files(refs)
    checksums = (
        None if patterns is None else query_checksums(context, patterns, {storage.find_container(file.uri) for file in files})
    )
    chunks = [(chunk, checksums) for chunk in _split_between_zips(files, storage.FILES_PER_CHECK)]
    results = context.workers.each(storage.check, chunks) if len(chunks) > 1 else (storage.check(*chunk) for chunk in chunks)
    stored = {file.id for file in files}
    problems: list[FileProblem] = []
    done = before
    for (chunk, _), found in zip(chunks, results, strict=True):
        done += len(chunk)
        context.report_progress("files on storage", done, max(done, total))
        problems += found
    return CheckedFiles(files, problems, [ref for ref in refs if str(ref.id) not in stored])

"""Whether files that the registry knows are on storage, shared by the kinds that ingest files.

What is missing there is told and never mended: only a person knows whether the file can come back.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from reconciler.engine.model import Condition
from reconciler.errors import ApplyError, ObserveError

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

    from reconciler.systems.context import Live

VERIFY = Field(
    "none",
    pattern=r"^(none|all|sample:[1-9]\d*)$",
    description="Which files are looked for on storage, with the size that the datastore recorded: none, all, or a sample.",
    examples=["sample:100"],
)


def sample(verify: str) -> int | None:
    """Tell how many datasets are to be looked for.

    Parameters
    ----------
    verify : `str`
        ``all``, or ``sample:N``.

    Returns
    -------
    count : `int` or `None`
        `None` for all of them.
    """
    return None if verify == "all" else int(verify.partition(":")[2])


def verified(live: Live, verify: str, batches: Iterable[Sequence[DatasetRef]], total: int) -> tuple[Condition, ...]:
    """Look for the files of datasets on storage; of all that is read, only what is wrong is kept.

    Parameters
    ----------
    live : `reconciler.systems.context.Live`
        With the repository and workers.
    verify : `str`
        ``all``, or ``sample:N`` for so many at random of the first batch, others each time.
    batches : iterable of sequence of `lsst.daf.butler.DatasetRef`
        The datasets, as many at a time as may be held.
    total : `int`
        How many they are, for the progress.

    Returns
    -------
    conditions : tuple of `reconciler.engine.model.Condition`
        One if anything is not as recorded.
    """
    count = sample(verify)
    if count is not None:
        first = next(iter(batches), ())
        batches = [random.sample(first, min(count, len(first)))]
        total = len(batches[0])
    bad: list[dict[str, Any]] = []
    looked = 0
    try:
        for batch in batches:
            found, files = _look(live, batch, looked, total)
            bad += found
            looked += files
    except ApplyError as error:  # a worker tells everything as a failed action; not to have looked is not one
        raise ObserveError(f"files on storage could not be looked for: {error}", error.hints) from error
    if not bad:
        return ()
    text = f"{len(bad):,} of {looked:,} files looked for are in the registry, not on storage or not as recorded"
    return (Condition("unwell", text, tuple(bad), "storage"),)


def _look(live: Live, refs: Sequence[DatasetRef], before: int, total: int) -> tuple[list[dict[str, Any]], int]:
    """Give the facts of files that are not as recorded, and the number of files looked for; tell of every chunk."""
    from reconciler.systems import storage

    files = live.butler.files(refs)
    by_id = {str(ref.id): ref for ref in refs}
    asked = [(file.id, file.uri, file.size, file.checksum) for file in files]
    chunks = [(asked[start : start + storage.CHECKED],) for start in range(0, len(asked), storage.CHECKED)]
    results = live.workers.each(storage.check, chunks) if len(chunks) > 1 else (storage.check(*chunk) for chunk in chunks)
    stored = {file.id for file in files}
    unknown = [ref for id, ref in by_id.items() if id not in stored]
    bad: list[dict[str, Any]] = [{**ref.dataId.required, "uri": "", "problem": "unknown to the datastore"} for ref in unknown]
    for number, problems in enumerate(results, 1):
        done = before + min(number * storage.CHECKED, len(asked))
        live.progress("files on storage", done, max(done, total))
        bad += [{**by_id[id].dataId.required, "uri": uri, "problem": problem} for id, uri, problem in problems]
    return bad, len(asked) + len(unknown)

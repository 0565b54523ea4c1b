"""Whether files that the registry knows are on storage, shared by the kinds that ingest files.

What is missing there is told and never mended: only a person knows whether the file can come back.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from reconciler.errors import ApplyError, ObserveError
from reconciler.model import Condition

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

    from reconciler.live import Live

VERIFY = Field(
    "none",
    pattern=r"^(none|all|sample:[1-9]\d*)$",
    description="Which files are looked for on storage, with the size that the datastore recorded: none, all, or a sample.",
    examples=["sample:100"],
)


def verified(live: Live, verify: str, refs: Sequence[DatasetRef]) -> tuple[Condition, ...]:
    """Look for the files of datasets on storage.

    Parameters
    ----------
    live : `reconciler.live.Live`
        With the repository and workers.
    verify : `str`
        ``all``, or ``sample:N`` for so many at random, others each time.
    refs : sequence of `lsst.daf.butler.DatasetRef`
        The datasets.

    Returns
    -------
    conditions : tuple of `reconciler.model.Condition`
        One if anything is not as recorded.
    """
    from reconciler.live import storage

    chosen = list(refs)
    if verify != "all":
        chosen = random.sample(chosen, min(int(verify.partition(":")[2]), len(chosen)))
    files = live.butler.files(chosen)
    by_id = {str(ref.id): ref for ref in chosen}
    asked = [(file.id, file.uri, file.size, file.checksum) for file in files]
    chunks = [(asked[start : start + storage.CHECKED],) for start in range(0, len(asked), storage.CHECKED)]
    results = live.workers.each(storage.check, chunks) if len(chunks) > 1 else (storage.check(*chunk) for chunk in chunks)
    stored = {file.id for file in files}
    bad: list[dict[str, Any]] = [
        {**ref.dataId.required, "uri": "", "problem": "unknown to the datastore"} for id, ref in by_id.items() if id not in stored
    ]
    total = len(asked) + len(bad)
    done = 0
    try:
        for problems in results:
            done = min(done + storage.CHECKED, len(asked))
            live.progress("files on storage", done, len(asked))
            bad += [{**by_id[id].dataId.required, "uri": uri, "problem": problem} for id, uri, problem in problems]
    except ApplyError as error:  # a worker tells everything as a failed action; not to have looked is not one
        raise ObserveError(f"files on storage could not be looked for: {error}", error.hints) from error
    if not bad:
        return ()
    text = f"{len(bad):,} of {total:,} files looked for are in the registry, not on storage or not as recorded"
    return (Condition("unwell", text, tuple(bad), "storage"),)

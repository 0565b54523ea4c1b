"""Ingest zips one by one: the dimension records of the exposure, then the zip, which is all or nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import SkipValidation

from reconciler.counts import plural
from reconciler.engine.commands import REPO, Command
from reconciler.engine.model import Action, JsonObject, Made
from reconciler.errors import Interrupted, PartlyApplied
from reconciler.kinds.shared.transfer import Transfer

if TYPE_CHECKING:
    from reconciler.systems.butler.zips import ZipJob, ZipTarget
    from reconciler.systems.context import Context
    from reconciler.systems.worker_link import Steps

ZIPS_PER_CHUNK = 500
"""Zips of one chunk of a worker, which reports its progress zip by zip."""
MOST_NAMED = 20
"""Zips that a message names."""


class IngestZips(Action):
    """Ingest zips of exposures.

    Parameters
    ----------
    instrument : `str`
        Short name of the instrument.
    zips : `tuple` [`JsonObject`, ...]
        Each with ``exposure``, ``day_obs``, ``path`` and ``records``, the URI of its dimension records.
    transfer : `str`
        Transfer mode of the Butler.
    """

    verb: Literal["ingest"] = "ingest"
    instrument: str
    zips: SkipValidation[tuple[JsonObject, ...]]
    transfer: Transfer


def ingest(context: Context, action: IngestZips) -> Made:
    """Ingest the zips of an action, and return how many.

    Raises
    ------
    reconciler.errors.PartlyApplied
        If some can't be ingested.
    reconciler.errors.Interrupted
        If the operator asked to stop; what is ingested stays.
    """
    from reconciler.systems.butler.zips import ZipJob, ZipTarget

    jobs = [ZipJob(zipped["exposure"], zipped["day_obs"], zipped["path"], zipped["records"]) for zipped in action.zips]
    target = ZipTarget(action.instrument, action.address.name, action.transfer)
    problems = {}
    done = 0
    try:
        for obs_id, problem in _ingest_each(context, jobs, target):
            done += not problem
            if problem:
                problems[obs_id] = problem
    except Interrupted as interrupt:
        raise Interrupted([*_describe(problems)]) from interrupt
    context.butler.analyze(done)
    if problems:
        raise PartlyApplied([*_describe(problems)], {"exposures": done})
    return {"exposures": done}


def _ingest_each(context: Context, jobs: list[ZipJob], target: ZipTarget) -> Iterator[tuple[str, str]]:
    """Ingest zips, in parallel if there are workers and the database allows several writers; yield each with its problem."""
    from reconciler.systems.butler.zips import ingest_zip

    if context.workers.width > 1 and context.butler.many_writers and len(jobs) > 1:
        yield from _ingest_in_workers(context, jobs, target)
        return
    for number, job in enumerate(jobs, 1):
        yield job.obs_id, ingest_zip(context.butler, job, target)
        context.report_progress("exposures", number, len(jobs))
        if number < len(jobs):
            context.cancellation.check()


def _ingest_in_workers(context: Context, jobs: list[ZipJob], target: ZipTarget) -> Iterator[tuple[str, str]]:
    from reconciler.systems.butler.zips import ingest_zips

    ended = 0

    def show(steps: Steps) -> None:
        context.report_progress("exposures", min(steps.done, len(jobs)), len(jobs))

    size = min(ZIPS_PER_CHUNK, -(-len(jobs) // (2 * context.workers.width)))
    chunks = [(context.butler.uri, jobs[start : start + size], target) for start in range(0, len(jobs), size)]
    stop = context.cancellation.requested
    for handled in context.workers.each(ingest_zips, chunks, on_steps=show, stop=stop):
        ended += len(handled)
        yield from handled
    if ended < len(jobs):
        raise Interrupted


def _describe(problems: dict[str, str]) -> Iterator[str]:
    named = list(problems.items())
    if not named:
        return
    yield f"{plural(len(named), 'zip')} could not be ingested: {named[0][0]} {named[0][1]}"
    for obs_id, problem in named[1:MOST_NAMED]:
        yield f"{obs_id} {problem}"
    if len(named) > MOST_NAMED:
        yield f"… {len(named) - MOST_NAMED:,} more"


def list_commands(action: IngestZips) -> Iterable[Command]:
    """Yield the commands that ingest the zips of an action."""
    for zipped in action.zips:
        if zipped["records"]:
            folder, name = posixpath.split(zipped["records"])
            yield Command("butler", "import", REPO, folder, "--export-file", name)
        yield Command("butler", "ingest-zip", REPO, zipped["path"], "--transfer", action.transfer)

"""Ingest raws with ``butler ingest-raws``: all that can be, so that a file that can't be keeps no other one out.

The command is run without ``--fail-fast``. The raws are then compared with what is in the repository, and each file that is still
missing is reported with the reason that the command logged.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from reconciler.engine.commands import REPO, Command
from reconciler.engine.model import Action, Made
from reconciler.errors import ObserveError
from reconciler.kinds.raw.data_id_pattern import DataIdPattern
from reconciler.kinds.raw.losses import Losses
from reconciler.kinds.shared.command_batches import run_in_batches
from reconciler.kinds.shared.transfer import Transfer

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.worker_link import Steps

MOST_RIVALS = 20
"""Files with the name of another one that are ingested one by one."""
MOST_CHECKED = 1_000
"""Files of which it is checked after the ingest that none was passed over."""
MOST_ALONE = 200
"""Files of exposures that failed that are ingested one by one, at a tenth of a second for each."""
FILES_PER_COMMAND = 500
"""Files that one command names: some 60 kB, where Linux allows 2 MB for the arguments of a command."""
INGESTED_BY_BUTLER = r"\.fit[s]?\b"
"""The files that ``butler ingest-raws`` takes from a folder: the default of its ``--regex``."""


class IngestRaws(Action):
    """Ingest raws with ``butler ingest-raws``.

    Parameters
    ----------
    files : `tuple` [`str`, ...]
        URIs of the raws.
    locations : `tuple` [`str`, ...]
        Folders that contain them.
    transfer : `str`
        Transfer mode of the Butler.
    run : `str` or `None`
        RUN collection; `None` for the one that ``butler ingest-raws`` chooses itself.
    options : `tuple` [`str`, ...]
        Further options of the command.
    data_id : `str` or `None`
        Regular expression that finds the exposure in a URI; without it, the files of a folder are kept together.
    whole : `bool`
        Whether these are all raws of the table, so that a script may name ``locations`` in place of the files.
    """

    verb: Literal["ingest"] = "ingest"
    files: tuple[str, ...]
    locations: tuple[str, ...]
    transfer: Transfer
    run: str | None = None
    options: tuple[str, ...] = ()
    data_id: str | None = None
    whole: bool = False


def ingest_raws(context: Context, action: IngestRaws) -> Made:
    """Ingest the raws of an action, and return how many.

    Raises
    ------
    reconciler.errors.PartlyApplied
        If some can't be ingested.
    reconciler.errors.ApplyError
        If the command can't be run at all, or the statistics of a SQLite registry can't be refreshed.
    reconciler.errors.ObserveError
        If the repository can't be compared with the raws at the end.
    reconciler.errors.Interrupted
        If the operator asked to stop; what is ingested stays.
    """
    total = len(action.files)
    progress = _Progress(context, total)
    first, rivals = _separate_rivals(action.files)
    losses = Losses(context, action.address.name, action.data_id, action.files)
    _ingest(context, action, context.pack_into_chunks(_group_by_exposure(first, action.data_id)), losses, progress)
    _ingest(context, action, [[[path]] for path in [*losses.list_retriable(MOST_ALONE), *rivals]], losses, progress)
    context.butler.analyze(total)
    if losses or rivals or total <= MOST_CHECKED:
        losses.report()
    return {"raws": total}


class _Progress:
    """Reports how many raws of an action are ingested, or read while none is ingested yet."""

    def __init__(self, context: Context, total: int) -> None:
        self._context, self._total = context, total
        self._ended = self._running = 0
        self._report("raws", 0)

    def _report(self, what: str, done: int) -> None:
        self._context.report_progress(what, min(done, self._total), self._total)

    def show(self, steps: Steps) -> None:
        """Report the steps of the commands that are running, and of those that have just ended."""
        self._running = max(self._running, steps.done)
        if self._running:
            self._report("raws", max(self._ended, self._running))
        elif not self._ended:
            self._report("files read", steps.prepared)

    def add(self, files: int) -> None:
        """Report that a command has ended."""
        self._ended += files
        self._report("raws", max(self._ended, self._running))


def _ingest(
    context: Context, action: IngestRaws, batches: Sequence[Sequence[Sequence[str]]], losses: Losses, progress: _Progress
) -> None:
    """Ingest batches of exposures, each a list of files."""

    def write(groups: Sequence[Sequence[str]]) -> list[str]:
        return _write_arguments(action, context.butler.uri, [path for group in groups for path in group])

    for groups, report in run_in_batches(context, batches, write, runs=[action.address.name], on_steps=progress.show):
        files = [path for group in groups for path in group]
        losses.add(files, report)
        progress.add(len(files))


def _group_by_exposure(files: Sequence[str], data_id: str | None) -> list[list[str]]:
    """Return the files of each exposure, or of each folder if no pattern finds the exposure in a path."""
    pattern = None if data_id is None else DataIdPattern.compile(data_id)
    groups: dict[object, list[str]] = defaultdict(list)
    for path in files:
        found = None if pattern is None else pattern.parse(path)
        groups[posixpath.dirname(path) if found is None else found["exposure"]].append(path)
    return list(groups.values())


def list_commands(action: IngestRaws) -> Iterator[Command]:
    """Yield the commands that ingest the raws of an action.

    If these are all raws of the table, the folders are listed on storage, to see whether a command may name them.
    """
    if action.whole and _folders_hold_nothing_else(action):
        yield Command("butler", *_write_arguments(action, REPO, action.locations))
        return
    for start in range(0, len(action.files), FILES_PER_COMMAND):
        yield Command("butler", *_write_arguments(action, REPO, action.files[start : start + FILES_PER_COMMAND]))


def _separate_rivals(files: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files to ingest together, and those that may be second files of the same raws, because they have the same name.

    The latter are ingested one by one at the end, so that a failure of theirs keeps no other raw out. Where many names are
    alike, a name doesn't identify a raw, and nothing is set apart.
    """
    first: dict[str, str] = {}
    rivals = []
    for path in files:
        if first.setdefault(posixpath.basename(path), path) != path:
            rivals.append(path)
    return (list(first.values()), rivals) if len(rivals) <= MOST_RIVALS else (list(files), [])


def _folders_hold_nothing_else(action: IngestRaws) -> bool:
    """Check on storage that ``butler ingest-raws`` of the folders would ingest no file but those of the action."""
    from reconciler.systems import storage

    try:
        found = storage.find(action.locations, INGESTED_BY_BUTLER)
    except ObserveError:
        return False
    return {storage.normalize_uri(path) for path in action.files}.issuperset(found)


def _write_arguments(action: IngestRaws, repository: str, places: Sequence[str]) -> list[str]:
    run = ["--output-run", action.run] if action.run else []
    return ["ingest-raws", "--transfer", action.transfer, *action.options, *run, repository, *places]

"""Ingest raws with ``butler ingest-raws``."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from reconciler.engine.model import REPO, Action, Command, Made
from reconciler.errors import ApplyError, ObserveError, WorkerDied
from reconciler.kinds.shared.transfer import Transfer

if TYPE_CHECKING:
    from reconciler.systems.context import Context

MOST_RIVALS = 20
"""Files with the name of another one that are ingested one by one."""
MOST_CHECKED = 1_000
"""Files of which it is checked after the ingest that none was passed over."""
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
    whole : `bool`
        Whether these are all raws of the table, so that the command names ``locations``; otherwise it names the files, or their
        folders if they are more than `MAX_FILES_IN_COMMAND`.
    """

    verb: Literal["ingest"] = "ingest"
    files: tuple[str, ...]
    locations: tuple[str, ...]
    transfer: Transfer
    run: str | None = None
    whole: bool = False


def ingest_raws(context: Context, action: IngestRaws) -> Made:
    """Ingest the raws of an action, and return how many."""
    total, done = len(action.files), 0
    first, rivals = _separate_rivals(action.files)
    context.report_progress("raws", done, total)
    try:
        for files in [first, *([path] for path in rivals)]:
            chunks = context.split_into_chunks(files)
            commands = [_write_arguments(action, context.butler.uri, chunk) for chunk in chunks]
            for _ in context.run_butler(commands, runs=[action.address.name]):
                done = min(done + len(chunks[0]), total)
                context.report_progress("raws", done, total)
    except WorkerDied:
        raise  # it is tried again
    except ApplyError as error:
        hints = _describe_alike(_find_alike(context, action))
        raise ApplyError(str(error), (*hints, *error.hints)) from error
    context.butler.analyze(total)
    if rivals or total <= MOST_CHECKED:
        _check_alike(context, action)
    return {"raws": total}


def _check_alike(context: Context, action: IngestRaws) -> None:
    """Check that no file was passed over because another one of the same raw was ingested.

    Raises
    ------
    reconciler.errors.ApplyError
        If so.
    """
    context.forget("butler")
    alike = _find_alike(context, action)
    lost = [path for group, ingested in alike for path in group if path not in ingested and ingested]
    if lost:
        raise ApplyError(f"not ingested, though no error was reported: {', '.join(lost[:5])}", _describe_alike(alike))


def list_commands(action: IngestRaws) -> Iterable[Command]:
    """Yield the commands that ingest the raws of an action."""
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


def _find_alike(context: Context, action: IngestRaws) -> list[tuple[list[str], set[str]]]:
    """Find files of an action with the same name as another one, or as an ingested one; with those of them that are ingested."""
    by_name: dict[str, set[str]] = defaultdict(set)
    for path in action.files:
        by_name[posixpath.basename(path)].add(path)
    ingested: dict[str, set[str]] = defaultdict(set)
    for path in context.butler.paths(context.butler.refs("raw", [action.address.name])).values():
        ingested[posixpath.basename(path)].add(path)
    groups = ((paths | ingested[name], ingested[name]) for name, paths in by_name.items())
    return [(sorted(group), those) for group, those in groups if len(group) > 1]


def _describe_alike(alike: Sequence[tuple[list[str], set[str]]]) -> tuple[str, ...]:
    """Return what an operator must know of the files that may be one raw; nothing if names don't identify raws."""
    if not alike or len(alike) > MOST_RIVALS:
        return ()
    more = f", and {len(alike) - 1:,} more such groups" if len(alike) > 1 else ""
    return (
        f"these files have the same name and may be one raw: {', '.join(alike[0][0])}{more}",
        "remove all but one, exclude them with the key files, or set data_id, which recognizes them",
    )


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
    return ["ingest-raws", "--fail-fast", "--transfer", action.transfer, *run, repository, *places]

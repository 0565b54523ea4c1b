"""The raws of an action that were not ingested, each with the reason that ``butler ingest-raws`` gave."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from reconciler.errors import ObserveError, PartlyApplied
from reconciler.kinds.raw.data_id_pattern import DataIdPattern

if TYPE_CHECKING:
    from reconciler.systems.butler.commands import CommandReport
    from reconciler.systems.context import Context

SHOWN = 20
"""Files that are named for each reason, and reasons that are shown."""
MOST_FOLDERS = 5
UNKNOWN = "not ingested, though no error was reported"
DATASET_TYPE = "raw"
OF_REPOSITORY = re.compile(r"\w*(Database|Operational|Programming)\w*Error\b")
"""How reasons begin that are about the repository: none of the files is wrong."""


class Losses:
    """Collects what commands report, and compares it with the repository in the end.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    run : `str`
        The RUN collection.
    data_id : `str` or `None`
        Regular expression that finds the data ID in a URI; without it, raws are recognized by their URI.
    files : sequence of `str`
        URIs of the raws that were to be ingested.
    """

    def __init__(self, context: Context, run: str, data_id: str | None, files: Sequence[str]) -> None:
        self._context, self._run, self._files = context, run, files
        self._pattern = None if data_id is None else DataIdPattern.compile(data_id)
        self._reasons: dict[str, str] = {}
        self._together: list[tuple[str, ...]] = []
        """Files of exposures that failed as a whole."""
        self._duplicates: dict[str, list[str]] = {}
        self._conflicts: set[str] = set()
        """Files of exposures whose record exists with other values."""

    def __bool__(self) -> bool:
        return bool(self._reasons or self._duplicates)

    def add(self, files: Sequence[str], report: CommandReport) -> None:
        """Add what a command on some files reports."""
        from reconciler.systems.storage import normalize_uri

        if report.error:
            self._reasons |= dict.fromkeys(files, report.error)
        for failure in report.failures:
            concerned = [normalize_uri(uri) for uri in failure.files] or self._find_files(files, failure.exposure)
            self._conflicts |= set(concerned) if failure.is_conflict and failure.exposure else set()
            self._reasons |= dict.fromkeys(concerned, failure.reason)
            if len(failure.files) > 1:
                self._together.append(tuple(concerned))
        for uris in report.duplicates:
            paths = [normalize_uri(uri) for uri in uris]
            self._duplicates |= {path: [other for other in paths if other != path] for path in paths}

    def _find_files(self, files: Sequence[str], exposure: str) -> Sequence[str]:
        """Return the files of an exposure of this name, or all if none can be recognized."""
        found = [path for path in files if exposure and self._belongs_to(path, exposure)]
        return found or files

    def _belongs_to(self, path: str, exposure: str) -> bool:
        data_id = self._pattern.parse(path) if self._pattern is not None and self._pattern.by_obs_id else None
        return exposure in path if data_id is None else bool(data_id["exposure"] == exposure)

    def list_retriable(self, most: int) -> list[str]:
        """Return files that failed together with others of their exposure, to be ingested alone; none if they are too many."""
        found = [path for paths in self._together for path in paths if path not in self._duplicates]
        return found if len(found) <= most else []

    def report(self) -> None:
        """Compare with what is in the repository.

        Raises
        ------
        reconciler.errors.PartlyApplied
            If a raw isn't there.
        reconciler.errors.ObserveError
            If the repository can't be read; the message begins with what the commands reported, which may be the cause.
        """
        self._context.forget("butler")
        try:
            ingested = self._find_ingested()
        except ObserveError as error:
            raise ObserveError([*dict.fromkeys(self._reasons.values())][:SHOWN] + error.problems, error.hints) from error
        lost = [path for path in self._files if path not in ingested]
        if not lost:
            return
        reasons = {path: self._explain(path, ingested) for path in lost}
        rest = len(self._files) - len(lost)
        made = {"raws": rest} if rest else {}
        names = {path: path if path in self._duplicates else posixpath.basename(path) for path in lost}
        raise PartlyApplied(list(_describe(reasons, names, len(self._files))), made, list(self._advise(lost, rest)))

    def _advise(self, lost: Sequence[str], rest: int) -> Iterator[str]:
        """Yield what else is known, and what to do."""
        if rest:
            yield f"the other {rest:,} {'was' if rest == 1 else 'were'} ingested"
        if self._conflicts.intersection(lost):
            yield "set update_records = true to let ingest-raws update the records of these exposures"
        folders = list(dict.fromkeys(posixpath.dirname(path) for path in lost))
        more = f" and {len(folders) - MOST_FOLDERS:,} more folders" if len(folders) > MOST_FOLDERS else ""
        place = f"the file is at {lost[0]}" if len(lost) == 1 else f"the files are in {', '.join(folders[:MOST_FOLDERS])}{more}"
        yield place
        is_of_files = any(OF_REPOSITORY.match(self._reasons.get(path, "")) is None for path in lost)
        if is_of_files and not self._conflicts.issuperset(lost):
            which = "it" if len(lost) == 1 else "them"
            yield f"remove {which}, or exclude {which} with the key exclude"

    def _explain(self, path: str, ingested: Set[str]) -> str:
        if path in self._duplicates:
            return f"has the same exposure and detector as {', '.join(self._duplicates[path])}"
        if path in self._reasons:
            return self._reasons[path]
        name = posixpath.basename(path)
        alike = [other for other in ingested if other != path and posixpath.basename(other) == name]
        return f"{UNKNOWN}; it may be the same raw as {alike[0]}: set data_id, which recognizes that" if alike else UNKNOWN

    def _find_ingested(self) -> Set[str]:
        """Return the URIs of the files that are ingested, or whose data ID is."""
        butler = self._context.butler
        if self._pattern is None:
            return set(butler.paths(butler.refs(DATASET_TYPE, [self._run])).values())
        rows = butler.data_ids(DATASET_TYPE, [self._run], ["instrument", "exposure", "detector"])
        keys: set[Any] = set()
        for instrument in {row[0] for row in rows}:
            keys |= set(self._pattern.convert(self._context, instrument, [row for row in rows if row[0] == instrument]).values())
        parsed = ((path, self._pattern.parse(path)) for path in self._files)
        return {path for path, found in parsed if found is not None and (found["exposure"], found["detector"]) in keys}


def _describe(reasons: Mapping[str, str], names: Mapping[str, str], total: int) -> Iterable[str]:
    """Yield a line for each reason, with the names of the files."""
    if len(reasons) == 1:
        ((path, reason),) = reasons.items()
        yield f"1 of {total:,} files: {names[path]}: {reason}"
        return
    by_reason: dict[str, list[str]] = defaultdict(list)
    for path, reason in reasons.items():
        by_reason[reason].append(names[path])
    yield f"{len(reasons):,} of {total:,} files were not ingested"
    for reason, files in list(by_reason.items())[:SHOWN]:
        more = f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
        yield f"{', '.join(files[:SHOWN])}{more}: {reason}"
    if len(by_reason) > SHOWN:
        yield f"and {len(by_reason) - SHOWN:,} more reasons"

"""The files that exist of raws: those that a walk over folders finds, or those in Rucio datasets."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.kinds.raw.spec import RawSpec
from reconciler.kinds.shared.delivered_files import find_datasets
from reconciler.kinds.shared.grown_raws import FilePart, digest_files
from reconciler.kinds.shared.local_folders import LocalFolders

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import DidFacts, FileFacts


@dataclass(frozen=True)
class RawFiles:
    """The files that exist of the raws of a table, which are listed only if that is needed.

    ``count`` is the number of all files, ``parts`` are what they consist of, ``locate`` returns the path of a file of a part,
    ``sizes`` lists the raws by path, ``excluded`` the paths that the table excludes, and ``conditions`` report what matches
    nothing.
    """

    count: int
    parts: Mapping[str, FilePart]
    locate: Callable[[str], str]
    sizes: Callable[[], Mapping[str, int]]
    excluded: Callable[[], Collection[str]]
    conditions: tuple[Condition, ...] = ()


def list_files(context: Context, spec: RawSpec) -> RawFiles:
    """Return the files of a table: those that Rucio has, or those in its folders."""
    return _list_files_in_rucio(context, spec) if spec.delivered_by else _list_files_on_storage(context, spec)


@dataclass(frozen=True)
class RawNames:
    """Decides by its path whether a file is a raw of a table."""

    wanted: re.Pattern[str]
    excluded: re.Pattern[str] | None

    @classmethod
    def compile(cls, spec: RawSpec) -> RawNames:
        """Return the names of a table."""
        patterns = [_translate(pattern) for pattern in spec.exclude]
        return cls(re.compile(spec.files), re.compile("|".join(patterns)) if patterns else None)

    def select(self, files: Iterable[FileFacts]) -> list[FileFacts]:
        """Return the files that are raws of the table."""
        search = self.wanted.search
        wanted = [file for file in files if search(file.name)]
        return wanted if self.excluded is None else [file for file in wanted if not self.excludes(file.name)]

    def excludes(self, path: str) -> bool:
        """Return True for a file that the table excludes."""
        return self.excluded is not None and self.excluded.search(path) is not None


def _translate(pattern: str) -> str:
    """Return the regular expression for a shell pattern of a name, or of the end of a path, whose ``*`` matches slashes, too."""
    text = fnmatch.translate(pattern)
    return f"(?:^|/){text}" if "/" in pattern else f"(?:^|/)(?=[^/]*$){text}"


def _list_files_on_storage(context: Context, spec: RawSpec) -> RawFiles:
    """List the files in the table's folders."""
    names = RawNames.compile(spec)
    found: dict[str, int] = {}
    excluded: list[str] = []
    empty = []
    for location in spec.list_locations():
        paths = context.find_files([location], spec.files)
        excluded += filter(names.excludes, paths)
        raws = [path for path in paths if not names.excludes(path)]
        found |= dict.fromkeys(raws, 0)
        if not raws:
            empty.append(location)
    text = f"no file in {', '.join(empty)} matches {spec.files}"
    conditions = (Condition(DifferenceKind.DEGRADED, text, field="locations"),) if empty else ()
    parts = {"files": FilePart(digest_files(found), lambda: found)}
    return RawFiles(len(found), parts, str, lambda: found, lambda: excluded, conditions)


def _list_files_in_rucio(context: Context, spec: RawSpec) -> RawFiles:
    """Describe the files in the Rucio datasets of a table; those of open datasets are listed, as they may change unnoticed."""
    facts, unregistered = find_datasets(context, spec.delivered_by)
    text = f"waiting for {', '.join(unregistered)}, not registered in Rucio yet"
    conditions = (Condition(DifferenceKind.WAITING, text, field="delivered_by"),) if unregistered else ()
    opened = _find_open(facts)
    closed = {did: found for did, found in facts.items() if did not in opened}
    in_open_datasets = context.rucio.files(opened)  # one list for all of them
    names, folders = RawNames.compile(spec), LocalFolders(spec.list_locations())

    def list_raws(did: str) -> dict[str, int]:
        return {file.name: file.size for file in names.select(context.rucio.files([did]))}

    @functools.cache
    def find_sizes() -> dict[str, int]:
        listed = context.rucio.files_by_dataset(list(facts)).values()
        return {folders.locate(file.name): file.size for files in listed for file in names.select(files)}

    def find_excluded() -> list[str]:
        if names.excluded is None:
            return []
        return [folders.locate(file.name) for file in context.rucio.files(list(facts)) if names.excludes(file.name)]

    parts = {}
    for did, found in facts.items():
        digest = f"{found.length} {found.bytes} {found.updated_at}" if did in closed else digest_files(list_raws(did))
        parts[did] = FilePart(digest, functools.partial(list_raws, did))
    count = sum(found.length or 0 for found in closed.values()) + len(in_open_datasets)
    return RawFiles(count, parts, folders.locate, find_sizes, find_excluded, conditions)


def _find_open(facts: Mapping[str, DidFacts]) -> list[str]:
    """Return the DIDs whose files have to be listed, because they may change without a trace in what is recorded of them.

    These are open datasets, and containers, since datasets in a closed one may be open.
    """
    return [did for did, found in facts.items() if found.length is None or found.is_open or found.type == "CONTAINER"]


def prefetch_datasets(context: Context, spec: RawSpec, *, of_closed: bool) -> list[list[str]]:
    """Query the Rucio datasets of a table, and return those whose files will be listed together, of closed ones if asked for."""
    facts, _ = find_datasets(context, spec.delivered_by)
    return [batch for batch in (_find_open(facts), list(facts) if of_closed else []) if batch]

"""The files that exist of raws: those that a walk over folders finds, or those in Rucio datasets."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.kinds.raw.spec import RawSpec
from reconciler.kinds.shared.delivered_files import find_datasets
from reconciler.kinds.shared.delivery import local_path
from reconciler.kinds.shared.grown_raws import FilePart, digest_files

if TYPE_CHECKING:
    from reconciler.systems.context import Context


@dataclass(frozen=True)
class RawFiles:
    """The files that exist of the raws of a table, which are listed only if that is needed.

    ``count`` is the number of all files, ``parts`` are what they consist of, ``locate`` returns the path of a file of a part,
    ``sizes`` lists the raws by path, and ``conditions`` report what matches nothing.
    """

    count: int
    parts: Mapping[str, FilePart]
    locate: Callable[[str], str]
    sizes: Callable[[], Mapping[str, int]]
    conditions: tuple[Condition, ...] = ()


def list_files(context: Context, spec: RawSpec) -> RawFiles:
    """Return the files of a table: those that Rucio has, or those in its folders."""
    return _list_files_in_rucio(context, spec) if spec.delivered_by else _list_files_on_storage(context, spec)


def _list_files_on_storage(context: Context, spec: RawSpec) -> RawFiles:
    """List the files in the table's folders."""
    found: dict[str, int] = {}
    empty = []
    for location in spec.locations:
        paths = context.find_files([location], spec.files)
        found |= dict.fromkeys(paths, 0)
        if not paths:
            empty.append(location)
    text = f"no file in {', '.join(empty)} matches {spec.files}"
    conditions = (Condition(DifferenceKind.DEGRADED, text, field="locations"),) if empty else ()
    return RawFiles(len(found), {"files": FilePart(digest_files(found), lambda: found)}, str, lambda: found, conditions)


def _list_files_in_rucio(context: Context, spec: RawSpec) -> RawFiles:
    """Describe the files in the Rucio datasets of a table; those of open datasets are listed, as they may change unnoticed."""
    facts, unregistered = find_datasets(context, spec.delivered_by)
    text = f"waiting for {', '.join(unregistered)}, not registered in Rucio yet"
    conditions = (Condition(DifferenceKind.WAITING, text, field="delivered_by"),) if unregistered else ()
    closed = {did: found for did, found in facts.items() if found.length is not None and not found.is_open}
    in_open_datasets = context.rucio.files(did for did in facts if did not in closed)  # one list for all of them
    names = re.compile(spec.files)

    def list_raws(did: str) -> dict[str, int]:
        return {file.name: file.size for file in context.rucio.files([did]) if names.search(file.name)}

    parts = {}
    for did, found in facts.items():
        digest = f"{found.length} {found.bytes} {found.updated_at}" if did in closed else digest_files(list_raws(did))
        parts[did] = FilePart(digest, functools.partial(list_raws, did))
    count = sum(found.length or 0 for found in closed.values()) + len(in_open_datasets)
    return RawFiles(count, parts, functools.partial(locate, spec), lambda: _find_sizes(context, spec, list(facts)), conditions)


def _find_sizes(context: Context, spec: RawSpec, dids: Sequence[str]) -> dict[str, int]:
    """Return the size of each raw in some Rucio datasets, by the path that it has here once it is delivered."""
    names = re.compile(spec.files)
    sizes = {}
    for file in context.rucio.files(dids):
        if names.search(file.name):
            sizes[locate(spec, file.name)] = file.size
    return sizes


def locate(spec: RawSpec, name: str) -> str:
    """Return the path here of a file in Rucio: below the location whose end its name repeats, which gives the shortest path."""
    return min((local_path(location, name) for location in spec.locations), key=len)

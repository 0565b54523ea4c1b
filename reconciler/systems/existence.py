"""Which tokens of the dependency graph exist live, whoever made them."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from reconciler.patterns import Glob

if TYPE_CHECKING:
    from reconciler.systems.context import Context


def find_existing_tokens(context: Context, tokens: Collection[str]) -> set[str]:
    """Return the tokens that exist live.

    Parameters
    ----------
    context : `Context`
        The live systems.
    tokens : `Collection` [`str`]
        Such as ``collection:HSC/raw/a`` or ``did:raw:x``; a `Glob` is a pattern.

    Raises
    ------
    reconciler.errors.ObserveError
        If a system can't be asked.
    """
    by_kind: dict[str, list[str]] = defaultdict(list)
    for token in tokens:
        kind, _, name = token.partition(":")
        by_kind[kind].append(Glob(name) if isinstance(token, Glob) else name)
    return {f"{kind}:{name}" for kind, names in by_kind.items() if kind in _FINDERS for name in _FINDERS[kind](context, names)}


def _match(known: Collection[str], names: Collection[str]) -> set[str]:
    return {name for name in names if name in known or (isinstance(name, Glob) and fnmatch.filter(known, name))}


def _find_collections(context: Context, names: Collection[str]) -> set[str]:
    return _match(context.butler.collections(), names)


def _find_dataset_types(context: Context, names: Collection[str]) -> set[str]:
    return _match(context.butler.dataset_types(), names)


def _find_instruments(context: Context, names: Collection[str]) -> set[str]:
    return _match({record.name for record in context.butler.records("instrument")}, names)


def _find_skymaps(context: Context, names: Collection[str]) -> set[str]:
    return _match({record.name for record in context.butler.records("skymap")}, names)


def _find_visits(context: Context, names: Collection[str]) -> set[str]:
    return _match({record.instrument for record in context.butler.records("visit_system")}, names)


def _find_dids(context: Context, names: Collection[str]) -> set[str]:
    globs = [name for name in names if isinstance(name, Glob) and name.has_wildcard]
    exact = context.rucio.dids([name for name in names if name not in globs])
    return set(exact) | {name for name in globs if context.rucio.matching(name)}


def _find_systems(context: Context, names: Collection[str]) -> set[str]:
    return {name for name in names if name != "butler" or context.butler.ready}


_FINDERS: dict[str, Callable[[Context, Collection[str]], set[str]]] = {
    "collection": _find_collections,
    "dataset_type": _find_dataset_types,
    "instrument": _find_instruments,
    "skymap": _find_skymaps,
    "visits": _find_visits,
    "did": _find_dids,
    "system": _find_systems,
}

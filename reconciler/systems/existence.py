"""Which tokens of the dependency graph exist live, whoever made them."""

from __future__ import annotations

import fnmatch
import functools
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


def find_existing_names(context: Context, kind: str) -> Collection[str]:
    """Return the names that exist live of one kind of token; none for DIDs, of which Rucio may have millions."""
    return _LISTS[kind](context) if kind in _LISTS else ()


def _match(known: Collection[str], names: Collection[str]) -> set[str]:
    return {name for name in names if name in known or (isinstance(name, Glob) and fnmatch.filter(known, name))}


def _list_collections(context: Context) -> Collection[str]:
    return context.butler.collections()


def _list_dataset_types(context: Context) -> Collection[str]:
    return context.butler.dataset_types()


def _list_instruments(context: Context) -> Collection[str]:
    return {record.name for record in context.butler.records("instrument")}


def _list_skymaps(context: Context) -> Collection[str]:
    return {record.name for record in context.butler.records("skymap")}


def _list_instruments_with_visits(context: Context) -> Collection[str]:
    return {record.instrument for record in context.butler.records("visit_system")}


def _find_listed(kind: str, context: Context, names: Collection[str]) -> set[str]:
    return _match(_LISTS[kind](context), names)


def _find_dids(context: Context, names: Collection[str]) -> set[str]:
    globs = [name for name in names if isinstance(name, Glob) and name.has_wildcard]
    exact = context.rucio.dids([name for name in names if name not in globs])
    return set(exact) | {name for name in globs if context.rucio.matching(name)}


def _find_systems(context: Context, names: Collection[str]) -> set[str]:
    return {name for name in names if name != "butler" or context.butler.ready}


_LISTS: dict[str, Callable[[Context], Collection[str]]] = {
    "collection": _list_collections,
    "dataset_type": _list_dataset_types,
    "instrument": _list_instruments,
    "skymap": _list_skymaps,
    "visits": _list_instruments_with_visits,
}

_FINDERS: dict[str, Callable[[Context, Collection[str]], set[str]]] = {
    **{kind: functools.partial(_find_listed, kind) for kind in _LISTS},
    "did": _find_dids,
    "system": _find_systems,
}

"""Check that what the data IDs of new datasets name, such as a detector, exists or comes from a table of the state.

The Butler would find out at the ingest, after other things have been written.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.engine.model import Condition, DifferenceKind, JsonObject, Members, Observed
from reconciler.errors import did_you_mean

if TYPE_CHECKING:
    from reconciler.systems.context import Context

OWNERS = {"instrument": "", "skymap": "", "detector": "instrument", "physical_filter": "instrument", "exposure": "instrument",
          "visit": "instrument", "tract": "skymap"}  # fmt: skip
"""The dimensions that are checked, each with the one that its values belong to."""
FIELD = "data IDs"
"""The field of the conditions."""


def split_resolvable(context: Context, members: Members, source: str) -> tuple[Members, tuple[Condition, ...]]:
    """Leave out the missing members whose data IDs name something that doesn't exist and that no table brings.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems; they are asked once for each dimension, and only if members are missing.
    members : `Members`
        Missing members have the dimensions of their data IDs as keys.
    source : `str`
        The file that names them, for messages.

    Returns
    -------
    members : `Members`
        Without them among the missing ones.
    conditions : `tuple` [`Condition`, ...]
        What they name.
    """
    unknown = _find_unknown(context, members.missing)
    if not unknown:
        return members, ()
    wrong: dict[str, list[JsonObject]] = defaultdict(list)
    kept = []
    for member in members.missing:
        text = next(filter(None, (unknown.get(key) for key in _keys(member))), "")
        if text:
            wrong[text].append(member)
        else:
            kept.append(member)
    conditions = []
    for text, found in wrong.items():
        count = "1 file names" if len(found) == 1 else f"{len(found):,} files name"
        conditions.append(Condition(DifferenceKind.BLOCKED, f"{count} {text}; correct {source}", tuple(found), FIELD))
    return dataclasses.replace(members, missing=tuple(kept)), tuple(conditions)


def has_unresolvable(observed: Observed[Any]) -> bool:
    """Return True if `split_resolvable` left out members."""
    return any(condition.field == FIELD for condition in observed.conditions)


Key = tuple[str, Hashable, Hashable]
"""A dimension, the value that it belongs to, such as an instrument, and its own value."""


def _keys(member: JsonObject) -> Iterator[Key]:
    for dimension, owner in OWNERS.items():
        if dimension in member and (not owner or owner in member):
            yield dimension, member[owner] if owner else "", member[dimension]


def _find_unknown(context: Context, members: Sequence[JsonObject]) -> dict[Key, str]:
    """Return what doesn't exist and doesn't come, each with a phrase."""
    named: dict[tuple[str, Hashable], set[Any]] = defaultdict(set)
    for member in members:
        for dimension, owner, value in _keys(member):
            named[dimension, owner].add(value)
    unknown: dict[Key, str] = {}
    coming = context.coming.elements
    for (dimension, owner), values in named.items():
        if coming is None or dimension in coming or not context.butler.ready:
            continue
        if not owner:
            known = _list_names(context, dimension)
            for value in values - known:
                text = f'{dimension} "{value}", which no table provides and which doesn\'t exist'
                unknown[dimension, "", value] = text + did_you_mean(str(value), known)
        elif owner in _list_registered(context, OWNERS[dimension]):
            absent = values - _list_values(context, dimension, owner, values)
            for value in absent:
                suggestion = _suggest(context, dimension, owner, value)
                unknown[dimension, owner, value] = f"{dimension} {value} of {owner}, which doesn't exist{suggestion}"
    return unknown


def _list_registered(context: Context, element: str) -> set[str]:
    return {record.name for record in context.butler.records(element)}


def _list_names(context: Context, element: str) -> set[Any]:
    """Return the instruments or sky maps that exist, and those of tables."""
    tables = {token.partition(":")[2] for token in context.owners if token.startswith(f"{element}:")}
    return _list_registered(context, element) | tables


def _list_values(context: Context, dimension: str, owner: Hashable, values: Collection[Any]) -> set[Any]:
    """Return those of some values that exist, by one query; numbers of a few are queried by name."""
    attribute = "name" if dimension == "physical_filter" else "id"
    numbers = sorted(value for value in values if isinstance(value, int))
    where = f"{dimension} IN ({', '.join(map(str, numbers))})" if numbers and len(numbers) <= 500 else ""
    records: Iterable[Any] = context.butler.records(dimension, where, **{OWNERS[dimension]: owner})
    return {getattr(record, attribute) for record in records}


def _suggest(context: Context, dimension: str, owner: Hashable, value: Any) -> str:
    if dimension == "physical_filter":
        return did_you_mean(str(value), _list_values(context, dimension, owner, ()))
    if dimension == "detector":
        existing: Mapping[str, Any] = {str(number): number for number in _list_values(context, dimension, owner, ())}
        return f"; its {len(existing)} detectors are {min(existing.values())} to {max(existing.values())}" if existing else ""
    return ""

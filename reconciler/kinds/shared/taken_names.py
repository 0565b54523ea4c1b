"""Names of collections that something else has: the Butler can't change the type of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind

if TYPE_CHECKING:
    from reconciler.systems.context import Context


def find_taken_name(context: Context, name: str, wanted: str) -> tuple[Condition, ...]:
    """Return a conflict if a collection of another type has the name; nothing if there is none, or one of the type.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    name : `str`
        The collection.
    wanted : `str`
        The type that it has to have, such as RUN.

    Raises
    ------
    reconciler.errors.ObserveError
        If the repository can't be queried.
    """
    collection = context.butler.collections().get(name)
    if collection is None or collection.type == wanted:
        return ()
    return (Condition(DifferenceKind.CONFLICT, f"the name is taken by a {collection.type} collection"),)

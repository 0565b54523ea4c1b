"""Names in a table that only the live systems can confirm: dataset types and query expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import StateError, did_you_mean

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class HasExpression(Protocol):
    """A table with a query expression."""

    @property
    def where(self) -> str:
        """The expression; empty for none."""


def check_expressions(context: Context, desired: Mapping[str, HasExpression]) -> None:
    """Check the query expressions of tables, before any of them is used.

    Raises
    ------
    reconciler.errors.StateError
        If one is invalid.
    """
    wrong: list[str] = []
    for where in dict.fromkeys(spec.where for spec in desired.values()):
        try:
            context.butler.check_expression(where)
        except StateError as error:
            wrong += error.problems
    if wrong:
        raise StateError(wrong)


def is_coming(context: Context, dataset_type: str) -> bool:
    """Return True if a table of the state may define a dataset type."""
    return context.coming.all_types or dataset_type in context.coming.dataset_types


def explain_unknown_type(context: Context, dataset_type: str) -> str:
    """Return that there is no such dataset type, and which one was probably meant; nothing if there is one."""
    known = context.butler.dataset_types()
    if dataset_type in known:
        return ""
    suggestion = did_you_mean(dataset_type, {*known, *context.coming.dataset_types} - {dataset_type})
    if is_coming(context, dataset_type):
        return f"dataset type {dataset_type} doesn't exist yet" + (suggestion if context.coming.all_types else "")
    return f'dataset type "{dataset_type}" is neither in this file nor in the repository{suggestion}'

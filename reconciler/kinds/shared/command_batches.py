"""Run a ``butler`` subcommand on many items so that one of them that it can't handle keeps no other out.

A subcommand may end at such an item, as ingest-raws does at a filter that isn't registered. It is then run again on each half of
its items, and so on until the item is alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import ApplyError

if TYPE_CHECKING:
    from reconciler.systems.butler.command_failures import ItemFailure
    from reconciler.systems.butler.commands import CommandReport
    from reconciler.systems.context import Context
    from reconciler.systems.worker_link import Steps

MOST_BROKEN_OFF = 60
"""Commands that may break off before the rest is given up: enough for some bad items among thousands, at a second for each."""

MOST_REASONS = 5
"""Reasons that are listed before that of an outage."""

T = TypeVar("T")


def run_in_batches(
    context: Context,
    batches: Sequence[Sequence[T]],
    write_arguments: Callable[[Sequence[T]], list[str]],
    *,
    runs: Collection[str] = (),
    on_steps: Callable[[Steps], None] | None = None,
) -> Iterator[tuple[Sequence[T], CommandReport]]:
    """Run a subcommand on batches of items, and yield each batch that it came through, or part of one at which it breaks off.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    batches : sequence of sequence
        The items of each command.
    write_arguments : callable
        Returns the subcommand and its arguments for some items.
    runs : collection of `str`
        RUN collections that it writes.
    on_steps : callable, optional
        Called with the number of items that were read and handled.

    Raises
    ------
    reconciler.errors.ApplyError
        If a command broke off because of something that concerns all items.
    """
    broken_off = 0
    left = [batch for batch in batches if batch]
    while left:
        current, left = left, []
        for number, report in context.commands.run_partly([write_arguments(batch) for batch in current], runs, on_steps):
            batch = current[number]
            if report.error and report.concerns_all:
                raise ApplyError(report.error, report.hints)
            if any(failure.is_outage for failure in report.failures):
                raise ApplyError(list(_list_reasons(report.failures)))
            broken_off += bool(report.error)
            if report.error and len(batch) > 1 and broken_off <= MOST_BROKEN_OFF:
                middle = len(batch) // 2
                left += [batch[:middle], batch[middle:]]
            else:
                yield batch, report


def _list_reasons(failures: Sequence[ItemFailure]) -> Iterator[str]:
    """Yield the reasons up to that of the first outage, each once: one of them may be why the registry fails."""
    seen: set[str] = set()
    for failure in failures:
        if (failure.reason not in seen and len(seen) < MOST_REASONS) or failure.is_outage:
            yield failure.reason
        seen.add(failure.reason)
        if failure.is_outage:
            return

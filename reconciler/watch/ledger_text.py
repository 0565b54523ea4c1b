"""A ledger as lines for a terminal and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from reconciler.report.formatting import Line, format_size, plural
from reconciler.watch.ledger import Ledger, LedgerRow, Repair

MOST_ROWS = 50
MOST_NAMES = 4
MOST_COMMANDS = 3
COLUMNS = ("resource", "night", "detector", "dataset", "in_rucio", "in_butler", "on_storage", "checked", "problem", "missing")


def report_ledger(ledger: Ledger, *, all_rows: bool = False) -> Iterator[Line]:
    """Yield the ledger of one resource: the totals, the rows that differ or all, and how each problem is repaired."""
    storage = f"{ledger.on_storage:,} of {ledger.checked:,} checked are on storage" if ledger.checked else "storage not checked"
    counts = f"{ledger.in_rucio:,} in Rucio at {ledger.rse}, {ledger.in_butler:,} in the Butler, {storage}"
    verdict = "agree" if ledger.agrees else "differ"
    yield Line(f"{ledger.address}: {verdict}: {counts}", "green" if ledger.agrees else "yellow", bold=not ledger.agrees)
    rows = [row for row in ledger.rows if row.problem or all_rows]
    yield from _list_rows(rows if all_rows else rows[:MOST_ROWS], by_night=ledger.by_night)
    if len(rows) > MOST_ROWS and not all_rows:
        yield Line(f"  … and {plural(len(rows) - MOST_ROWS, 'more row')}; -v lists all, --format csv and json too")
    for pattern in ledger.unregistered:
        yield Line(f"  not registered: no Rucio dataset matches {pattern}", "yellow")
    for repair in ledger.repairs:
        yield from _list_repair(repair)
    if ledger.waiting_bytes:
        yield Line(f"  {format_size(ledger.waiting_bytes)} not delivered yet")


def _list_rows(rows: Sequence[LedgerRow], *, by_night: bool) -> Iterator[Line]:
    if not rows:
        return
    names = [_name_row(row, by_night=by_night) for row in rows]
    title = f"{'night':<10}{'detector':<8}" if by_night else "dataset"
    width = max(len(title), *map(len, names))
    yield Line(f"  {title:<{width}}   in Rucio   in Butler   on storage")
    for name, row in zip(names, rows, strict=True):
        storage = "-" if row.on_storage is None else f"{row.on_storage:,} of {row.checked:,}"
        text = f"  {name:<{width}}   {row.in_rucio:>8,}   {row.in_butler:>9,}   {storage:>10}"
        if not row.problem:
            yield Line(text)
            continue
        rest = len(row.missing) - MOST_NAMES
        more = f" and {rest:,} more" if rest > 0 else ""
        yield Line(f"{text}   {row.problem}: {', '.join(row.missing[:MOST_NAMES])}{more}", "yellow")


def _name_row(row: LedgerRow, *, by_night: bool) -> str:
    if not by_night:
        return row.dataset or "(no dataset)"
    return f"{row.night or '?':<10}{row.detector if row.detector >= 0 else '?'}"


def _list_repair(repair: Repair) -> Iterator[Line]:
    yield Line(f"  {repair.problem.value}: {plural(repair.count, 'file')}")
    for command in repair.commands[:MOST_COMMANDS]:
        yield Line(f"    {command}" if command.startswith("#") else f"    $ {command}")
    if len(repair.commands) > MOST_COMMANDS:
        yield Line(f"    … and {plural(len(repair.commands) - MOST_COMMANDS, 'more command')}; --format json lists them")


def ledgers_as_csv(ledgers: Iterable[Ledger]) -> str:
    """Return all rows as CSV with a header, and one for each pattern that no Rucio dataset matches.

    Names of missing files are separated by spaces.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for ledger in ledgers:
        for row in ledger.rows:
            night, detector = (row.night or "", row.detector if row.detector >= 0 else "") if ledger.by_night else ("", "")
            storage = "" if row.on_storage is None else row.on_storage
            answers = (row.in_rucio, row.in_butler, storage, row.checked)
            writer.writerow([ledger.address, night, detector, row.dataset, *answers, row.problem, " ".join(row.missing)])
        for pattern in ledger.unregistered:
            writer.writerow([ledger.address, "", "", pattern, 0, "", "", 0, "not registered", ""])
    return stream.getvalue()

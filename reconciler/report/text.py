"""A diff as an operator reads it: lines that mean the same with and without colour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.engine.kind import Kind
from reconciler.engine.model import Action, DifferenceKind, Members
from reconciler.engine.plan import Entry, Plan
from reconciler.engine.removal_limits import count_pruned, count_removals
from reconciler.errors import ReconcileError
from reconciler.report import summary
from reconciler.report.entry_text import COLOURS, EntryText, describe_missing
from reconciler.report.formatting import Line, count_of, format_seconds, in_columns, plural, without_name
from reconciler.report.members import list_members
from reconciler.systems.stats import Stats

FEWEST_ALIKE = 4
"""Number of resources that differ alike from which on they are one entry."""


def format_header(plan: Plan, butler: str | None, rucio: str | None) -> Iterator[Line]:
    """Yield two lines: what the state is for, and the live systems; one that is `None` is left out."""
    state = plan.state
    yield Line(" · ".join(part for part in (state.name, state.title, state.ticket) if part), bold=True)
    systems = [f"Butler  {butler}" if butler else "", f"Rucio  {rucio}" if rucio else ""]
    yield Line("     ".join(part for part in systems if part))


def report_plan(plan: Plan, elapsed: float, *, verbose: bool = False, prune: bool = False) -> Iterator[Line]:
    """Yield the report of a plan: differences, removals, risks, unknown resources, summary; if all is in sync, only the summary.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    elapsed : `float`
        Seconds that it took.
    verbose : `bool`
        Whether to list resources that are in sync, and notes; without notes if everything is in sync.
    prune : `bool`
        Whether unwanted members are going to be removed.
    """
    if plan.in_sync:
        if verbose:
            yield from map(_in_sync, plan.entries)
        yield summarize(plan, elapsed)
        return
    differing = list(_report_each(plan) if verbose else _report_alike(plan))
    rest = list(_report_rest(plan, prune=prune))
    yield from differing
    yield from rest if differing else rest[1:]  # an empty line follows the header already
    yield Line("")
    yield summarize(plan, elapsed)


def _report_rest(plan: Plan, *, prune: bool) -> Iterator[Line]:
    """Yield removals, risks and what is unknown, each after an empty line."""
    yield from report_removals(plan, prune=prune)
    yield from report_risks(plan)
    yield from report_unknown(plan)


def report_known_plan(plan: Plan, elapsed: float, *, prune: bool = False) -> Iterator[Line]:
    """Yield what an operator should see again of a plan that was shown earlier: removals, risks, what is unknown, the summary."""
    shown = list(_report_rest(plan, prune=prune))
    yield from shown[1:]  # without the empty line that separates it from a diff
    if shown:
        yield Line("")
    yield summarize(plan, elapsed)


def _report_each(plan: Plan) -> Iterator[Line]:
    """Yield the lines about every resource; a note of several resources of one table in the file is shown once."""
    noted: set[tuple[str, int]] = set()
    for entry in plan.entries:
        lines = list(report_entry(plan, entry))
        if lines:
            yield _title(plan, entry)
            yield from lines
        elif entry.in_sync:
            yield _in_sync(entry)
        table = (entry.address.kind, plan.state.lines.get(entry.address, 1))
        if entry.spec.note and table not in noted and (entry.differences or entry.in_sync):
            noted.add(table)
            yield Line(f"  note: {' '.join(entry.spec.note.split())}")


def _report_alike(plan: Plan) -> Iterator[Line]:
    """Yield the lines about what differs; many resources of one kind that differ alike are one entry with their number."""
    absent = _find_absent_tables(plan)
    groups: dict[tuple[str, tuple[Line, ...]], list[Entry]] = defaultdict(list)
    for entry in plan.entries:
        alike = (line._replace(text=without_name(line.text, entry.address.name)) for line in report_entry(plan, entry))
        lines = absent.get(entry.address.kind) or tuple(alike)
        if lines:
            groups[entry.address.kind, lines].append(entry)
    keys = {entry.address: key for key, group in groups.items() for entry in group}
    for entry in plan.entries:
        group = groups[keys[entry.address]] if entry.address in keys else []
        if 0 < len(group) < FEWEST_ALIKE:
            yield _title(plan, entry)
            yield from report_entry(plan, entry)
        elif group and entry is group[0]:
            yield Line(in_columns(f"{entry.address.kind} × {len(group):,}", _places(plan, group)), bold=True)
            yield from keys[entry.address][1]
            if len(group) < sum(other.address.kind == entry.address.kind for other in plan.entries):
                names = ", ".join(other.address.name for other in group[: FEWEST_ALIKE - 1])
                yield Line(f"      {names}, and {len(group) - FEWEST_ALIKE + 1:,} more (see -v)")


def _find_absent_tables(plan: Plan) -> dict[str, tuple[Line, ...]]:
    """Return the kinds of which many resources are in the plan and all are absent, with the lines about all of them together."""
    kinds: dict[str, list[Entry]] = defaultdict(list)
    for entry in plan.entries:
        kinds[entry.address.kind].append(entry)
    return {
        kind: tuple(_report_absent_table(plan.state.kinds[kind], entries))
        for kind, entries in kinds.items()
        if len(entries) >= FEWEST_ALIKE and all(_is_only_absent(entry) for entry in entries)
    }


def _is_only_absent(entry: Entry) -> bool:
    kinds = {difference.kind for difference in entry.differences}
    absent = any(d.kind is DifferenceKind.MAKE and d.field is None for d in entry.differences)
    return absent and kinds <= {DifferenceKind.MAKE, DifferenceKind.WAITING, DifferenceKind.LATER}


def _report_absent_table(kind: Kind[Any, Any], entries: Sequence[Entry]) -> Iterator[Line]:
    """Yield that a table is missing, with the numbers of all its members, or the reason that all its resources share."""
    text = describe_missing(entries)
    if not text:
        reasons = {without_name(EntryText(kind, entry).describe_absence(), entry.address.name) for entry in entries}
        text = reasons.pop() if len(reasons) == 1 else "missing"
    yield Line(f"  + {text}", COLOURS[DifferenceKind.MAKE])
    waiting = sum(entry.has(DifferenceKind.WAITING) for entry in entries)
    if waiting:
        yield Line(f"  … {waiting:,} waiting for deliveries", COLOURS[DifferenceKind.WAITING])


def _places(plan: Plan, group: Sequence[Entry]) -> str:
    """Return where the tables of some resources are, such as ``ccms1.toml:79`` or ``ccms1.toml:79-132``."""
    lines = sorted({plan.state.lines.get(entry.address, 1) for entry in group})
    first = plan.state.where(min(group, key=lambda entry: plan.state.lines.get(entry.address, 1)).address)
    return first if len(lines) == 1 else f"{first}-{lines[-1]}"


def report_entry(plan: Plan, entry: Entry) -> Iterator[Line]:
    """Yield the lines about what differs in one resource, without its title and without what is to be removed."""
    shown = [difference for difference in entry.differences if difference.kind is not DifferenceKind.REMOVE]
    if shown:
        yield from EntryText(plan.state.kind_of(entry.address), entry).lines(shown)


def report_unchecked_needs(plan: Plan) -> Iterator[Line]:
    """Yield a line about what the chosen resources need that was not chosen; none if nothing was left out."""
    chosen = {entry.address for entry in plan.entries}
    needed = {other for address in chosen for other in plan.graph.needs[address]} - chosen
    if needed:
        names = ", ".join(str(address) for address in plan.graph.order if address in needed)
        yield Line(f"Not checked, but needed: {names}; --with-needs includes them.")


def format_stats(counts: Stats) -> Iterator[Line]:
    """Yield the number of queries and calls, and the time of each phase, the longest first."""
    yield Line(f"{plural(counts.statements, 'SQL statement')}, {plural(counts.calls, 'Rucio call')}")
    for phase, taken in sorted(counts.seconds.items(), key=lambda item: -item[1]):
        yield Line(f"  {phase:<24} {taken:7.3f} s")


def _in_sync(entry: Entry) -> Line:
    compared = [_compared(part) for part in (entry.observed.members if entry.observed else ())]
    if entry.observed and entry.observed.unobserved:
        compared.append(f"not compared: {', '.join(entry.observed.unobserved)}")
    return Line(f"  = {entry.address}" + (f"   {', '.join(compared)}" if compared else ""))


def _compared(part: Members) -> str:
    return f"{count_of(part.present, part.field)} by {part.compared}"


def _title(plan: Plan, entry: Entry) -> Line:
    return Line(in_columns(entry.address, plan.state.where(entry.address)), bold=True)


def report_removals(plan: Plan, *, prune: bool) -> Iterator[Line]:
    """Yield what is unwanted, after an empty line and a title; nothing if nothing is."""
    unwanted = [(entry, d) for entry in plan.entries for d in entry.differences if d.kind is DifferenceKind.REMOVE]
    if not unwanted:
        return
    yield Line("")
    yield Line("To be removed:" if prune else "Unwanted, and kept without --prune:", "red", bold=True)
    for entry, difference in unwanted:
        yield _title(plan, entry)
        protected = "   (protected: kept)" if entry.spec.protect else ""
        yield Line(f"  - {count_of(len(difference.members), difference.field or 'members')}{protected}", "red")
        kind = plan.state.kind_of(entry.address)
        yield from (Line(f"      {text}") for text in list_members(kind, difference.members))


def report_risks(plan: Plan) -> Iterator[Line]:
    """Yield what can't be undone, after an empty line and a title; what several actions have in common once."""
    risks: dict[str, list[Action]] = defaultdict(list)
    for action in plan.actions:
        if action.risk:
            risks[action.risk].append(action)
    if not risks:
        return
    yield Line("")
    yield Line("Consider before applying:", "yellow", bold=True)
    for text, actions in risks.items():
        more = f" and {plural(len(actions) - 1, 'other')}" if len(actions) > 1 else ""
        yield Line(f"  ! {actions[0].address}{more}: {text}", "yellow")


def report_unknown(plan: Plan) -> Iterator[Line]:
    """Yield what could not be checked, each cause once and after an empty line, and then what was checked all the same."""
    causes: dict[str, list[Entry]] = defaultdict(list)
    for entry in plan.unknown:
        causes[str(entry.error)].append(entry)
    for message, entries in causes.items():
        kinds = list(dict.fromkeys(entry.address.kind for entry in entries))
        names = str(entries[0].address) if len(entries) == 1 else ", ".join(f"{kind}.*" for kind in kinds)
        yield Line("")
        first, *others = message.split("\n")
        yield Line(f"? error: {names}: {first}", "red", bold=True)
        error = entries[0].error
        yield from (Line(f"  {text}", "red") for text in (*others, *(error.hints if error is not None else ())))
    known = len(plan.entries) - len(plan.unknown)
    if causes and known:
        differ = len(plan.differing)
        count = f"{plural(known, 'resource')}, {differ:,} {'differs' if differ == 1 else 'differ'}"
        yield Line(f"  The rest was checked: {count}. {plural(len(plan.unknown), 'resource')} unknown.")


def report_refusal(refusal: ReconcileError | None) -> Iterator[Line]:
    """Yield why an apply would refuse this plan, and what to do."""
    if refusal is not None:
        yield Line(f"An apply is refused: {refusal}.", "yellow")
        yield from (Line(f"  {hint}") for hint in refusal.hints)


def summarize(plan: Plan, elapsed: float) -> Line:
    """Return the last line of a report: that all is in sync, or what differs and what is to be done about it."""
    counts = summary.summarize(plan)
    if plan.in_sync:
        quick = f" {counts.by_count:,} of them by count only," if counts.by_count else ""
        count = plural(counts.resources, "resource")
        return Line(f"{plan.state.name} is in sync: {count},{quick} checked in {format_seconds(elapsed)}.", "green")
    parts = [f"{counts.to_change:,} to change"] if counts.to_change else []
    rest = [(name.replace("_", " "), getattr(counts, name)) for name, _ in summary.WITHOUT_ACTION]
    parts += [f"{count:,} {name}" for name, count in rest if count]
    verb = "differs" if counts.differing == 1 else "differ"
    text = f"{counts.differing:,} of {plural(counts.resources, 'resource')} {verb}"
    text += f": {', '.join(parts)}." if parts else "."
    if counts.unknown:
        text += f" {plural(counts.unknown, 'resource')} could not be checked."
    if counts.with_unwanted:
        verb = "contains" if counts.with_unwanted == 1 else "contain"
        text += f" {plural(counts.with_unwanted, 'resource')} {verb} unwanted members (see --prune)."
    moved = count_removals(plan) - count_pruned(plan)
    if moved:
        text += f" {plural(moved, 'member')} to remove, as the state asks."
    # What could not be checked may contain unwanted members.
    if not counts.with_unwanted and not moved and not counts.unknown:
        text += " Nothing to remove."
    if counts.by_count:
        text += f" {plural(counts.by_count, 'resource')} compared by count only."
    return Line(f"{text}       {format_seconds(elapsed)}", bold=True)

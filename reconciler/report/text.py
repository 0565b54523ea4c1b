"""What an operator sees of a diff: lines that say the same with and without colour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.engine.model import Difference
from reconciler.engine.plan import Entry, Plan
from reconciler.report.formatting import Line, members, plural, seconds, size
from reconciler.systems.stats import Stats

GLYPHS = {
    "make": "+",
    "change": "~",
    "remove": "-",
    "waiting": "…",
    "unwell": "!",
    "blocked": "!",
    "conflict": "!",
    "failed": "≠",
    "unknown": "?",
    "later": "…",
}
COLOURS = {
    "make": "green",
    "change": "yellow",
    "remove": "red",
    "waiting": "cyan",
    "unwell": "magenta",
    "blocked": "magenta",
    "conflict": "red",
    "failed": "red",
    "unknown": "red",
    "later": "cyan",
}
COLUMN = 72


def header(plan: Plan, butler: str | None, rucio: str | None) -> Iterator[Line]:
    """Say what is looked at.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        The plan.
    butler, rucio : `str` or `None`
        The live systems.

    Yields
    ------
    line : `Line`
        Two lines.
    """
    about = plan.state.header
    yield Line(" · ".join(part for part in (plan.state.name, about.title, about.ticket) if part), bold=True)
    systems = [f"Butler  {butler}" if butler else "", f"Rucio  {rucio}" if rucio else ""]
    yield Line("     ".join(part for part in systems if part))


def diff(plan: Plan, elapsed: float, *, verbose: bool = False, prune: bool = False) -> Iterator[Line]:
    """Say what differs.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        What was found.
    elapsed : `float`
        Seconds it took.
    verbose : `bool`
        Whether resources that are in sync are told too.
    prune : `bool`
        Whether what is not wanted is going to be removed.

    Yields
    ------
    line : `Line`
        In the order of the plan.
    """
    if plan.in_sync:
        if verbose:
            yield from _in_sync(plan.entries)
        yield Line(
            f"{plan.state.name} is in sync: {plural(len(plan.entries), 'resource')}, checked in {seconds(elapsed)}.", "green"
        )
        return
    for entry in plan.entries:
        shown = [d for d in entry.differences if d.sort != "remove"]
        if shown:
            yield _title(plan, entry)
            yield from _entry(entry, shown)
        elif verbose and entry.in_sync:
            yield from _in_sync([entry])
        if verbose and entry.spec.note and (entry.differences or entry.in_sync):
            yield Line(f"  note: {entry.spec.note}")
    yield from _removals(plan, prune)
    yield from _unknown(plan)
    yield Line("")
    yield _summary(plan, elapsed)


def _unknown(plan: Plan) -> Iterator[Line]:
    """Say what could not be checked, once for each cause, and what was checked all the same."""
    causes: dict[str, list[Entry]] = defaultdict(list)
    for entry in plan.unknown:
        causes[str(entry.error)].append(entry)
    for message, entries in causes.items():
        kinds = list(dict.fromkeys(entry.id.kind for entry in entries))
        names = str(entries[0].id) if len(entries) == 1 else ", ".join(f"{kind}.*" for kind in kinds)
        yield Line("")
        yield Line(f"? error: {names}: {message}", "red", bold=True)
        error = entries[0].error
        yield from (Line(f"  {hint}", "red") for hint in (error.hints if error is not None else ()))
    if causes:
        known = len(plan.entries) - len(plan.unknown)
        count = f"{plural(known, 'resource')}, {len(plan.differing):,} differ"
        yield Line(f"  The rest was checked: {count}. {plural(len(plan.unknown), 'resource')} unknown.")


def _in_sync(entries: Sequence[Entry]) -> Iterator[Line]:
    for entry in entries:
        compared = [f"{m.present:,} {m.field} by {m.compared}" for m in (entry.seen.members if entry.seen else ())]
        yield Line(f"  = {entry.id}" + (f"   {', '.join(compared)}" if compared else ""))


def _title(plan: Plan, entry: Entry) -> Line:
    address = str(entry.id)
    return Line(f"{address:<{COLUMN}} {plan.state.where(entry.id)}", bold=True)


def _entry(entry: Entry, differences: Sequence[Difference]) -> Iterator[Line]:
    whole = any(d.sort == "make" and d.field is None for d in differences)
    if whole:
        yield Line(f"  + {_missing(entry, differences)}", COLOURS["make"])
    told_by_condition = any(d.sort == "waiting" and not d.members for d in differences)
    for difference in differences:
        glyph, colour = GLYPHS[difference.sort], COLOURS[difference.sort]
        first = f"  {glyph} "
        if difference.sort == "make":
            if not whole:
                yield Line(first + _count(difference, "missing"), colour)
                yield from (Line(f"      {text}") for text in members(difference.members))
        elif difference.sort == "change":
            for text in _rules(entry) if difference.field == "rules" and entry.actions else _change(difference):
                yield Line(first + text, colour)
                first = "    "
        elif difference.sort == "waiting" and difference.detail == "awaited":
            if not told_by_condition or difference.observed:
                yield Line(first + _count(difference, "not delivered yet"), colour)
                yield from (Line(f"      {text}") for text in members(difference.members))
        elif difference.detail and not (whole and difference.detail == _absence(entry)):
            field = f"{difference.field}: " if difference.field and difference.field != "rules" and difference.members else ""
            yield Line(first + field + difference.detail, colour)
            if difference.field != "rules":
                yield from (Line(f"      {text}") for text in members(difference.members))
    for condition in entry.seen.conditions if entry.seen else ():
        for command in condition.commands:
            yield Line("      $ " + " ".join(command))


def _rules(entry: Entry) -> Iterator[str]:
    """Say what happens to each rule: that tells more than two lists of rules do."""
    for action in entry.actions:
        if rule := action.args.get("rule"):
            yield f"rules   {action.verb} {_value(dict(rule))}: {action.reason}"


def _missing(entry: Entry, differences: Sequence[Difference]) -> str:
    """Say of a resource that is not there at all what it would hold."""
    parts = [
        f"{d.desired:,} {d.field}" for d in differences if d.members and d.field and d.sort in ("make", "waiting") and d.desired
    ]
    if parts:
        return f"missing: {', '.join(dict.fromkeys(parts))}"
    return _absence(entry) or (entry.actions[0].reason if entry.actions else "missing")


def _absence(entry: Entry) -> str:
    return next((d.detail for d in entry.differences if d.sort == "make" and d.field is None), "")


def _count(difference: Difference, words: str) -> str:
    total = sum(int(facts.get("bytes") or 0) for facts in difference.members)
    count = f"{len(difference.members):,} of {difference.desired:,}"
    return f"{difference.field}: {count} {words}" + (f" ({size(total)})" if total else "")


def _change(difference: Difference) -> Iterator[str]:
    there, wanted = difference.observed, difference.desired
    if isinstance(wanted, list) and isinstance(there, list):
        lead = f"{difference.field}   "
        for text in changed_list(there, wanted):
            yield lead + text
            lead = " " * len(lead)
    else:
        yield f"{difference.field}   {_value(there)} → {_value(wanted)}"


def changed_list(there: list[Any], wanted: list[Any]) -> list[str]:
    """Say how one ordered list becomes another.

    Parameters
    ----------
    there, wanted : `list`
        Before and after.

    Returns
    -------
    changes : `list` [`str`]
        What is added, taken out and moved; positions from 1.
    """
    lines = [f"+ {_value(item)} at {at} (of {len(wanted)})" for at, item in enumerate(wanted, 1) if item not in there]
    lines += [f"- {_value(item)}" for item in there if item not in wanted]
    before = [item for item in there if item in wanted]
    after = [item for item in wanted if item in there]
    if before != after:
        moved = [item for item in after if before.index(item) != after.index(item)]
        lines += [f"↕ {_value(item)} from {there.index(item) + 1} to {wanted.index(item) + 1}" for item in moved]
    return lines


def _value(value: Any) -> str:
    if isinstance(value, dict):
        if "rse_expression" in value:
            return f"rule {value['rse_expression']} × {value['copies']}"
        return ", ".join(f"{key} = {inner}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "nothing"
    return "nothing" if value is None else str(value)


def _removals(plan: Plan, prune: bool) -> Iterator[Line]:
    doomed = [(entry, d) for entry in plan.entries for d in entry.differences if d.sort == "remove"]
    if not doomed:
        return
    yield Line("")
    yield Line("To be removed:" if prune else "Not wanted, and left alone without --prune:", "red", bold=True)
    for entry, difference in doomed:
        yield _title(plan, entry)
        protected = "   (protected: stays)" if entry.spec.protect else ""
        yield Line(f"  - {len(difference.members):,} {difference.field}{protected}", "red")
        yield from (Line(f"      {text}") for text in members(difference.members))


def _summary(plan: Plan, elapsed: float) -> Line:
    differing = plan.differing
    act = [entry for entry in plan.entries if entry.actions]
    rest = [entry for entry in differing if not entry.actions]
    parts = [f"{len(act):,} to change"] if act else []
    for word, sorts in (
        ("waiting", ("waiting",)),
        ("in conflict", ("conflict",)),
        ("blocked", ("blocked",)),
        ("unwell", ("unwell",)),
        ("failing", ("failed",)),
    ):
        found = [entry for entry in rest if entry.has(*sorts)]
        rest = [entry for entry in rest if entry not in found]
        if found:
            parts.append(f"{len(found):,} {word}")
    doomed = sum(entry.has("remove") for entry in plan.entries)
    text = f"{len(differing):,} of {plural(len(plan.entries), 'resource')} differ"
    text += f": {', '.join(parts)}." if parts else "."
    if plan.unknown:
        text += f" {plural(len(plan.unknown), 'resource')} could not be checked."
    text += f" {plural(doomed, 'resource')} hold what is not wanted." if doomed else " Nothing to remove."
    return Line(f"{text}       {seconds(elapsed)}", bold=True)


def outside(plan: Plan) -> Iterator[Line]:
    """Say what the chosen resources need that was not chosen.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        Of some resources of a state.

    Yields
    ------
    line : `reconciler.cli.console.Line`
        None if nothing was left out.
    """
    chosen = {entry.id for entry in plan.entries}
    needed = {other for id in chosen for other in plan.graph.needs[id]} - chosen
    if needed:
        names = ", ".join(str(id) for id in plan.graph.order if id in needed)
        yield Line(f"Not looked at, and needed: {names}; --with-needs takes them in.")


def stats(counts: Stats) -> Iterator[Line]:
    """Say what the looking took.

    Parameters
    ----------
    counts : `reconciler.systems.stats.Stats`
        The counts.

    Yields
    ------
    line : `Line`
        The counts, and the phases that took the longest.
    """
    yield Line(f"{plural(counts.statements, 'statement')} of SQL, {plural(counts.calls, 'call')} of Rucio")
    for phase, taken in sorted(counts.seconds.items(), key=lambda item: -item[1]):
        yield Line(f"  {phase:<24} {taken:7.3f} s")

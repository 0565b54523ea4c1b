"""What differs in one resource, as lines of a diff that mean the same with and without colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.engine.kind import Kind
from reconciler.engine.model import Difference, DifferenceKind
from reconciler.engine.plan import Entry
from reconciler.report.formatting import Line, count_of, format_size
from reconciler.report.members import list_members
from reconciler.report.shell import format_command

GLYPHS = {
    DifferenceKind.MAKE: "+",
    DifferenceKind.CHANGE: "~",
    DifferenceKind.REMOVE: "-",
    DifferenceKind.WAITING: "…",
    DifferenceKind.DEGRADED: "!",
    DifferenceKind.BLOCKED: "!",
    DifferenceKind.CONFLICT: "!",
    DifferenceKind.FAILED: "≠",
    DifferenceKind.LATER: "…",
}
COLOURS = {
    DifferenceKind.MAKE: "green",
    DifferenceKind.CHANGE: "yellow",
    DifferenceKind.REMOVE: "red",
    DifferenceKind.WAITING: "cyan",
    DifferenceKind.DEGRADED: "magenta",
    DifferenceKind.BLOCKED: "magenta",
    DifferenceKind.CONFLICT: "red",
    DifferenceKind.FAILED: "red",
    DifferenceKind.LATER: "cyan",
}


class EntryText:
    """The lines about one resource of a plan.

    Parameters
    ----------
    kind : `Kind`
        Its kind.
    entry : `Entry`
        What differs, and what is to be done.
    """

    def __init__(self, kind: Kind[Any, Any], entry: Entry) -> None:
        self.kind, self.entry = kind, entry
        differences = entry.differences
        self.absent = any(d.kind is DifferenceKind.MAKE and d.field is None for d in differences)
        self.absence = next((d.detail for d in differences if d.kind is DifferenceKind.MAKE and d.field is None), "")
        self.has_waiting_text = any(d.kind is DifferenceKind.WAITING and not d.members for d in differences)

    def lines(self, differences: Sequence[Difference]) -> Iterator[Line]:
        """Yield what is missing and some of its differences, with the members of each, and commands that an operator can run."""
        if self.absent:
            yield Line(f"  + {self.describe_absence()}", COLOURS[DifferenceKind.MAKE])
        for difference in differences:
            yield from self._difference(difference)
        for condition in self.entry.observed.conditions if self.entry.observed else ():
            for command in condition.commands:
                yield Line(f"      $ {format_command(command)}")

    def _difference(self, difference: Difference) -> Iterator[Line]:
        if difference.kind is DifferenceKind.MAKE:
            if not self.absent:
                yield from self._counted(difference)
        elif difference.kind is DifferenceKind.CHANGE:
            yield from self._changed(difference)
        elif difference.awaited:
            if not self.has_waiting_text or difference.observed:
                yield from self._counted(difference)
        elif difference.detail and not (self.absent and difference.detail == self.absence):
            field = f"{difference.field}: " if difference.field and difference.listed and difference.members else ""
            yield self._line(difference, field + difference.detail)
            if difference.listed:
                yield from self._members(difference)

    def _line(self, difference: Difference, text: str) -> Line:
        return Line(f"  {GLYPHS[difference.kind]} {text}", COLOURS[difference.kind])

    def _counted(self, difference: Difference) -> Iterator[Line]:
        """Yield how many members are missing, and which."""
        total = sum(int(member.get("bytes") or 0) for member in difference.members)
        size = f" ({format_size(total)})" if total else ""
        count = f"{len(difference.members):,} of {difference.desired:,} {difference.detail}"
        yield self._line(difference, f"{difference.field}: {count}{size}")
        yield from self._members(difference)

    def _members(self, difference: Difference) -> Iterator[Line]:
        yield from (Line(f"      {text}") for text in list_members(self.kind, difference.members))

    def _changed(self, difference: Difference) -> Iterator[Line]:
        """Yield how a key changes; where actions are clearer than two values, what they do."""
        actions = [a for a in self.entry.actions if a.subject and a.changes_field == difference.field]
        if difference.detail:
            texts = [f"{difference.field}   {difference.detail}"]
        elif actions:
            texts = [f"{difference.field}   {action.verb} {action.subject}: {action.reason}" for action in actions]
        else:
            texts = [*self._change(difference)]
        glyph = GLYPHS[difference.kind]
        for number, text in enumerate(texts):
            yield Line(f"  {glyph if number == 0 else ' '} {text}", COLOURS[difference.kind])

    def _change(self, difference: Difference) -> Iterator[str]:
        observed, desired = difference.observed, difference.desired
        if isinstance(desired, list) and isinstance(observed, list):
            lead = f"{difference.field}   "
            for text in list_changes([self._value(item) for item in observed], [self._value(item) for item in desired]):
                yield lead + text
                lead = " " * len(lead)
        else:
            yield f"{difference.field}   {self._value(observed)} → {self._value(desired)}"

    def _value(self, value: Any) -> str:
        if isinstance(value, Mapping):
            return self.kind.describe({key: inner for key, inner in value.items() if inner is not None}).text
        if isinstance(value, list):
            return ", ".join(map(self._value, value)) or "nothing"
        return "nothing" if value is None else str(value)

    def describe_absence(self) -> str:
        """Return in one phrase what is missing: members of a resource that is absent, or that it doesn't exist."""
        missing = describe_missing([self.entry])
        return missing or self.absence or (self.entry.actions[0].reason if self.entry.actions else "missing")


def describe_missing(entries: Iterable[Entry]) -> str:
    """Return how many members some resources lack, and of how many if a part of them exists; nothing if they lack none."""
    missing: Counter[str] = Counter()
    desired: Counter[str] = Counter()
    for entry in entries:
        for part in entry.observed.members if entry.observed else ():
            desired[part.field] += part.desired
            if part.missing or part.awaited:
                missing[part.field] += part.desired - part.present
    counts = {field: count_of(desired[field], field) for field in missing}
    parts = [text if missing[field] == desired[field] else f"{missing[field]:,} of {text}" for field, text in counts.items()]
    return f"missing: {', '.join(parts)}" if parts else ""


def list_changes(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return how one ordered list becomes another: what is added, removed and moved, with positions from 1."""
    lines = [f"+ {item} at {at} (of {len(after)})" for at, item in enumerate(after, 1) if item not in before]
    lines += [f"- {item}" for item in before if item not in after]
    kept_before = [item for item in before if item in after]
    kept_after = [item for item in after if item in before]
    if kept_before != kept_after:
        moved = [item for item in kept_after if kept_before.index(item) != kept_after.index(item)]
        places = [(item, before.index(item) + 1, after.index(item) + 1) for item in moved]
        # An item that others pass may keep its position, as one before it is removed.
        lines += [f"↕ {item} from {old} to {new}" for item, old, new in places if old != new]
    return lines

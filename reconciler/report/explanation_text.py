"""An explanation of one resource as text: a label in the first column, and what it stands for in the second."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence

from reconciler.engine.model import Comparison
from reconciler.engine.plan import Entry, Plan
from reconciler.report.entry_status import COLOURS, EntryStatus
from reconciler.report.explanation import ExplainedDifference, ExplainReport, LiveState, ObservedMembers, RelatedResource
from reconciler.report.formatting import Line, count_of, format_seconds, format_size, plural
from reconciler.report.kind_help import format_toml
from reconciler.report.text import report_entry

LABEL = 14
MOST_LINES = 10
LONGEST_VALUE = 300
MEANING = {
    EntryStatus.UNKNOWN: "it could not be checked",
    EntryStatus.CONFLICT: "its name or its definition is taken by something else",
    EntryStatus.MISSING: "it doesn't exist",
    EntryStatus.DIFFERS: "it isn't as the table asks",
    EntryStatus.BLOCKED: "something hinders its actions",
    EntryStatus.WAITING: "Rucio has not delivered everything yet",
    EntryStatus.FAILING: "the expectation fails",
    EntryStatus.DEGRADED: "it exists and is not healthy",
    EntryStatus.UNWANTED: "it contains members that no table lists",
    EntryStatus.LATER: "it is known once another resource has changed",
    EntryStatus.OK: "it is as the table asks",
}


def format_explanation(report: ExplainReport, plan: Plan, now: datetime.datetime) -> Iterator[Line]:
    """Yield the lines of an explanation; ``plan`` is the one that it was made from."""
    entry = next(entry for entry in plan.entries if str(entry.address) == report.address)
    yield Line(f"{report.address}   {report.status}: {MEANING[report.status]}", COLOURS.get(report.status), bold=True)
    yield from _section("asked for by", [f"{report.state}:{report.line}", report.source])
    yield from _section("note", [" ".join(report.note.split())] if report.note else ())
    yield from _section("keys", _list_keys(report))
    yield from _section("needs", _cut([*map(_describe_related, report.needs), *_describe_unprovided(report)]), "nothing")
    yield from _section("needed by", _cut(list(map(_describe_related, report.needed_by))), "nothing")
    yield from _section("live", _describe_live(report.live))
    yield from _section("found out by", _describe_search(report.live))
    yield from _list_differences(report, plan, entry, now)
    yield from _section("to do", _list_actions(report), "nothing")
    yield from _section("hindered by", report.blocked_by)
    yield from _section("runs", _list_runs(report), "the journal has no action on it")


def _section(label: str, texts: Iterable[str], otherwise: str = "") -> Iterator[Line]:
    found = [text for text in texts if text] or ([otherwise] if otherwise else [])
    for number, text in enumerate(found):
        yield Line(f"  {label if number == 0 else '':<{LABEL}}{text}")


def _cut(texts: Sequence[str]) -> list[str]:
    rest = len(texts) - MOST_LINES
    return list(texts) if rest <= 0 else [*texts[:MOST_LINES], f"… and {rest:,} more; --format json lists all"]


def _list_keys(report: ExplainReport) -> Iterator[str]:
    for key, value in report.desired.items():
        text = format_toml(value)
        yield f"{key} = {text}" if len(text) <= LONGEST_VALUE else f"{key} = {text[:LONGEST_VALUE]} …"
    if report.manage != "full":
        yield f'manage = "{report.manage}"'
    if report.protect:
        yield "protect = true"


def _describe_related(other: RelatedResource) -> str:
    reason = f", for {other.because}" if other.because else ""
    status = f", {other.status}" if other.status is not None else ""
    return f"{other.address} (line {other.line}{status}{reason})"


def _describe_unprovided(report: ExplainReport) -> Iterator[str]:
    words = {True: "exists live", False: "doesn't exist", None: "could not be checked"}
    for need in report.unprovided:
        yield f"{need.text} ({words[need.exists]}; no table provides it)"


def _describe_live(live: LiveState) -> Iterator[str]:
    if live.exists is None:
        yield "unknown"
        yield from live.error
        return
    if not live.facts or not live.exists:
        yield "exists" if live.exists else "doesn't exist"
    yield from live.facts
    for part in live.members:
        if part.present or part.desired:
            yield f"{part.present:,} of {count_of(part.desired, part.field)} present, {_describe_comparison(part)}"
    if live.unobserved:
        yield f"not compared, because nothing live shows it: {', '.join(live.unobserved)}"


def _describe_comparison(part: ObservedMembers) -> str:
    if part.compared is Comparison.PROOF:
        listed = f"each was listed at {part.listed} or later" if part.listed else "they were listed in an earlier run"
        return f"by proof: {listed}, and dates and numbers show that they are the same"
    return "by their number only" if part.compared is Comparison.COUNT else "compared one by one"


def _describe_search(live: LiveState) -> Iterator[str]:
    names = {"butler": "queries of the Butler", "rucio": "calls to Rucio"}
    asked = " and ".join(f"{names.get(name, name)} {place}" for name, place in live.systems.items())
    if asked:
        yield asked
    others = f", together with {plural(live.resources - 1, 'resource')} that it needs" if live.resources > 1 else ""
    counts = f"{plural(live.statements, 'SQL statement')}, {plural(live.calls, 'Rucio call')}"
    yield f"at {live.checked} in {format_seconds(live.seconds)}: {counts}{others}"


def _list_differences(report: ExplainReport, plan: Plan, entry: Entry, now: datetime.datetime) -> Iterator[Line]:
    """Yield the differences as a diff shows them, and since when there are some."""
    shown = list(report_entry(plan, entry)) if entry.differences else []
    for number, line in enumerate(shown):
        yield line._replace(text=f"  {'differs' if number == 0 else '':<{LABEL}}{line.text[2:]}")
    unwanted = [difference for difference in report.differences if difference.sort == "remove"]
    yield from _section("" if shown else "differs", [f"- {plural(d.count, 'unwanted member')}" for d in unwanted])
    yield from _section("since", dict.fromkeys(_describe_age(difference, now) for difference in report.differences))
    if report.last_in_sync and report.differences:
        yield from _section("last in sync", [f"{report.last_in_sync} ({_age(report.last_in_sync, now)} ago)"])


def _describe_age(difference: ExplainedDifference, now: datetime.datetime) -> str:
    if difference.first_seen is None:
        return ""
    times = f"seen by {plural(difference.times_seen, 'check')}, last {difference.last_seen}"
    field = f"{difference.field}: " if difference.field else ""
    return f"{field}{difference.first_seen} ({_age(difference.first_seen, now)} ago), {times}; cause: {difference.cause}"


def _age(moment: str, now: datetime.datetime) -> str:
    return format_seconds(max((now - datetime.datetime.fromisoformat(moment)).total_seconds(), 0.0))


def _list_actions(report: ExplainReport) -> Iterator[str]:
    for action in report.actions:
        when = ", once Rucio has delivered it" if action.once_delivered else ""
        size = f" ({format_size(action.bytes)})" if action.bytes else ""
        moved = f", {plural(action.datasets, 'dataset')}{size}" if action.datasets else ""
        yield f"{action.verb}: {action.reason}{moved}{when}"
        if action.risk:
            yield f"  ! {action.risk}"
        yield from (f"  $ {command}" for command in _cut(action.commands))


def _list_runs(report: ExplainReport) -> Iterator[str]:
    for action in report.runs:
        detail = f": {action.detail}" if action.detail else ""
        yield f"{action.time}   {action.run}   {action.verb}   {action.outcome}   {action.reason}{detail}".rstrip()

"""What a watch reports, as lines for a terminal or for the mail that cron sends."""

from __future__ import annotations

import datetime
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from reconciler.report.formatting import Line, format_seconds, plural
from reconciler.watch.latest import LatestVerdict
from reconciler.watch.state_report import ABOUT_TO_END, CAUSE_ORDER, Cause, Finding, StateReport, Verdict

if TYPE_CHECKING:
    from reconciler.watch.acknowledgements import Acknowledgement

COLOURS = {Verdict.IN_SYNC: "green", Verdict.EXPECTED: "cyan", Verdict.DRIFT: "yellow", Verdict.UNKNOWN: "red"}
WORDS = {
    Verdict.IN_SYNC: "is in sync",
    Verdict.EXPECTED: "has no drift",
    Verdict.DRIFT: "has drift",
    Verdict.UNKNOWN: "could not be checked",
}
MOST_COMMANDS = 5


def report_state(report: StateReport) -> Iterator[Line]:
    """Yield the report of one state: its verdict, what differs by cause, what is gone, and what to run."""
    yield describe_state(report)
    for cause in CAUSE_ORDER:
        found = [finding for finding in report.findings if finding.cause is cause]
        yield from _list_unknown(found) if cause is Cause.UNKNOWN else _list_findings(found)
    for gone in report.resolved:
        age = format_seconds((gone.resolved - gone.first_seen).total_seconds())
        yield Line(f"  resolved after {age}: {gone.address or report.check.name}: {gone.text} ({gone.resolution})", "green")
    commands = list_commands(report)
    yield from (Line(f"  $ {command}") for command in commands[:MOST_COMMANDS])
    if len(commands) > MOST_COMMANDS:
        yield Line(f"  … and {plural(len(commands) - MOST_COMMANDS, 'more command')}")


def list_commands(report: StateReport) -> list[str]:
    """Return the commands that repair what counts as drift; one apply of the whole state instead of several of its parts."""
    commands = list(dict.fromkeys(c for finding in report.findings if finding.exit_code for c in finding.difference.commands))
    whole = shlex.join(["reconcile", "apply", report.check.state])
    parts = [command for command in commands if command.startswith(f"{whole} ")]
    if len(parts) <= 1:
        return commands
    return [whole, *(command for command in commands if command not in parts)]


def describe_state(report: StateReport) -> Line:
    """Return the verdict of one state in one line."""
    check, verdict = report.check, report.verdict
    if verdict is Verdict.UNKNOWN and not check.error:
        return Line(f"{check.name} could not be checked completely: {_count_findings(report)}", "red", bold=True)
    text = f"{check.name} {WORDS[verdict]}: {_count_findings(report)}"
    return Line(text, COLOURS[verdict], bold=verdict is not Verdict.IN_SYNC)


def describe_state_quietly(report: StateReport) -> Line:
    """Return the verdict of one state as ``-q`` prints it, such as ``DRIFT ccms1: 3 drifted (61 resources, checked in 2.2 s)``.

    The first word is OK, EXPECTED, DRIFT or UNKNOWN, as `reconciler.report.summary.describe` has it for a diff.
    """
    verdict = report.verdict
    word = "OK" if verdict is Verdict.IN_SYNC else verdict.name
    return Line(f"{word} {report.check.name}: {_count_findings(report)}", COLOURS[verdict], bold=verdict is not Verdict.IN_SYNC)


def _count_findings(report: StateReport) -> str:
    """Return the number of differences by cause, and what was checked."""
    check = report.check
    if check.error:
        return f"after {format_seconds(check.seconds)}"
    counts = [
        f"{sum(finding.cause is cause for finding in report.findings):,} {cause.value}"
        for cause in CAUSE_ORDER
        if any(finding.cause is cause for finding in report.findings)
    ]
    by_count = sum(resource.by_count for resource in check.resources)
    counted = f", {by_count:,} of them by count only" if by_count else ""
    scope = f"{plural(len(check.addresses), 'resource')}{counted}, checked in {format_seconds(check.seconds)}"
    return f"{', '.join(counts)} ({scope})" if counts else scope


def _list_findings(findings: Sequence[Finding]) -> Iterator[Line]:
    for finding in findings:
        difference = finding.difference
        overdue = ", overdue" if finding.overdue else ""
        news = "first seen now" if finding.times_seen == 1 else f"for {format_seconds(finding.age.total_seconds())}"
        lead = f"{finding.cause.value}{overdue}"
        yield Line(f"  {lead:<18} {difference.address}: {difference.text} ({news})", "red" if finding.exit_code else None)
        notes = [finding.explanation, *_describe_progress(finding), *describe_acknowledgement(finding)]
        yield from (Line(f"      {note}") for note in notes if note)


def _describe_progress(finding: Finding) -> Iterator[str]:
    if finding.per_hour is not None and finding.expected_at is not None:
        yield f"{finding.per_hour:,.1f} an hour; all expected by {finding.expected_at:%Y-%m-%dT%H:%MZ}"


def describe_acknowledgement(finding: Finding) -> Iterator[str]:
    """Yield until when and why a difference is acknowledged; nothing if it isn't."""
    accepted = finding.acknowledged_by
    if accepted is not None:
        ticket = f" ({accepted.ticket})" if accepted.ticket else ""
        yield f"until {accepted.until}, {plural(accepted.days_left, 'day')} left: {accepted.reason}{ticket}"


def _list_unknown(findings: Sequence[Finding]) -> Iterator[Line]:
    """Yield what could not be checked, once for each reason."""
    reasons: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        reasons[finding.difference.text].append(finding)
    for reason, group in reasons.items():
        times = f", {max(finding.times_seen for finding in group)} times in a row" if group[0].times_seen > 1 else ""
        addresses = [finding.difference.address for finding in group if finding.difference.address]
        names = f"{addresses[0]}: " if len(addresses) == 1 else ""
        count = f" ({plural(len(addresses), group[0].difference.field or 'resource')} unknown{times})" if addresses else times
        yield Line(f"  ? {names}{reason}{count}", "red")
        yield from (Line(f"      {hint}", "red") for hint in group[0].difference.hints)


def report_latest(latest: Iterable[LatestVerdict], now: datetime.datetime) -> Iterator[Line]:
    """Yield one line for each state, with the age of its verdict and of its oldest difference that isn't acknowledged."""
    rows = list(latest)
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        if row.checked is None:
            yield Line(f"{row.name:<{width}}   {Verdict.UNKNOWN.value:<9}   never checked", "red")
            continue
        seconds = (now - row.checked).total_seconds()
        stale = ", which is too old" if row.stale else ""
        when = (
            f"{format_seconds(seconds)} ago" if seconds >= 0 else f"{format_seconds(-seconds)} in the future: is the clock right?"
        )
        parts = [f"{row.name:<{width}}", f"{row.verdict.value:<9}", f"checked {when}{stale}"]
        if row.differences:
            causes = [f"{sum(d.cause is c for d in row.differences):,} {c.value}" for c in CAUSE_ORDER]
            parts.append(", ".join(text for text in causes if not text.startswith("0 ")))
            oldest = row.measure_oldest(now)
            parts += [f"oldest for {format_seconds(oldest)}"] if oldest > 0 else []
        if row.error:
            parts.append(row.error.splitlines()[0])
        yield Line("   ".join(parts), COLOURS[row.verdict])


def list_acknowledgements(entries: Sequence[tuple[str, Acknowledgement]], today: datetime.date) -> Iterator[Line]:
    """Yield one line for each acknowledgement, given with the name of its state, those that end first at the top.

    If there are none, one line reports that.
    """
    if not entries:
        yield Line("No difference is acknowledged.")
    for state, entry in sorted(entries, key=lambda item: item[1].until):
        left = (entry.until - today).days
        note = "ended" if left < 0 else f"{plural(left, 'day')} left"
        note = f"about to end, {note}" if 0 <= left <= ABOUT_TO_END else note
        parts = [f"{entry.until}", note, state, entry.place, entry.reason, entry.ticket]
        colour = "red" if left < 0 else "yellow" if left <= ABOUT_TO_END else None
        yield Line("   ".join(part for part in parts if part), colour)

"""What the pages show, as typed data made of reports and the history. Pure: it reads no file and no live system."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.report.formatting import format_seconds
from reconciler.watch.json import to_plain
from reconciler.watch.latest import LatestVerdict
from reconciler.watch.ledger import LedgerRow
from reconciler.watch.page.collection_tree import TreeBuilder, TreeNode
from reconciler.watch.page.ledger_data import LedgerView, view_ledgers
from reconciler.watch.page.marks import MARKS
from reconciler.watch.state_report import CAUSE_ORDER, Cause, Finding, StateReport, Verdict
from reconciler.watch.text import WORDS, describe_acknowledgement, list_commands
from reconciler.watch.timeline import PastVerdict, ResolvedDifference

MOST_FINDINGS = 300
"""Differences of one cause that a page lists; `reconcile diff` lists the rest."""
MOST_MEMBERS = 20
REASONS = {
    Cause.UNKNOWN: "It could not be checked.",
    Cause.DRIFTED: "It was in sync, and neither its table nor its inputs were edited since.",
    Cause.DEGRADED: "It exists but is unhealthy.",
    Cause.UNAPPLIED: "Its table or an input was edited since it was last in sync, or it never was in sync.",
    Cause.NEW: "Its source grew; nothing that was there is gone.",
    Cause.WAITING: "Rucio is delivering.",
    Cause.ACKNOWLEDGED: "An acknowledgement covers it.",
}


@dataclass(frozen=True)
class FindingView:
    """One difference as a page shows it."""

    number: int
    address: str
    mark: str
    meaning: str
    cause: str
    text: str
    overdue: bool
    age: str
    first_seen: datetime.datetime
    times_seen: int
    notes: tuple[str, ...]
    commands: tuple[str, ...]
    members: tuple[str, ...]
    more_members: int
    line: int


@dataclass(frozen=True)
class CauseGroup:
    """The differences of one cause."""

    cause: str
    reason: str
    count: int
    findings: tuple[FindingView, ...]

    @property
    def more(self) -> int:
        """Number of differences that are not listed."""
        return self.count - len(self.findings)


@dataclass(frozen=True)
class RuleProgress:
    """How far a rule, or the delivery of a resource, is.

    Parameters
    ----------
    address : `str`
        The resource.
    name : `str`
        ``rule`` with its ID, or ``delivery``.
    state : `str`
        In lower case: for a rule, its state in Rucio, or the cause of the difference if that isn't known; for a delivery, the
        cause, or ``overdue``.
    done, total : `int`
        For a rule, number of replica locks that are OK and of all: its files, each as often as it has copies. For a delivery,
        number of members that have arrived and of all desired ones.
    stuck : `int`
        Number of locks that are stuck.
    note : `str`
        What else is known, such as when all are expected.
    """

    address: str
    name: str
    state: str
    done: int
    total: int
    stuck: int = 0
    note: str = ""

    @property
    def percent(self) -> int:
        """Whole percent that is done; 100 only if all is, 0 if there is nothing to do."""
        return self.done * 100 // self.total if self.total else 0


@dataclass(frozen=True)
class StatePage:
    """The content of the page of one state; ``unlisted_nodes`` is True if ``tree`` leaves some out."""

    name: str
    title: str
    repository: str
    state: str
    verdict: Verdict
    sentence: str
    checked: datetime.datetime
    seconds: str
    resources: int
    by_count: int
    oldest: str
    error: str
    hints: tuple[str, ...]
    problems: tuple[str, ...]
    commands: tuple[str, ...]
    groups: tuple[CauseGroup, ...]
    tree: tuple[TreeNode, ...]
    unlisted_nodes: bool
    rules: tuple[RuleProgress, ...]
    ledgers: tuple[LedgerView, ...]
    past: tuple[PastVerdict, ...]
    resolved: tuple[ResolvedDifference, ...]
    timeline: Mapping[str, Any] = field(default_factory=dict)
    history_problem: str = ""


@dataclass(frozen=True)
class IndexRow:
    """One state of the index.

    ``page`` is the file name of its page, empty if it has none. ``oldest`` is the largest age of a difference that isn't
    acknowledged: at the check, if its result is at hand, so that it is empty if all are new, and else until now.
    """

    name: str
    repository: str
    verdict: Verdict
    checked: datetime.datetime | None
    counts: str
    oldest: str
    resources: int
    error: str
    page: str = ""


def page_name(state: str) -> str:
    """Return the file name of the page of a state file, given its path.

    A digest of the path keeps states of the same name apart, and is the same on every run.
    """
    stem = state.rpartition("/")[2].removesuffix(".toml")
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip(".-")[:80] or "state"
    return f"{plain}-{hashlib.sha256(state.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.html"


def view_state(
    report: StateReport,
    past: Sequence[PastVerdict] = (),
    resolved: Sequence[ResolvedDifference] = (),
    ledgers: Mapping[str, Sequence[LedgerRow]] | None = None,
    history_problem: str = "",
) -> StatePage:
    """Return what the page of a state shows.

    Parameters
    ----------
    report : `StateReport`
        The report of this check.
    past : `Sequence` [`PastVerdict`]
        Its checks, the oldest first.
    resolved : `Sequence` [`ResolvedDifference`]
        Differences that are gone, the latest first.
    ledgers : `Mapping` [`str`, `Sequence` [`LedgerRow`]], optional
        Rows by the address of the resource that Rucio delivers.
    history_problem : `str`
        Why there is no history to show.
    """
    check = report.check
    groups = tuple(_group_findings(report.findings))
    numbers = {view.address: view.number for group in reversed(groups) for view in reversed(group.findings)}
    builder = TreeBuilder(check.collections, report.findings, numbers, {resource.address for resource in check.resources})
    return StatePage(
        name=check.name,
        title=check.title,
        repository=check.repository,
        state=check.state,
        verdict=report.verdict,
        sentence=f"{check.name} {WORDS[report.verdict]}",
        checked=report.checked,
        seconds=format_seconds(check.seconds),
        resources=len(check.addresses),
        by_count=sum(resource.by_count for resource in check.resources),
        oldest=_oldest(finding.age for finding in report.findings if finding.cause is not Cause.ACKNOWLEDGED),
        error=check.error,
        hints=check.hints,
        problems=report.problems,
        commands=tuple(list_commands(report)),
        groups=groups,
        tree=tuple(builder.build()),
        unlisted_nodes=builder.incomplete,
        rules=tuple(_list_rules(report.findings)),
        ledgers=tuple(view_ledgers(ledgers or {})),
        past=tuple(past),
        resolved=tuple(resolved),
        timeline=_draw_timeline(past),
        history_problem=history_problem,
    )


def view_row(report: StateReport, page: str) -> IndexRow:
    """Return the row of a state that this run checked."""
    causes = [finding.cause for finding in report.findings]
    return IndexRow(
        name=report.check.name,
        repository=report.check.repository,
        verdict=report.verdict,
        checked=report.checked,
        counts=_count_causes(causes),
        oldest=_oldest(finding.age for finding in report.findings if finding.cause is not Cause.ACKNOWLEDGED),
        resources=len(report.check.addresses),
        error=report.check.error.partition("\n")[0],
        page=page,
    )


def view_latest(latest: LatestVerdict, now: datetime.datetime, page: str) -> IndexRow:
    """Return the row of a state that an earlier run checked."""
    return IndexRow(
        name=latest.name,
        repository=latest.repository,
        verdict=latest.verdict,
        checked=latest.checked,
        counts=_count_causes([difference.cause for difference in latest.differences]),
        oldest=_format_age(latest.measure_oldest(now)),
        resources=latest.resources,
        error=latest.error.partition("\n")[0],
        page=page,
    )


def _oldest(ages: Iterable[datetime.timedelta]) -> str:
    """Return the largest age; empty if there is no age, or none above zero."""
    return _format_age(max((age.total_seconds() for age in ages), default=0.0))


def _format_age(seconds: float) -> str:
    return format_seconds(seconds) if seconds > 0 else ""


def _count_causes(causes: Sequence[Cause]) -> str:
    return ", ".join(f"{causes.count(cause):,} {cause.value}" for cause in CAUSE_ORDER if cause in causes)


def _group_findings(findings: Sequence[Finding]) -> Iterator[CauseGroup]:
    number = 0
    for cause in CAUSE_ORDER:
        found = [finding for finding in findings if finding.cause is cause]
        if found:
            views = [_view_finding(finding, number + place) for place, finding in enumerate(found[:MOST_FINDINGS])]
            number += len(views)
            yield CauseGroup(cause.value, REASONS[cause], len(found), tuple(views))


def _view_finding(finding: Finding, number: int) -> FindingView:
    difference = finding.difference
    mark, meaning = MARKS.get(difference.kind, ("~", difference.kind))
    members = [_describe_member(member) for member in difference.members[:MOST_MEMBERS]]
    return FindingView(
        number=number,
        address=difference.address,
        mark=mark,
        meaning=meaning,
        cause=finding.cause.value,
        text=difference.text,
        overdue=finding.overdue,
        age=format_seconds(finding.age.total_seconds()) if finding.times_seen > 1 else "",
        first_seen=finding.first_seen,
        times_seen=finding.times_seen,
        notes=tuple(_list_notes(finding)),
        commands=difference.commands,
        members=tuple(members),
        more_members=max(difference.count, len(difference.members)) - len(members) if members else 0,
        line=difference.line,
    )


def _list_notes(finding: Finding) -> Iterator[str]:
    if finding.explanation:
        yield finding.explanation
    if finding.per_hour is not None and finding.expected_at is not None:
        yield f"{finding.per_hour:,.1f} an hour; all expected by {finding.expected_at:%Y-%m-%d %H:%M} UTC"
    yield from describe_acknowledgement(finding)
    yield from finding.difference.hints


def _describe_member(member: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {to_plain(value)}" for key, value in member.items())


def _list_rules(findings: Iterable[Finding]) -> Iterator[RuleProgress]:
    """Yield the rules and deliveries that are not complete."""
    for finding in findings:
        difference = finding.difference
        rules = [member for member in difference.members if "rule" in member and "files" in member]
        for member in rules:
            yield RuleProgress(
                address=difference.address,
                name=f"rule {member['rule']}",
                state=str(member.get("state", finding.cause.value)).lower(),
                done=int(member.get("ok") or 0),
                total=int(member["files"] or 0),
                stuck=int(member.get("stuck") or 0),
                note=difference.text if len(rules) == 1 else "",
            )
        if not rules and difference.kind == "waiting" and difference.desired:
            yield RuleProgress(
                address=difference.address,
                name="delivery",
                state="overdue" if finding.overdue else finding.cause.value,
                done=difference.desired - difference.count,
                total=difference.desired,
                note="; ".join([difference.text, *_list_notes(finding)]),
            )


def _draw_timeline(past: Sequence[PastVerdict]) -> dict[str, Any]:
    """Return the checks as arrays for the script: times, verdicts, and numbers of differences by cause."""
    causes = [cause.value for cause in CAUSE_ORDER if any(check.causes.get(cause.value) for check in past)]
    return {
        "times": [to_plain(check.checked) for check in past],
        "verdicts": [check.verdict.value for check in past],
        "causes": {cause: [check.causes.get(cause, 0) for check in past] for cause in causes},
    }

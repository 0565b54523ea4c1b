"""Turn what a check observed into what is reported of it: cause, age, acknowledgement, and what is gone. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.watch.acknowledgements import Acknowledgements, check_acknowledgements, find_acknowledgement
from reconciler.watch.causes import MILDEST_FIRST, NOT_INHERITED, ResourceMemory, find_cause, is_overdue, worst_cause
from reconciler.watch.check_result import UNKNOWN_KIND, CheckedResource, CheckResult, DifferenceKey, FoundDifference
from reconciler.watch.ledger_coverage import LEDGER_FIELD
from reconciler.watch.state_report import Cause, Finding, Resolved, StateReport, Verdict

LEFT_THE_STATE = "not in the state any more"
SEEN_BY_APPLY = frozenset({"make", "change", "remove", "failed"})
"""Kinds of differences that an apply that leaves a resource in sync would have found."""
DATASET_NOUNS = frozenset({"raws", "datasets", "files", "members"})
"""Members of which each is one dataset, so that their number can be compared with what an expectation lacks."""


@dataclass(frozen=True)
class DifferenceMemory:
    """What the history knows of a difference that is not resolved.

    Parameters
    ----------
    state : `str`
        Path of the state whose check saw it last.
    text, fingerprint : `str`
        As that check saw it.
    cause : `Cause`
        Its cause then.
    overdue : `bool`
        Whether it was overdue then.
    first_seen, last_seen : `datetime.datetime`
        In UTC.
    times_seen, first_count : `int`
        Number of checks that saw it, and the number of members concerned at the first one.
    """

    state: str
    text: str
    fingerprint: str
    cause: Cause
    overdue: bool
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    times_seen: int
    first_count: int


@dataclass(frozen=True)
class Memory:
    """What the history knows of the repository of a state; empty without a history.

    Parameters
    ----------
    resources : `Mapping` [`str`, `ResourceMemory`]
        By address.
    open_differences : `Mapping` [`DifferenceKey`, `DifferenceMemory`]
        Those that are not resolved, of all states of the repository.
    replaced_states : `frozenset` [`str`]
        Paths of states whose file is gone, so that this state may resolve their differences.
    previous : `Verdict` or `None`
        The verdict of the check before.
    previous_checked : `datetime.datetime` or `None`
        When that was.
    problems : `tuple` [`str`, ...]
        Why there is no memory.
    last_success : `datetime.datetime` or `None`
        When a check could last check everything.
    """

    resources: Mapping[str, ResourceMemory] = field(default_factory=dict)
    open_differences: Mapping[DifferenceKey, DifferenceMemory] = field(default_factory=dict)
    replaced_states: frozenset[str] = frozenset()
    previous: Verdict | None = None
    previous_checked: datetime.datetime | None = None
    problems: tuple[str, ...] = ()
    last_success: datetime.datetime | None = None


def evaluate(check: CheckResult, memory: Memory, acknowledgements: Acknowledgements, now: datetime.datetime) -> StateReport:
    """Return what is reported of a check.

    Parameters
    ----------
    check : `CheckResult`
        What was observed.
    memory : `Memory`
        What is known from earlier checks.
    acknowledgements : `Acknowledgements`
        What is accepted.
    now : `datetime.datetime`
        The time of the check, in UTC.
    """
    evaluation = _Evaluation(check, memory, acknowledgements, now)
    findings = tuple(evaluation.findings())
    problems = memory.problems
    if check.addresses:
        fields = {resource.address: resource.fields for resource in check.resources}
        problems += check_acknowledgements(acknowledgements, check.addresses, fields, now.date())
    else:
        problems += acknowledgements.problems
    resolved = tuple(evaluation.resolved(findings))
    return StateReport(check, now, findings, resolved, memory.previous, memory.previous_checked, problems, memory.last_success)


@dataclass(frozen=True)
class _Judged:
    """What was found out of one difference before any acknowledgement."""

    difference: FoundDifference
    cause: Cause
    overdue: bool


class _Evaluation:
    """One evaluation; the causes of a resource may depend on those of resources before it."""

    def __init__(self, check: CheckResult, memory: Memory, acknowledgements: Acknowledgements, now: datetime.datetime) -> None:
        self.check, self.memory, self.now = check, memory, now
        self.acknowledgements = acknowledgements
        self.resources = {resource.address: resource for resource in check.resources}
        self.judged: dict[str, list[_Judged]] = {}
        self.ended: dict[DifferenceKey, datetime.datetime] = {}
        """Differences that an apply had removed before they were found again, and when."""

    def findings(self) -> Iterable[Finding]:
        for difference in self.check.differences:  # in the order of the graph
            yield self._finding(difference)

    def _finding(self, difference: FoundDifference) -> Finding:
        before = self._find_before(difference)
        resource = self.resources.get(difference.address)
        explaining = self._find_explaining(difference, resource)
        cause = find_cause(
            difference,
            resource,
            self.memory.resources.get(difference.address),
            in_sync_by_journal=self._in_sync_by_journal(difference.address),
            causes_of_predecessors=[judged.cause for judged in explaining.values()],
        )
        first_seen = before.first_seen if before is not None else self.now
        inherited = {address: judged for address, judged in explaining.items() if judged.cause is cause}
        overdue = is_overdue(cause, resource, self.now - first_seen)
        if inherited:
            overdue = any(judged.overdue for judged in inherited.values())
        self.judged.setdefault(difference.address, []).append(_Judged(difference, cause, overdue))
        accepted, explanation = find_acknowledgement(
            difference, self.check.differences, self.acknowledgements.entries, self.now.date()
        )
        if accepted is not None:
            cause = Cause.ACKNOWLEDGED
        elif not explanation and inherited:
            explanation = f"explained by {', '.join(inherited)}"
        first_count = before.first_count if before is not None else difference.count
        per_hour, expected_at = self._rate(difference, first_count, first_seen) if cause is Cause.WAITING else (None, None)
        return Finding(
            difference=difference,
            cause=cause,
            first_seen=first_seen,
            last_seen=self.now,
            overdue=overdue and accepted is None,
            times_seen=before.times_seen + 1 if before is not None else 1,
            acknowledged_by=accepted,
            changed=_is_changed(before, difference, cause, overdue and accepted is None),
            explanation=explanation,
            first_count=first_count,
            per_hour=per_hour,
            expected_at=expected_at,
        )

    def _find_before(self, difference: FoundDifference) -> DifferenceMemory | None:
        """Return what is known of a difference; nothing if an apply left its resource in sync since it was last seen.

        That proves nothing of what an apply doesn't see, such as what a deep check, a sample of files or a ledger finds.
        """
        before = self.memory.open_differences.get(difference.key)
        at = self.check.in_sync_by_journal.get(difference.address) if difference.kind in SEEN_BY_APPLY else None
        if before is None or at is None or (applied := datetime.datetime.fromisoformat(at)) <= before.last_seen:
            return before
        self.ended[difference.key] = applied
        return None

    @property
    def _ours(self) -> frozenset[str]:
        return self.memory.replaced_states | {self.check.state}

    def _find_explaining(self, difference: FoundDifference, resource: CheckedResource | None) -> dict[str, _Judged]:
        """Return what differs in the resources that a failed expectation counts, the worst of each.

        Nothing if it doesn't fail for lack of something, or lacks more than they do.
        """
        if resource is None or not resource.follows_content or difference.kind != "failed" or not difference.lacking:
            return {}
        found = {
            address: [judged for judged in self.judged.get(address, ()) if judged.cause not in NOT_INHERITED]
            for address in resource.predecessors
        }
        counted = [judged.difference for its in found.values() for judged in its]
        known = all(its.noun in DATASET_NOUNS for its in counted)
        if known and sum(its.count for its in counted) < difference.lacking:
            return {}
        return {address: max(its, key=lambda judged: MILDEST_FIRST.index(judged.cause)) for address, its in found.items() if its}

    def _in_sync_by_journal(self, address: str) -> bool:
        at = self.check.in_sync_by_journal.get(address)
        memory = self.memory.resources.get(address)
        return at is not None and (memory is None or datetime.datetime.fromisoformat(at) > memory.in_sync_at)

    def _rate(
        self, difference: FoundDifference, first_count: int, first_seen: datetime.datetime
    ) -> tuple[float | None, datetime.datetime | None]:
        """Return how many members arrive in an hour, on average since they are waited for, and when all will be here."""
        hours = (self.now - first_seen).total_seconds() / 3600
        arrived = first_count - difference.count
        if hours <= 0 or arrived <= 0:
            return None, None
        rate = arrived / hours
        return rate, self.now + datetime.timedelta(hours=difference.count / rate)

    def resolved(self, findings: Sequence[Finding]) -> Iterable[Resolved]:
        """Yield what is gone. What could not be checked this time is not gone, and what another state reports is that one's."""
        seen = {finding.difference.key for finding in findings}
        causes: dict[str, list[Cause]] = {}
        for finding in findings:
            causes.setdefault(finding.difference.address, []).append(finding.cause)
        for key, before in self.memory.open_differences.items():
            address, kind, name = key
            if key in self.ended:
                yield Resolved(*key, before.text, before.cause, before.first_seen, self.ended[key], "in sync")
                continue
            if key in seen or before.state not in self._ours or self.check.error:
                continue
            ledgers = {ledger.address for ledger in self.check.ledgers}
            if name == LEDGER_FIELD and address in self.check.addresses and address not in ledgers:
                continue  # this check made no ledger
            if address in self.resources or not address:
                now = worst_cause(causes.get(address, ()))
                resolution = "checked again" if kind == UNKNOWN_KIND else "in sync" if now is None else f"now {now.value}"
            elif address not in self.check.addresses and before.state == self.check.state:
                resolution = LEFT_THE_STATE
            else:
                continue
            yield Resolved(address, kind, name, before.text, before.cause, before.first_seen, self.now, resolution)


def _is_changed(before: DifferenceMemory | None, difference: FoundDifference, cause: Cause, overdue: bool) -> bool:
    if before is None or (before.cause, before.overdue) != (cause, overdue):
        return True
    return before.fingerprint != difference.fingerprint and cause not in (Cause.UNKNOWN, Cause.ACKNOWLEDGED)

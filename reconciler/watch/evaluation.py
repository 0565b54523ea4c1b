"""Turn what a check observed into what is reported of it: cause, age, acknowledgement, and what is gone. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.watch.acknowledgements import Acknowledgements, check_acknowledgements, find_acknowledgement
from reconciler.watch.causes import ResourceMemory, find_cause, is_overdue
from reconciler.watch.check_result import UNKNOWN_KIND, CheckedResource, CheckResult, DifferenceKey, FoundDifference
from reconciler.watch.ledger_coverage import LEDGER_FIELD
from reconciler.watch.state_report import Cause, Finding, Resolved, StateReport, Verdict

LEFT_THE_STATE = "not in the state any more"


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


class _Evaluation:
    """One evaluation; the causes of a resource may depend on those of resources before it."""

    def __init__(self, check: CheckResult, memory: Memory, acknowledgements: Acknowledgements, now: datetime.datetime) -> None:
        self.check, self.memory, self.now = check, memory, now
        self.acknowledgements = acknowledgements
        self.resources = {resource.address: resource for resource in check.resources}
        self.causes: dict[str, list[Cause]] = {}

    def findings(self) -> Iterable[Finding]:
        for difference in self.check.differences:  # in the order of the graph
            yield self._finding(difference)

    def _finding(self, difference: FoundDifference) -> Finding:
        before = self.memory.open_differences.get(difference.key)
        resource = self.resources.get(difference.address)
        explaining = self._causes_of_predecessors(resource)
        cause = find_cause(
            difference,
            resource,
            self.memory.resources.get(difference.address),
            in_sync_by_journal=self._in_sync_by_journal(difference.address),
            causes_of_predecessors=explaining.values(),
        )
        self.causes.setdefault(difference.address, []).append(cause)
        first_seen = before.first_seen if before is not None else self.now
        overdue = is_overdue(cause, resource, self.now - first_seen)
        accepted, explanation = find_acknowledgement(
            difference, self.check.differences, self.acknowledgements.entries, self.now.date()
        )
        if accepted is not None:
            cause = Cause.ACKNOWLEDGED
        elif not explanation and difference.kind == "failed" and cause in explaining.values():
            explanation = "explained by " + ", ".join(address for address, its in explaining.items() if its is cause)
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

    def _causes_of_predecessors(self, resource: CheckedResource | None) -> dict[str, Cause]:
        if resource is None or not resource.follows_content:
            return {}
        return {address: cause for address in resource.predecessors for cause in self.causes.get(address, ())}

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

    def resolved(self, findings: Iterable[Finding]) -> Iterable[Resolved]:
        """Yield what is gone. What could not be checked this time is not gone, and what another state reports is that one's."""
        seen = {finding.difference.key for finding in findings}
        ours = {self.check.state, *self.memory.replaced_states}
        for key, before in self.memory.open_differences.items():
            address, kind, name = key
            if key in seen or before.state not in ours or self.check.error:
                continue
            if name == LEDGER_FIELD and address not in {ledger.address for ledger in self.check.ledgers}:
                continue  # this check made no ledger
            if address in self.resources or not address:
                resolution = "checked again" if kind == UNKNOWN_KIND else "in sync"
            elif address not in self.check.addresses and before.state == self.check.state:
                resolution = LEFT_THE_STATE
            else:
                continue
            yield Resolved(address, kind, name, before.text, before.cause, before.first_seen, self.now, resolution)


def _is_changed(before: DifferenceMemory | None, difference: FoundDifference, cause: Cause, overdue: bool) -> bool:
    if before is None or (before.cause, before.overdue) != (cause, overdue):
        return True
    return before.fingerprint != difference.fingerprint and cause not in (Cause.UNKNOWN, Cause.ACKNOWLEDGED)

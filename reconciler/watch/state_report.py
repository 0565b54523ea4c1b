"""What is reported of a check of one state: its result, with the cause and the age of each difference.

The history, the terminal, metrics, notifications and the page take nothing else. This module imports nothing slow, so that
`reconcile status` starts fast.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum

from reconciler.watch.check_result import CheckResult, FoundDifference

ABOUT_TO_END = 7
"""Days before its end from which on an acknowledgement is about to end."""


class Cause(StrEnum):
    """Why there is a difference."""

    DRIFTED = "drifted"  # it was in sync, and neither the state, nor its inputs, nor its source has changed since
    UNAPPLIED = "unapplied"  # the state or an input was edited since it was last in sync, or it never was
    NEW = "new"  # the source grew; nothing was broken, nothing was done yet
    WAITING = "waiting"  # Rucio is delivering
    DEGRADED = "degraded"  # it exists but is unhealthy
    UNKNOWN = "unknown"  # it could not be checked
    ACKNOWLEDGED = "acknowledged"  # an acknowledgement covers it


CAUSE_ORDER = (
    Cause.UNKNOWN,
    Cause.DRIFTED,
    Cause.DEGRADED,
    Cause.UNAPPLIED,
    Cause.NEW,
    Cause.WAITING,
    Cause.ACKNOWLEDGED,
)
"""The order in which reports list differences: what most needs somebody comes first."""


class Verdict(StrEnum):
    """The result of checking one state."""

    IN_SYNC = "in sync"  # nothing differs
    EXPECTED = "expected"  # what differs is being delivered, is new, or is acknowledged
    DRIFT = "drift"
    UNKNOWN = "unknown"  # something could not be checked

    @property
    def exit_code(self) -> int:
        """0 if nothing is to be done, 2 for drift, 1 if something could not be checked."""
        return {Verdict.DRIFT: 2, Verdict.UNKNOWN: 1}.get(self, 0)


@dataclass(frozen=True)
class AcknowledgedBy:
    """The acknowledgement that covers a difference.

    Parameters
    ----------
    reason, ticket : `str`
        Why it is accepted.
    until : `datetime.date`
        The last day on which it holds, in UTC.
    days_left : `int`
        Days until then.
    """

    reason: str
    ticket: str
    until: datetime.date
    days_left: int

    @property
    def about_to_end(self) -> bool:
        """Whether it ends within `ABOUT_TO_END` days."""
        return self.days_left <= ABOUT_TO_END


@dataclass(frozen=True)
class Finding:
    """One difference with its cause and age.

    Parameters
    ----------
    difference : `FoundDifference`
        What differs.
    cause : `Cause`
        Why.
    overdue : `bool`
        Whether it has been new, or waited for, longer than its table allows.
    first_seen, last_seen : `datetime.datetime`
        When it was first and last observed, in UTC.
    times_seen : `int`
        Number of checks that observed it.
    acknowledged_by : `AcknowledgedBy` or `None`
        The acknowledgement, if the cause is acknowledged.
    changed : `bool`
        Whether this check was the first with this difference or cause, the first after its deadline, or, unless it is unknown or
        acknowledged, the first with this fingerprint.
    explanation : `str`
        What is known beyond the table of causes: the resource that explains it, or that an acknowledgement ended.
    first_count : `int`
        Number of members concerned when it was first seen.
    per_hour : `float` or `None`
        Members that arrive in an hour, for what is waited for; `None` if that isn't known.
    expected_at : `datetime.datetime` or `None`
        When all will have arrived at that rate.
    """

    difference: FoundDifference
    cause: Cause
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    overdue: bool = False
    times_seen: int = 1
    acknowledged_by: AcknowledgedBy | None = None
    changed: bool = True
    explanation: str = ""
    first_count: int = 0
    per_hour: float | None = None
    expected_at: datetime.datetime | None = None

    @property
    def age(self) -> datetime.timedelta:
        """The time between its first and its last observation; zero at the first."""
        return self.last_seen - self.first_seen

    @property
    def exit_code(self) -> int:
        """0 if nothing is to be done about it now, 2 if something is, 1 if it could not be checked."""
        if self.cause is Cause.UNKNOWN:
            return 1
        if self.cause in (Cause.DRIFTED, Cause.UNAPPLIED, Cause.DEGRADED):
            return 2
        return 2 if self.overdue else 0


@dataclass(frozen=True)
class Resolved:
    """A difference of earlier checks that is gone.

    Parameters
    ----------
    address, kind, field, text : `str`
        The difference.
    cause : `Cause`
        Its last cause.
    first_seen, resolved : `datetime.datetime`
        When it was first seen, and when it was found gone, in UTC.
    resolution : `str`
        Why it is gone: "in sync", "checked again", "not in the state any more", or "now degraded" or another cause if something
        else differs in its resource.
    """

    address: str
    kind: str
    field: str
    text: str
    cause: Cause
    first_seen: datetime.datetime
    resolved: datetime.datetime
    resolution: str


@dataclass(frozen=True)
class StateReport:
    """What is reported of one check of one state.

    Parameters
    ----------
    check : `CheckResult`
        What was observed.
    checked : `datetime.datetime`
        When, in UTC.
    findings : `tuple` [`Finding`, ...]
        What differs, in the order of the check.
    resolved : `tuple` [`Resolved`, ...]
        What differed before.
    previous : `Verdict` or `None`
        The verdict of the check before, if the history has one.
    previous_checked : `datetime.datetime` or `None`
        When that was.
    problems : `tuple` [`str`, ...]
        What is wrong with acknowledgements or the history; the check itself is complete.
    last_success : `datetime.datetime` or `None`
        When a check before this one could check everything.
    """

    check: CheckResult
    checked: datetime.datetime
    findings: tuple[Finding, ...] = ()
    resolved: tuple[Resolved, ...] = ()
    previous: Verdict | None = None
    previous_checked: datetime.datetime | None = None
    problems: tuple[str, ...] = ()
    last_success: datetime.datetime | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        codes = {finding.exit_code for finding in self.findings}
        if 1 in codes:
            return Verdict.UNKNOWN
        if 2 in codes:
            return Verdict.DRIFT
        return Verdict.EXPECTED if self.findings else Verdict.IN_SYNC

    @property
    def exit_code(self) -> int:
        """The exit code of the verdict, but 1 if there are problems."""
        return 1 if self.problems else self.verdict.exit_code

    @property
    def changed(self) -> bool:
        """Whether there is something that the check before did not report.

        What could not be checked counts at the first and at the second check in a row.
        """
        unknown_again = any(f.cause is Cause.UNKNOWN and f.times_seen == 2 for f in self.findings)
        news = unknown_again or any(finding.changed for finding in self.findings) or bool(self.resolved)
        return news or (self.previous is not None and self.previous is not self.verdict)


def worst_check_code(codes: set[int]) -> int:
    """Return the exit code of several checks: could not check (1), drift (2), locked (75), in sync (0), the first that occurs."""
    return next((code for code in (1, 2, 75) if code in codes), 0)

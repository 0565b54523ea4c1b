"""The data of a watch: what a check found, and what is reported of it.

`CheckResult` is what one check of one state observed, without any memory. `StateReport` adds cause, age and acknowledgement; the
history, the terminal, metrics, notifications and the page take nothing else. This module imports nothing of ours, and nothing
slow, so that `reconcile status` starts fast.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.watch.ledger import Ledger

UNKNOWN_KIND = "unknown"
"""The kind of a `FoundDifference` that reports what could not be checked; all other kinds are `DifferenceKind` values."""
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
class FoundDifference:
    """One difference as a check found it.

    Parameters
    ----------
    address : `str`
        The resource; empty for a state that could not be checked at all.
    kind : `str`
        A value of `reconciler.engine.model.DifferenceKind`, or `UNKNOWN_KIND`.
    field : `str`
        The key, or the noun of the members, that differs; empty for the resource as a whole.
    text : `str`
        What differs, for operators, in one line; for what could not be checked, a line for each problem.
    fingerprint : `str`
        SHA-256 of the difference without anything that changes by itself, such as its age.
    count : `int`
        Number of members concerned; of those that are waited for, how many have not arrived.
    desired : `int`
        Number of desired members; 0 for a difference without members.
    members : `tuple` [`Mapping`, ...]
        The first members concerned.
    line : `int`
        Line of the table in the state file; 0 if unknown.
    commands : `tuple` [`str`, ...]
        Commands that remove the differences of the resource, for a shell.
    hints : `tuple` [`str`, ...]
        What to do about what could not be checked.
    """

    address: str
    kind: str
    field: str
    text: str
    fingerprint: str
    count: int = 0
    desired: int = 0
    members: tuple[Mapping[str, Any], ...] = ()
    line: int = 0
    commands: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def key(self) -> DifferenceKey:
        """What identifies the difference from check to check: its address, kind and field."""
        return (self.address, self.kind, self.field)


DifferenceKey = tuple[str, str, str]
"""Address, kind and field of a difference."""


@dataclass(frozen=True)
class CheckedResource:
    """One resource that was observed.

    Parameters
    ----------
    address : `str`
        The resource.
    settled : `bool`
        Whether nothing differs except what is being delivered or is unhealthy, so that a later difference means that it drifted.
    table_digest, inputs_digest : `str`
        SHA-256 of its table, and of the input files it names, with those of all resources that it depends on.
    members : `Mapping` [`str`, `tuple` [`int`, `int`]]
        Number of desired members without those that are waited for, and of present members, by noun.
    predecessors : `tuple` [`str`, ...]
        Addresses that it depends on, at any distance.
    follows_content : `bool`
        Whether its desired content depends on the content of those.
    fields : `tuple` [`str`, ...]
        What an acknowledgement may name as its field.
    new_after, deadline : `float` or `None`
        Seconds, from its table.
    by_count : `bool`
        Whether some members were compared by count only.
    """

    address: str
    settled: bool
    table_digest: str = ""
    inputs_digest: str = ""
    members: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    predecessors: tuple[str, ...] = ()
    follows_content: bool = False
    fields: tuple[str, ...] = ()
    new_after: float | None = None
    deadline: float | None = None
    by_count: bool = False


@dataclass(frozen=True)
class CheckedCollection:
    """A collection that tables of the state define or fill.

    Parameters
    ----------
    name : `str`
        The collection.
    addresses : `tuple` [`str`, ...]
        The tables.
    children : `tuple` [`str`, ...]
        The children that the state gives a chain, in search order.
    """

    name: str
    addresses: tuple[str, ...]
    children: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """What one check of one state observed.

    Parameters
    ----------
    state : `str`
        Absolute path of the state file.
    name, title : `str`
        Its name without the suffix, and its title.
    repository : `str`
        Identity of the live systems: the location of the Butler repository, or the Rucio server if there is none.
    addresses : `tuple` [`str`, ...]
        All resources of the state.
    resources : `tuple` [`CheckedResource`, ...]
        Those that were observed.
    differences : `tuple` [`FoundDifference`, ...]
        What differs, and what could not be observed.
    error : `str`
        Why nothing could be checked; empty if something was.
    hints : `tuple` [`str`, ...]
        What to do about that.
    deep : `bool`
        Whether all members were listed.
    digest : `str`
        SHA-256 of the state file and its variables.
    in_sync_by_journal : `Mapping` [`str`, `str`]
        For addresses that differ: when an apply of this very state last left them in sync.
    seconds : `float`
        Duration.
    statements, calls : `int`
        Number of SQL statements and of Rucio calls.
    rules : `Mapping` [`str`, `int`]
        Number of replication rules of its Rucio datasets, by state.
    waiting_bytes : `int` or `None`
        Size of the files that Rucio hasn't delivered, as far as it is known; `None` if it was not asked for.
    ledgers : `tuple` [`Ledger`, ...]
        Those that were asked for.
    ledger_errors : `tuple` [`str`, ...]
        Why others could not be made.
    collections : `tuple` [`CheckedCollection`, ...]
        Collections that the state defines or fills.
    """

    state: str
    name: str
    title: str = ""
    repository: str = ""
    addresses: tuple[str, ...] = ()
    resources: tuple[CheckedResource, ...] = ()
    differences: tuple[FoundDifference, ...] = ()
    error: str = ""
    hints: tuple[str, ...] = ()
    deep: bool = False
    digest: str = ""
    in_sync_by_journal: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    statements: int = 0
    calls: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    waiting_bytes: int | None = None
    ledgers: tuple[Ledger, ...] = ()
    ledger_errors: tuple[str, ...] = ()
    collections: tuple[CheckedCollection, ...] = ()


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
        Why it is gone: "in sync", "checked again", or "not in the state any more".
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
        """The exit code of the verdict, but 1 if there are problems, or a ledger that could not be made."""
        return 1 if self.problems or self.check.ledger_errors else self.verdict.exit_code

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

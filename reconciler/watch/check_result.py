"""What one check of one state observed, without any memory of earlier checks.

This module imports nothing of ours, and nothing slow, so that `reconcile status` starts fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.watch.ledger import Ledger

UNKNOWN_KIND = "unknown"
"""The kind of a `FoundDifference` that reports what could not be checked; all other kinds are `DifferenceKind` values."""


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
    noun : `str`
        What the members are that are missing or waited for, in the plural; empty if it isn't known or they are of several sorts.
    lacking : `int`
        Of an expectation that fails because there is too little, how much is missing; 0 for anything else.
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
    noun: str = ""
    lacking: int = 0

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
    collections: tuple[CheckedCollection, ...] = ()

"""The data that flows through the engine: resources, what is observed of them, what differs, and what is done about it.

With `reconciler.engine.spec`, the keys of a table, and `reconciler.engine.kind` it is all that one needs to understand a kind of
resource.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple

from pydantic import BaseModel, ConfigDict

from reconciler.engine.commands import Command
from reconciler.engine.spec import S, Spec

if TYPE_CHECKING:
    from reconciler.engine.kind import Kind
    from reconciler.errors import ReconcileError

JsonObject = Mapping[str, Any]
"""JSON values by name: what is serialised of one member, or of one action."""


class Address(NamedTuple):
    """The address of a resource.

    Parameters
    ----------
    kind : `str`
        The TOML table.
    name : `str`
        The key in it; empty for a kind of which there is one.
    """

    kind: str
    name: str

    @property
    def plain(self) -> str:
        """The address without quotes, as globs match it."""
        return f"{self.kind}.{self.name}" if self.name else self.kind

    def __str__(self) -> str:
        bare = self.name.replace("_", "").replace("-", "")
        quoted = self.name and not (bare.isalnum() and bare.isascii())
        return f'{self.kind}."{self.name}"' if quoted else self.plain


def parse_address(text: str) -> Address:
    """Return the address that a text such as ``chain.refcats`` or ``raw."a/b"`` names; whether it exists is not checked."""
    kind, _, name = text.partition(".")
    quoted = len(name) > 1 and name.startswith('"') and name.endswith('"')
    return Address(kind, name[1:-1] if quoted else name)


class DifferenceKind(StrEnum):
    """What a difference means for the operator."""

    MAKE = "make"  # something is missing
    CHANGE = "change"  # a key has another value
    REMOVE = "remove"  # unwanted members, which --prune removes
    WAITING = "waiting"  # Rucio has not delivered everything yet
    DEGRADED = "degraded"  # it exists but is unhealthy
    FAILED = "failed"  # an expectation fails
    BLOCKED = "blocked"  # no action can repair it: somebody has to correct the state, an input or a system first
    CONFLICT = "conflict"  # the name or the definition is taken by something else
    LATER = "later"  # known only after another resource has changed


class Status(StrEnum):
    """How a resource ended in a run: the first of these that applies."""

    FAILED = "failed"  # an action failed, or it could not be checked
    BLOCKED = "blocked"  # something that it needs hinders it, or the plan doesn't allow what is to be done
    WAITING = "waiting"  # others have to deliver first
    DEGRADED = "degraded"  # it still differs, and no action is left
    CHANGED = "changed"
    OK = "ok"


class Comparison(StrEnum):
    """How the members of a resource were compared."""

    MEMBERS = "members"  # each was listed, or they were counted where that proves what a list would show
    PROOF = "proof"  # they were listed and agreed earlier, and are the same now
    COUNT = "count"


@dataclass(frozen=True)
class Difference:
    """One difference between the desired and the observed state of a resource.

    Parameters
    ----------
    address : `Address`
        The resource.
    field : `str` or `None`
        The key, or the noun of the members, that differs; `None` if the resource is missing, empty for some conditions.
    observed, desired : `object`
        JSON values.
    detail : `str`
        A short phrase.
    kind : `DifferenceKind`
        What it means.
    members : `tuple` [`JsonObject`, ...]
        All members concerned, of a bulk resource.
    awaited : `bool`
        Whether the members are missing because Rucio has not delivered their files yet.
    listed : `bool`
        Whether reports list the members; False if ``detail`` is enough.
    uncounted : `bool`
        Whether ``detail`` lacks the number of members, so that it has to be read after that number.
    lacking : `int`
        Of an expectation that fails because there is too little, how much is missing; 0 for anything else.
    """

    address: Address
    field: str | None
    observed: Any = None
    desired: Any = None
    detail: str = ""
    kind: DifferenceKind = DifferenceKind.CHANGE
    members: tuple[JsonObject, ...] = ()
    awaited: bool = False
    listed: bool = True
    uncounted: bool = False
    lacking: int = 0


@dataclass(frozen=True)
class Cost:
    """What an action moves.

    Parameters
    ----------
    datasets : `int`
        Number of datasets.
    size : `int`
        Bytes; 0 if unknown.
    """

    datasets: int = 0
    size: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.datasets + other.datasets, self.size + other.size)


class Action(BaseModel):
    """One step that removes a difference; each verb of a kind is a class with its own fields.

    Actions are pure data: they can be printed and serialised, into plan files and the journal.

    Parameters
    ----------
    address : `Address`
        The resource that it is for.
    verb : `str`
        The usual term, such as ingest, register, certify or associate.
    reason : `str`
        A short phrase.
    cost : `Cost`
        What it moves.
    removes : `tuple` [`str`, ...]
        What it removes, each member by a text that identifies it: only what an operator saw and confirmed is removed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    changes_field: ClassVar[str] = ""
    """The key of the table that it changes, if reports should show the action in place of the values of that key."""
    adds: ClassVar[str] = ""
    """The noun for what it adds, such as rule, if the proposal of an apply should count it."""
    removes_by_key: ClassVar[bool] = False
    """Whether a key of the state asks for what it removes, so that it needs no --prune."""
    is_single_call: ClassVar[bool] = False
    """Whether it is one call whose whole effect is observed, so that nothing is lost if only the answer to it is."""

    address: Address
    verb: str
    reason: str = ""
    cost: Cost = Cost()
    removes: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The part of the resource that it acts on, for reports, such as ``rule DISK × 2``; empty for the whole resource."""
        return ""

    @property
    def risk(self) -> str:
        """What an operator should know before confirming it besides what it removes, in one phrase; empty if there is nothing."""
        return ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields that this verb has in addition to those of all actions, as JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude=set(Action.model_fields))

    def is_same_work(self, other: Action) -> bool:
        """Return True if two actions for one resource have the same verb and `arguments`; nothing else is compared."""
        return self.verb == other.verb and self.arguments == other.arguments


@dataclass(frozen=True)
class Delivery:
    """How much of what a resource waits for has been delivered.

    Parameters
    ----------
    here, total : `int`
        Number of members that are here, and of all desired ones.
    bytes_left : `int`
        Size of what is still to come; 0 if unknown.
    noun : `str`
        What they are, in the plural, such as files, or members if they are of several sorts.
    """

    here: int = 0
    total: int = 0
    bytes_left: int = 0
    noun: str = ""

    def __add__(self, other: Delivery) -> Delivery:
        nouns = {self.noun, other.noun} - {""}
        noun = nouns.pop() if len(nouns) == 1 else "members" if nouns else ""
        return Delivery(self.here + other.here, self.total + other.total, self.bytes_left + other.bytes_left, noun)


@dataclass(frozen=True)
class Outcome:
    """How a resource ended in a run.

    Parameters
    ----------
    address : `Address`
        The resource.
    status : `Status`
        How it ended.
    detail : `str`
        Why, in one phrase.
    actions : `int`
        Number of actions that were begun, those that failed included.
    made : `JsonObject`
        What the actions made: numbers or lists by noun.
    error : `reconciler.errors.ReconcileError` or `None`
        Why it failed, could not be checked or contradicts what exists, with hints.
    delivery : `Delivery` or `None`
        What a waiting resource has of what it waits for, if that is counted.
    """

    address: Address
    status: Status
    detail: str = ""
    actions: int = 0
    made: JsonObject = field(default_factory=dict)
    error: ReconcileError | None = field(default=None, compare=False)
    delivery: Delivery | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Members:
    """The members of a bulk resource: desired against present, by set arithmetic.

    Parameters
    ----------
    field : `str`
        What they are, in the plural: datasets, certifications, files.
    desired, present : `int`
        Number of desired members, and how many of those are present.
    missing : `tuple` [`JsonObject`, ...]
        Desired members that are not present, without those in ``awaited``.
    unwanted : `tuple` [`JsonObject`, ...]
        Present members that --prune removes.
    unmanaged : `tuple` [`JsonObject`, ...]
        Present members that are not desired and are never removed.
    changed : `tuple` [`JsonObject`, ...]
        Members that are present with different properties; never overwritten.
    awaited : `tuple` [`JsonObject`, ...]
        Missing members whose files Rucio has not delivered yet.
    compared : `Comparison`
        `COUNT` if some of them were compared by count only; the others may differ all the same.
    listed : `datetime.datetime` or `None`
        UTC; each of those that a proof is about was listed at this time or later. `None` if that is unknown.
    """

    field: str
    desired: int
    present: int
    missing: tuple[JsonObject, ...] = ()
    unwanted: tuple[JsonObject, ...] = ()
    unmanaged: tuple[JsonObject, ...] = ()
    changed: tuple[JsonObject, ...] = ()
    awaited: tuple[JsonObject, ...] = ()
    compared: Comparison = Comparison.MEMBERS
    listed: datetime.datetime | None = None

    @classmethod
    def compare(
        cls,
        field: str,
        desired: Mapping[Hashable, JsonObject],
        present_keys: Collection[Hashable],
        *,
        unwanted: Iterable[JsonObject] = (),
        unmanaged: Iterable[JsonObject] = (),
        changed: Iterable[JsonObject] = (),
    ) -> Members:
        """Subtract the present members from the desired ones.

        Parameters
        ----------
        field : `str`
            What the members are, in the plural.
        desired : `Mapping`
            Desired members by key.
        present_keys : `Collection`
            Keys of the present members.
        unwanted, unmanaged, changed : `Iterable`
            Members as the kind found them.

        Returns
        -------
        members : `Members`
            The missing ones in the order of ``desired``.
        """
        missing = tuple(member for key, member in desired.items() if key not in present_keys)
        count = len(desired)
        return cls(field, count, count - len(missing), missing, tuple(unwanted), tuple(unmanaged), tuple(changed))

    @classmethod
    def counted(cls, field: str, desired: int) -> Members:
        """Return the members of a resource whose counts agree; they were not listed."""
        return cls(field, desired, desired, compared=Comparison.COUNT)

    @classmethod
    def proven(cls, field: str, desired: int, listed: datetime.datetime | None = None) -> Members:
        """Return the members of a resource that are the same as when they were listed and agreed."""
        return cls(field, desired, desired, compared=Comparison.PROOF, listed=listed)

    @property
    def agree(self) -> bool:
        """Whether no member is missing, awaited, changed, unwanted or unmanaged; what only conditions report is left aside."""
        return not (self.missing or self.unwanted or self.unmanaged or self.changed or self.awaited)


@dataclass(frozen=True)
class Condition:
    """A circumstance that is not a difference in configuration: waiting, degraded, blocked, in conflict.

    Parameters
    ----------
    kind : `DifferenceKind`
        What it means.
    text : `str`
        One phrase.
    members : `tuple` [`JsonObject`, ...]
        The members concerned.
    field : `str`
        The part of the resource.
    commands : `tuple` [`Command`, ...]
        What somebody could run elsewhere to end it.
    listed : `bool`
        Whether reports list the members.
    lacking : `int`
        Of an expectation that fails because there is too little, how much is missing; 0 for anything else.
    """

    kind: DifferenceKind
    text: str
    members: tuple[JsonObject, ...] = ()
    field: str = ""
    commands: tuple[Command, ...] = ()
    listed: bool = True
    lacking: int = 0


@dataclass(frozen=True)
class Observed(Generic[S]):
    """What was observed of one resource; a kind may subclass it to hold further facts that its plan needs.

    Parameters
    ----------
    spec : `Spec` or `None`
        What exists, in the form of the desired Spec; keys that can't be observed are as desired, and so is
        everything if something else has its name (see ``taken``). `None` if it is absent.
    members : `tuple` [`Members`, ...]
        Its members, for a bulk resource.
    conditions : `tuple` [`Condition`, ...]
        Circumstances beyond the configuration.
    resolved : `Spec` or `None`
        What is desired, where that depends on what exists, as in a chain that is flattened; compared in place of the table.
    unobserved : `tuple` [`str`, ...]
        Keys of the table that can't be observed, so that they are neither equal nor different; those that are annotated with
        `NotObserved` are added to it.
    facts : `tuple` [`str`, ...]
        What else is known of what exists, one phrase each, for ``reconcile explain``.
    taken : `bool`
        Whether something else has its name, so that it doesn't exist although ``spec`` is as desired.
    """

    spec: S | None
    members: tuple[Members, ...] = ()
    conditions: tuple[Condition, ...] = ()
    resolved: S | None = field(default=None, kw_only=True)
    unobserved: tuple[str, ...] = field(default=(), kw_only=True)
    facts: tuple[str, ...] = field(default=(), kw_only=True)
    taken: bool = field(default=False, kw_only=True)

    @property
    def exists(self) -> bool:
        """Whether it exists."""
        return self.spec is not None and not self.taken

    @property
    def is_blocked(self) -> bool:
        """Whether it has a condition of the kind `DifferenceKind.BLOCKED`, so that no action can complete it now."""
        return any(condition.kind is DifferenceKind.BLOCKED for condition in self.conditions)


@dataclass(frozen=True)
class Change(Generic[S]):
    """Everything that `Kind.plan` may use.

    Parameters
    ----------
    address : `Address`
        The resource.
    desired : `Spec`
        Its table.
    observed : `Observed`
        What exists.
    differences : `tuple` [`Difference`, ...]
        What differs; at least one.
    prune : `bool`
        Whether unwanted members may be removed.
    """

    address: Address
    desired: S
    observed: Observed[S]
    differences: tuple[Difference, ...]
    prune: bool = False

    @property
    def exists(self) -> bool:
        """Whether the resource exists, or something else has its name, so that it can't be made."""
        return self.observed.spec is not None

    @property
    def fields(self) -> set[str]:
        """The keys and nouns of members that differ, and what conditions are about, without what concerns the whole resource."""
        return {difference.field for difference in self.differences if difference.field}


Made = JsonObject
"""What an action made: numbers or lists by noun, such as ``{"datasets": 12}``."""


@dataclass(frozen=True)
class DesiredState:
    """The resources of one state file.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    resources : `Mapping` [`Address`, `Spec`]
        In the order of the file.
    kinds : `Mapping` [`str`, `Kind`]
        The kinds that may occur, by the name of their table.
    lines : `Mapping` [`Address`, `int`]
        The line of each table.
    title, ticket : `str`
        What the state is for, and where that was decided.
    variables : `Mapping`
        The values that were used.
    digest : `str`
        SHA-256 of the file and the variables.
    """

    path: Path
    resources: Mapping[Address, Spec]
    kinds: Mapping[str, Kind[Any, Any]]
    lines: Mapping[Address, int] = field(default_factory=dict)
    title: str = ""
    ticket: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    def where(self, address: Address) -> str:
        """Return the place of a resource in the file, such as ``ccms1.toml:88``; line 1 if its line isn't known."""
        return f"{self.path.name}:{self.lines.get(address, 1)}"

    def kind_of(self, address: Address) -> Kind[Any, Any]:
        """Return the kind of a resource."""
        return self.kinds[address.kind]

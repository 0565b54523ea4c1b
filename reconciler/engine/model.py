"""What every part of the product speaks of: resources, what is wanted and seen of them, what differs, what is done about it.

Imports nothing of ours, so a kind of resource needs only this module to be understood.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class Id(NamedTuple):
    """The address of a resource: its kind and its name.

    Parameters
    ----------
    kind : `str`
        The TOML table.
    name : `str`
        The key in it; empty for a kind of which there is one.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        if not self.name:
            return self.kind
        bare = self.name.replace("_", "").replace("-", "")
        return f"{self.kind}.{self.name}" if bare.isalnum() and bare.isascii() else f'{self.kind}."{self.name}"'


class Spec(BaseModel):
    """What a table of the state file may say; each kind adds its own keys."""

    # A state has few of the kinds; the validators of the others are never built.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    manage: Literal["full", "create", "observe"] = Field(
        "full", description="full: make and mend it; create: make it when absent, never change it; observe: only report."
    )
    protect: bool = Field(False, description="Never remove anything of it, not even under --prune.")
    requires: tuple[str, ...] = Field((), description="Addresses that must be in sync first.", examples=[["visits.LSSTComCam"]])
    note: str | None = Field(None, description="Anything worth knowing; shown by -v.")


def _beside_the_state_file(path: str, info: ValidationInfo) -> str:
    base: Path | None = (info.context or {}).get("base")
    return path if base is None or "://" in path else str(base / path)


InputPath = Annotated[str, AfterValidator(_beside_the_state_file)]
"""A file that a state names: a relative path is found beside the state file."""

S = TypeVar("S", bound=Spec)

Facts = Mapping[str, Any]
"""JSON values that describe one member or one circumstance."""

Sort = Literal["make", "change", "remove", "waiting", "unwell", "failed", "blocked", "conflict", "unknown", "later"]
"""What a difference means for the operator: something to make, change or remove; a delivery to wait for; a Rucio rule that
is not well; an expectation that fails; something that can't be done here; another definition than the one wanted; something
not checked; what only shows after another action."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as wanted. Carries facts; words and colour are made in `reconciler.report`.

    Parameters
    ----------
    id : `Id`
        Of what.
    field : `str` or `None`
        Which part of it; `None` if the whole resource is missing.
    observed, desired : `object`
        JSON values.
    detail : `str`
        A short phrase.
    sort : `str`
        What it means.
    members : tuple of mapping
        The members concerned, of a bulk resource; all of them.
    """

    id: Id
    field: str | None
    observed: Any = None
    desired: Any = None
    detail: str = ""
    sort: Sort = "change"
    members: tuple[Facts, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What an action moves.

    Parameters
    ----------
    datasets, files : `int`
        Counts.
    size : `int`
        Bytes; 0 where it is not known.
    """

    datasets: int = 0
    files: int = 0
    size: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.datasets + other.datasets, self.files + other.files, self.size + other.size)


@dataclass(frozen=True)
class Action:
    """One step that mends something. Pure data: it prints, orders, serialises and fingerprints.

    Parameters
    ----------
    id : `Id`
        For what.
    verb : `str`
        The field's word: ingest, register, certify, associate, redefine, replicate.
    args : mapping
        JSON only.
    reason : `str`
        One short phrase.
    cost : `Cost`
        What it moves.
    destroys : `int`
        How many members it takes away.
    """

    id: Id
    verb: str
    args: Facts = field(default_factory=dict)
    reason: str = ""
    cost: Cost = Cost()
    destroys: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a resource in a run.

    Parameters
    ----------
    id : `Id`
        Which.
    state : `str`
        How it ended.
    detail : `str`
        Why, in one phrase.
    actions : `int`
        How many actions were done.
    made : mapping
        What they made, by name.
    """

    id: Id
    state: Literal["ok", "changed", "already", "failed", "blocked", "waiting", "unknown", "left", "refused"]
    detail: str = ""
    actions: int = 0
    made: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Members:
    """The members of a bulk resource, wanted against present: set arithmetic, whatever their number.

    Parameters
    ----------
    field : `str`
        What they are, in the plural: datasets, certifications, files.
    wanted, present : `int`
        How many are wanted, and how many of the wanted are there.
    missing : tuple of mapping
        Facts of each member that is wanted and not there.
    extra : tuple of mapping
        Facts of each member that is there and not wanted.
    changed : tuple of mapping
        Facts of each member that is there in another way than wanted; never mended by overwriting.
    awaited : tuple of mapping
        Facts of each missing member that somebody else is to deliver first.
    compared : `str`
        How: by members, or by count only.
    """

    field: str
    wanted: int
    present: int
    missing: tuple[Facts, ...] = ()
    extra: tuple[Facts, ...] = ()
    changed: tuple[Facts, ...] = ()
    awaited: tuple[Facts, ...] = ()
    compared: Literal["members", "count"] = "members"

    @classmethod
    def compare(
        cls,
        name: str,
        wanted: Mapping[Hashable, Facts],
        present: Collection[Hashable],
        *,
        extra: Iterable[Facts] = (),
        changed: Iterable[Facts] = (),
    ) -> Members:
        """Subtract what is there from what is wanted.

        Parameters
        ----------
        name : `str`
            What the members are.
        wanted : mapping
            Facts of each wanted member by its key.
        present : collection
            Keys of the members that are there.
        extra, changed : iterable of mapping
            As the kind found them.

        Returns
        -------
        members : `Members`
            With the missing ones in the order in which they are wanted.
        """
        missing = tuple(facts for key, facts in wanted.items() if key not in present)
        return cls(name, len(wanted), len(wanted) - len(missing), missing, tuple(extra), tuple(changed))

    @classmethod
    def counted(cls, name: str, wanted: int) -> Members:
        """Say that counts agree: as many are there as are wanted, and nobody looked which.

        Parameters
        ----------
        name : `str`
            What the members are.
        wanted : `int`
            How many.

        Returns
        -------
        members : `Members`
            Nothing is missing.
        """
        return cls(name, wanted, wanted, compared="count")


@dataclass(frozen=True)
class Condition:
    """A circumstance that is not a difference in configuration.

    Parameters
    ----------
    sort : `str`
        What it means.
    text : `str`
        One phrase.
    members : tuple of mapping
        Whom it concerns.
    field : `str`
        Which part.
    commands : tuple of tuple of `str`
        What somebody could type elsewhere to end it.
    """

    sort: Sort
    text: str
    members: tuple[Facts, ...] = ()
    field: str = ""
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Seen(Generic[S]):
    """What was observed of one resource.

    Parameters
    ----------
    spec : `Spec` or `None`
        What is there, in the shape of what is wanted; keys that can't be observed are as wanted. `None` if it is absent.
    members : tuple of `Members`
        Bulk parts.
    conditions : tuple of `Condition`
        Waiting, unwell, blocked.
    facts : mapping
        Further facts that its plan needs, JSON only.
    """

    spec: S | None
    members: tuple[Members, ...] = ()
    conditions: tuple[Condition, ...] = ()
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Missing(Generic[S]):
    """Everything that `Kind.plan` may look at.

    Parameters
    ----------
    id : `Id`
        Of what.
    desired : `Spec`
        What is wanted.
    seen : `Seen`
        What was observed.
    differences : tuple of `Difference`
        What differs.
    prune : `bool`
        Whether members that are not wanted may be taken away.
    """

    id: Id
    desired: S
    seen: Seen[S]
    differences: tuple[Difference, ...]
    prune: bool = False


class Kind(ABC, Generic[S]):
    """A kind of resource: one file in `reconciler.kinds`.

    Attributes
    ----------
    name : `str`
        Its TOML table.
    spec : `type`
        What the table may say.
    single : `bool`
        Whether there is one of it, without a name.
    summary : `str`
        One line for the schema.
    rank : `int`
        Where it stands among kinds that nothing else orders, as an operator would go about it.
    answers : tuple of `str`
        Kinds of tokens whose existence it can tell.
    holds : `bool`
        Whether it holds datasets, so that what is derived from it grows with it.
    changes : `str`
        Which live system its actions change.
    derived : `bool`
        Whether what is wanted of it grows with what it needs: more may be known after those are made.
    """

    name: ClassVar[str]
    spec: ClassVar[type[Spec]]
    single: ClassVar[bool] = False
    summary: ClassVar[str] = ""
    rank: ClassVar[int] = 50
    answers: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[bool] = True
    changes: ClassVar[Literal["butler", "rucio"]] = "butler"
    derived: ClassVar[bool] = False

    def systems(self, spec: S) -> frozenset[Literal["butler", "rucio"]]:
        """Say which live systems must be asked about a resource."""
        return frozenset({"butler"})

    def provides(self, name: str, spec: S) -> Iterable[str]:
        """Give the tokens that only this resource may provide."""
        return ()

    def contributes(self, name: str, spec: S) -> Iterable[str]:
        """Give tokens that it provides, perhaps as one of several."""
        return ()

    def needs(self, name: str, spec: S) -> Iterable[str]:
        """Give the tokens that must be provided, or exist live; may hold globs."""
        return ()

    def follows(self, name: str, spec: S) -> Iterable[str]:
        """Give tokens whose providers come first if there are any; may hold globs."""
        return ()

    def exists(self, live: Live, tokens: Collection[str]) -> Collection[str]:
        """Tell which tokens of the kinds in `answers` exist live, whoever made them."""
        return ()

    def subcommands(self, spec: S) -> Iterable[str]:
        """Name the ``butler`` subcommands of the Science Pipelines that making it takes."""
        return ()

    def inputs(self, spec: S) -> Iterable[str]:
        """Name the files that it takes in and that nothing else checks before they are needed."""
        return ()

    def exports(self, spec: S) -> Iterable[str]:
        """Name the export files that it reads, so that large ones are read in good time."""
        return ()

    def imports(self, spec: S) -> Iterable[str]:
        """Name the classes of the Science Pipelines that making it takes."""
        return ()

    def check(self, name: str, spec: S) -> Iterable[str]:
        """Name what is wrong with a table beyond its schema; asked without any live system."""
        return ()

    @abstractmethod
    def observe(self, live: Live, desired: Mapping[str, S]) -> Mapping[str, Seen[S]]:
        """Look at all resources of this kind at once; those not returned are absent.

        Raises
        ------
        reconciler.errors.ObserveError
            If they can't be looked at.
        """

    @abstractmethod
    def plan(self, missing: Missing[S]) -> Iterable[Action]:
        """Say what to do about differences; pure, and nothing means that they are only reported."""

    @abstractmethod
    def apply(self, live: Live, action: Action) -> Facts | None:
        """Do an action; safe to repeat.

        Returns
        -------
        made : mapping or `None`
            What it made.

        Raises
        ------
        reconciler.errors.ApplyError
            If it failed.
        """

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        """Give what an operator would type for an action, one list of words each."""
        return ()

"""The contract of a kind of resource, and what the engine asks of the live systems.

A kind is one module or package. It defines how its resources are linked, observed, planned and applied; the engine does
everything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from reconciler.engine.commands import Command, Comment
from reconciler.engine.model import Action, Address, Change, JsonObject, Made, Observed
from reconciler.engine.spec import S, Spec

A = TypeVar("A", bound=Action)
System = Literal["butler", "rucio"]


class Context(Protocol):
    """The live systems, as far as the engine uses them; kinds get the whole object."""

    def prepare(self) -> None:
        """Do what takes long before the systems can be asked, such as importing their libraries.

        Raises
        ------
        reconciler.errors.ObserveError
            If a library is not installed.
        """

    def find_existing(self, tokens: Collection[str]) -> Collection[str]:
        """Return the tokens, such as ``collection:HSC/raw/all``, that exist live, whoever made them.

        Raises
        ------
        reconciler.errors.ObserveError
            If a system can't be asked.
        """

    def find_names(self, kind: str) -> Collection[str]:
        """Return the live names of one kind of token, to suggest one; none if there are too many.

        Raises
        ------
        reconciler.errors.ObserveError
            If a system can't be asked.
        """

    def is_down(self, system: System) -> bool:
        """Return True if a system that the state names can't be asked, for whatever reason; an earlier answer may be cached."""

    def find_missing_commands(self, names: Sequence[str]) -> Collection[str]:
        """Return the ``butler`` subcommands that aren't installed."""

    def find_missing_classes(self, names: Sequence[str]) -> Collection[str]:
        """Return the classes that can't be imported; the packages of all of them are imported into this process."""

    def find_missing_formatters(self, dataset_types: Sequence[str]) -> Collection[str]:
        """Return the dataset types whose default formatter can't be imported; none before the repository exists.

        Raises
        ------
        reconciler.errors.ObserveError
            If the repository can't be opened.
        """

    def forget(self, *systems: System) -> None:
        """Drop cached answers of some systems, or of all, because something was changed."""

    def check_lock(self, *, creating: bool) -> None:
        """Check before an action that the locks of the run are still held.

        With ``creating``, because the run creates the repository, the lock at its future place is acquired, too, and the folder
        for it is made.

        Raises
        ------
        reconciler.errors.LockLost, reconciler.errors.LockHeld
            If it isn't held, so that the run has to end.
        reconciler.errors.ApplyError, reconciler.errors.ObserveError
            If the lock can't be acquired for another reason.
        """

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Time a phase of the run for --stats."""


@dataclass(frozen=True)
class KindTraits:
    """Fixed properties of a kind.

    Parameters
    ----------
    summary : `str`
        One line for the JSON Schema.
    order : `int`
        Position among kinds that nothing else orders, as an operator would work.
    singleton : `bool`
        Whether there is one resource of it, without a name.
    writes_to : `str`
        The live system that its actions change.
    opens : `str` or `None`
        The live system that exists only once this resource does.
    affects_content : `bool`
        Whether its actions can change what other resources select, so that those are planned again after it.
    depends_on_content : `bool`
        Whether its desired content depends on its dependencies, so it has to be planned again after they change.
    """

    summary: str
    order: int = 50
    singleton: bool = False
    writes_to: System = "butler"
    opens: System | None = None
    affects_content: bool = True
    depends_on_content: bool = False


@dataclass(frozen=True)
class Links:
    """Edges of the dependency graph, as tokens such as ``collection:HSC/raw/all`` or ``did:raw:x``.

    Parameters
    ----------
    provides : `Sequence` [`str`]
        Tokens that only this resource may provide.
    contributes : `Sequence` [`str`]
        Tokens that it provides, perhaps as one of several.
    needs : `Sequence` [`str`]
        Tokens that must be provided by a table or exist live; a `reconciler.patterns.Glob` is a pattern.
    after : `Sequence` [`str`]
        Tokens whose providers come first if there are any; a `reconciler.patterns.Glob` is a pattern.
    """

    provides: Sequence[str] = ()
    contributes: Sequence[str] = ()
    needs: Sequence[str] = ()
    after: Sequence[str] = ()


@dataclass(frozen=True)
class Requirements:
    """What a resource needs besides other resources.

    Parameters
    ----------
    systems : `frozenset` [`str`]
        Live systems that are asked about it.
    input_files : `Sequence` [`str`]
        Files that must exist; those that are read anyway need not be named.
    butler_commands : `Sequence` [`str`]
        ``butler`` subcommands of the Science Pipelines that its actions run.
    classes : `Iterable` [`str`]
        Classes of the Science Pipelines that its actions import; evaluated only before an action, as it may read a large file.
    default_formatters : `Iterable` [`str`]
        Dataset types that its actions ingest with the formatter that the repository has for them; evaluated as ``classes`` is.
    """

    systems: frozenset[System] = frozenset({"butler"})
    input_files: Sequence[str] = ()
    butler_commands: Sequence[str] = ()
    classes: Iterable[str] = ()
    default_formatters: Iterable[str] = ()


@dataclass(frozen=True)
class MemberText:
    """How one member of a bulk resource is shown.

    Parameters
    ----------
    text : `str`
        The member, or the part of it that is not its group.
    group : `str`
        Members of one group share a line; empty for a line of its own.
    noun : `str`
        What the texts of a group are, in the singular.
    position : `object`
        Sorts members within a group.
    """

    text: str
    group: str = ""
    noun: str = ""
    position: Any = 0


HIDDEN = frozenset({"id", "path", "bytes", "run"})
"""Values of a member that are long, and better expressed by the others."""


class Kind(ABC, Generic[S, A]):
    """A kind of resource.

    Attributes
    ----------
    name : `str`
        Its TOML table.
    spec : `type` [`Spec`]
        The keys of the table; the source of the JSON Schema.
    traits : `KindTraits`
        Fixed properties.
    """

    name: ClassVar[str]
    spec: ClassVar[type[Spec]]
    traits: ClassVar[KindTraits]

    def links(self, name: str, spec: S) -> Links:
        """Return the edges of a resource in the dependency graph.

        Raises
        ------
        reconciler.errors.StateError
            If an input file that defines them is wrong.
        """
        return Links()

    def requirements(self, spec: S) -> Requirements:
        """Return what a resource needs besides other resources."""
        return Requirements()

    def validate(self, name: str, spec: S) -> Iterable[str]:
        """Yield what is wrong with a table beyond its schema, without asking any live system."""
        return ()

    def check_inputs(self, spec: S, resources: Mapping[Address, Spec]) -> Iterable[str]:
        """Yield what is wrong with the content of the input files of a table, without asking any live system.

        A file that can't be used at all is an error, so a caller handles both.

        Parameters
        ----------
        spec : `Spec`
            The table.
        resources : `Mapping` [`Address`, `Spec`]
            All tables of the state, such as the one that defines the dataset type of the files.

        Raises
        ------
        reconciler.errors.StateError
            If a file can't be read, doesn't exist on this machine, or has content that can't be parsed.
        """
        return ()

    @abstractmethod
    def observe(self, context: Any, desired: Mapping[str, S]) -> Mapping[str, Observed[S]]:
        """Observe all resources of this kind in one batch.

        Parameters
        ----------
        context : `reconciler.systems.context.Context`
            The live systems.
        desired : `Mapping` [`str`, `Spec`]
            Tables by name.

        Returns
        -------
        observed : `Mapping` [`str`, `Observed`]
            By name; one that is absent has no ``spec``, or is left out.

        Raises
        ------
        reconciler.errors.ObserveError
            If they can't be observed.
        reconciler.errors.StateError
            If an input file or a query expression is wrong, or a table names a dimension that its dataset type lacks.
        """

    def prefetch(self, context: Any, desired: Mapping[str, S]) -> Callable[[], object] | None:
        """Query in advance what `observe` will need, while other kinds query another system; the answers are cached.

        Only kinds that need several systems are asked to. It must not use the Butler, which others use at the same time.

        Parameters
        ----------
        context : `reconciler.systems.context.Context`
            The live systems.
        desired : `Mapping` [`str`, `Spec`]
            Tables by name.

        Returns
        -------
        rest : callable or `None`
            The slow part, to be run in a thread at the side; `None` without one.

        Raises
        ------
        reconciler.errors.ReconcileError
            If a system can't be asked; `observe` then meets the same error, and reports it.
        """
        return None

    @abstractmethod
    def plan(self, change: Change[S]) -> Iterable[A]:
        """Yield the actions that remove the differences of a resource; nothing means that they are only reported.

        It is pure: it asks no live system and reads no file.
        """

    @abstractmethod
    def apply(self, context: Any, action: A) -> Made | None:
        """Execute an action. To repeat it does no harm, but may fail because it is done already.

        Parameters
        ----------
        context : `reconciler.systems.context.Context`
            The live systems.
        action : `Action`
            One of this kind's actions.

        Returns
        -------
        made : `Made` or `None`
            What it made.

        Raises
        ------
        reconciler.errors.ReconcileError
            If it failed: an ApplyError, or an ObserveError or a StateError for what it had to read.
        reconciler.errors.Interrupted
            If the operator asked to stop, between two parts of bulk work.
        """

    def commands(self, action: A) -> Iterable[Command | Comment]:
        """Yield the closest commands, with a `Comment` for what they do more or less than the action.

        A `Comment` alone, or nothing, means that no command does it. It changes nothing, but it may read input files and list
        folders.

        Raises
        ------
        reconciler.errors.StateError
            If an input file can't be read.
        """
        return ()

    def describe(self, member: JsonObject) -> MemberText:
        """Return how reports show one member, or one value of the table."""
        shown = {key: value for key, value in member.items() if key not in HIDDEN} or dict(member)
        if len(shown) == 1:
            return MemberText(str(next(iter(shown.values()))))
        return MemberText("  ".join(f"{key}={value}" for key, value in shown.items()))

"""Fakes for tests of the engine: a kind whose resources live in a dictionary, a context, a listener and a clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from reconciler.engine.commands import Command, Comment
from reconciler.engine.graph import build_graph
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements, System
from reconciler.engine.model import (
    Action,
    Address,
    Change,
    Condition,
    Cost,
    DesiredState,
    JsonObject,
    Made,
    Members,
    Observed,
    Outcome,
)
from reconciler.engine.observe import observe
from reconciler.engine.plan import Plan, plan
from reconciler.engine.spec import Spec
from reconciler.errors import ApplyError, ReconcileError
from reconciler.patterns import Glob

STATE_FILE = Path("/states/fake.toml")


class FakeSpec(Spec):
    """A table of a fake kind: two fields, members, and all that links and requirements can say."""

    value: int = 0
    long_name: str = Field("", alias="long-name")
    members: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    contributes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    systems: tuple[System, ...] = ("butler",)
    input_files: tuple[str, ...] = ()
    butler_commands: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    default_formatters: tuple[str, ...] = ()


class FakeAction(Action):
    """Make a thing, set its value, or add or remove members of it."""

    value: int = 0
    members: tuple[str, ...] = ()


class FakeCall(FakeAction):
    """A fake action that is a single call."""

    is_single_call = True


@dataclass
class Thing:
    """What exists of one fake resource."""

    value: int = 0
    members: set[str] = field(default_factory=set)


class FakeKind(Kind[FakeSpec, FakeAction]):
    """A kind whose resources live in ``things``."""

    spec = FakeSpec

    def __init__(self, name: str = "box", **traits: Any) -> None:
        self.name = name  # type: ignore[misc]
        self.traits = KindTraits(f"a {name}", **traits)  # type: ignore[misc]
        self.things: dict[str, Thing] = {}
        self.unmanaged: dict[str, tuple[str, ...]] = {}
        self.conditions: dict[str, tuple[Condition, ...]] = {}
        self.unobservable: dict[str, ReconcileError] = {}
        """What observing a resource raises."""
        self.refusal: ReconcileError | None = None
        """What observing more than one resource raises."""
        self.link_errors: dict[str, ReconcileError] = {}
        self.broken: ReconcileError | None = None
        """What each action raises, having done nothing."""
        self.script: list[Callable[[FakeAction], Made | None]] = []
        """What the next actions do instead of what they are for."""
        self.action: type[FakeAction] = FakeAction
        self.never_settles: bool = False
        """Whether actions have no effect."""
        self.observed: list[tuple[str, ...]] = []
        """The names of each call of observe."""
        self.applied: list[FakeAction] = []
        self.contexts: list[Any] = []
        """The context of each call of observe and apply."""

    def links(self, name: str, spec: FakeSpec) -> Links:
        if name in self.link_errors:
            raise self.link_errors[name]
        needs, after = ([Glob(token) if "*" in token else token for token in tokens] for tokens in (spec.needs, spec.after))
        return Links(spec.provides, spec.contributes, needs, after)

    def requirements(self, spec: FakeSpec) -> Requirements:
        return Requirements(
            frozenset(spec.systems), spec.input_files, spec.butler_commands, spec.classes, spec.default_formatters
        )

    def observe(self, context: Any, desired: Mapping[str, FakeSpec]) -> Mapping[str, Observed[FakeSpec]]:
        self.observed.append(tuple(desired))
        self.contexts.append(context)
        if self.refusal is not None and len(desired) > 1:
            raise self.refusal
        for name in desired:
            if name in self.unobservable:
                raise self.unobservable[name]
        return {
            name: self._observe(name, spec) for name, spec in desired.items() if name in self.things or name in self.conditions
        }

    def _observe(self, name: str, spec: FakeSpec) -> Observed[FakeSpec]:
        conditions = self.conditions.get(name, ())
        thing = self.things.get(name)
        if thing is None:
            return Observed(None, conditions=conditions)
        present = thing.members
        awaited = tuple({"id": member} for member in spec.awaited if member not in present)
        unmanaged = self.unmanaged.get(name, ())
        members = Members(
            "members",
            len(spec.members) + len(spec.awaited),
            len(present & {*spec.members, *spec.awaited}),
            missing=tuple({"id": member} for member in spec.members if member not in present),
            unwanted=tuple({"id": member} for member in sorted(present - {*spec.members, *spec.awaited, *unmanaged})),
            unmanaged=tuple({"id": member} for member in unmanaged),
            awaited=awaited,
        )
        return Observed(spec.model_copy(update={"value": thing.value}), (members,), conditions)

    def plan(self, change: Change[FakeSpec]) -> Iterator[FakeAction]:
        value = change.desired.value
        if not change.exists:
            yield self.action(address=change.address, verb="make", reason="make it", value=value)
            return
        if "value" in change.fields:
            yield self.action(address=change.address, verb="set", reason=f"set {value}", value=value)
        for part in change.observed.members:
            if part.missing:
                added = tuple(member["id"] for member in part.missing)
                cost = Cost(len(added), 10 * len(added))
                reason = f"add {len(added)}"
                yield self.action(address=change.address, verb="add", reason=reason, members=added, cost=cost)
            if part.unwanted and change.prune:
                gone = tuple(member["id"] for member in part.unwanted)
                reason = f"remove {len(gone)}"
                yield self.action(address=change.address, verb="remove", reason=reason, members=gone, removes=gone)

    def apply(self, context: Any, action: FakeAction) -> Made | None:
        self.applied.append(action)
        self.contexts.append(context)
        if self.script:
            return self.script.pop(0)(action)
        if self.broken is not None:
            raise self.broken
        return None if self.never_settles else self.do(action)

    def do(self, action: FakeAction) -> Made | None:
        """Do what an action is for."""
        thing = self.things.setdefault(action.address.name, Thing())
        if action.verb in ("make", "set"):
            thing.value = action.value
            return None
        if action.verb == "add":
            thing.members |= set(action.members)
            return {"members": len(action.members)}
        thing.members -= set(action.members)
        return {"removed": len(action.members)}

    def do_then_raise(self, error: BaseException, *, members: int | None = None) -> Callable[[FakeAction], Made | None]:
        """Return a step of a script that does an action, or a part of it, and raises."""

        def step(action: FakeAction) -> Made | None:
            part = action if members is None else action.model_copy(update={"members": action.members[:members]})
            self.do(part)
            raise error

        return step


class GivenKind(FakeKind):
    """A kind of which a test gives what is observed, planned and typed, for tests of reports."""

    def __init__(self, name: str = "box", **traits: Any) -> None:
        super().__init__(name, **traits)
        self.given: dict[str, Observed[Any]] = {}
        self.actions: dict[str, list[Action]] = {}
        self.typed: dict[str, list[Command | Comment]] = {}
        """The commands of each verb."""
        self.texts: dict[str, MemberText] = {}
        """How members are described, by their ID."""

    def observe(self, context: Any, desired: Mapping[str, FakeSpec]) -> Mapping[str, Observed[FakeSpec]]:
        for name in desired:
            if name in self.unobservable:
                raise self.unobservable[name]
        return {name: self.given[name] for name in desired if name in self.given}

    def plan(self, change: Change[FakeSpec]) -> Iterator[Any]:
        yield from self.actions.get(change.address.name, ())

    def commands(self, action: Action) -> Iterable[Command | Comment]:
        return self.typed.get(action.verb, ())

    def describe(self, member: JsonObject) -> MemberText:
        return self.texts.get(str(member.get("id"))) or super().describe(member)


def fail(text: str = "no space left") -> Callable[[FakeAction], Made | None]:
    """Return a step of a script that does nothing and fails."""

    def step(action: FakeAction) -> Made | None:
        raise ApplyError(text)

    return step


@dataclass
class FakeContext:
    """The live systems, as far as the engine asks them."""

    existing: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    silent: ReconcileError | None = None
    """What `find_existing` raises."""
    missing_commands: set[str] = field(default_factory=set)
    missing_classes: set[str] = field(default_factory=set)
    missing_formatters: set[str] = field(default_factory=set)
    asked: list[set[str]] = field(default_factory=list)
    asked_commands: list[list[str]] = field(default_factory=list)
    asked_classes: list[list[str]] = field(default_factory=list)
    forgotten: list[tuple[str, ...]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    prepared: int = 0
    not_installed: ReconcileError | None = None
    """What `prepare` raises."""
    lock_checks: list[bool] = field(default_factory=list)
    lock_error: ReconcileError | None = None
    """What `check_lock` raises."""

    def check_lock(self, *, creating: bool) -> None:
        self.lock_checks.append(creating)
        if self.lock_error is not None:
            raise self.lock_error

    def prepare(self) -> None:
        self.prepared += 1
        if self.not_installed is not None:
            raise self.not_installed

    def find_existing(self, tokens: Collection[str]) -> Collection[str]:
        self.asked.append(set(tokens))
        if self.silent is not None:
            raise self.silent
        return self.existing & set(tokens)

    def is_down(self, system: System) -> bool:
        return system in self.down

    def find_missing_commands(self, names: Sequence[str]) -> Collection[str]:
        self.asked_commands.append(list(names))
        return self.missing_commands & set(names)

    def find_missing_classes(self, names: Sequence[str]) -> Collection[str]:
        self.asked_classes.append(list(names))
        return self.missing_classes & set(names)

    def find_missing_formatters(self, dataset_types: Sequence[str]) -> Collection[str]:
        return self.missing_formatters & set(dataset_types)

    def find_names(self, kind: str) -> Collection[str]:
        return {token.partition(":")[2] for token in self.existing if token.startswith(f"{kind}:")}

    def forget(self, *systems: System) -> None:
        self.forgotten.append(systems)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.phases.append(name)
        yield


@dataclass
class Recorder:
    """A listener that keeps what it hears, as tuples that begin with the event."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def started(self, action: Action) -> None:
        self.events.append(("started", str(action.address), action.verb))

    def ended(self, action: Action, made: Made, error: ReconcileError | None, *, effective: bool = False) -> None:
        text = None if error is None else str(error)
        self.events.append(("ended", str(action.address), action.verb, dict(made), text, effective))

    def settled(self, outcome: Outcome) -> None:
        self.events.append(("settled", str(outcome.address), outcome.status))

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float, pause: float) -> None:
        self.events.append(("waiting", [str(outcome.address) for outcome in outcomes], seconds_left, pause))

    def of(self, event: str) -> list[tuple[Any, ...]]:
        """Return what was heard of one event, without its name."""
        return [heard[1:] for heard in self.events if heard[0] == event]


@dataclass
class FakeClock:
    """Stands in for the module `time`: sleeping takes no time; ``at`` maps a time to what happens then."""

    now: float = 1000.0
    at: dict[float, Callable[[], Any]] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        for moment in [moment for moment in self.at if moment <= self.now - 1000.0 + 1e-6]:
            self.at.pop(moment)()


def address(text: str) -> Address:
    """Return the address that a text such as ``box.a`` names."""
    kind, _, name = text.partition(".")
    return Address(kind, name)


def make_state(tables: Mapping[str, FakeSpec], *kinds: FakeKind, **facts: Any) -> DesiredState:
    """Build a state of some tables, by address; their lines are 10, 20, ..."""
    resources = {address(text): spec for text, spec in tables.items()}
    lines = {its: 10 * number for number, its in enumerate(resources, 1)}
    known = {kind.name: kind for kind in kinds or (FakeKind(),)}
    return DesiredState(**{"path": STATE_FILE, "resources": resources, "kinds": known, "lines": lines, **facts})


def make_plan(
    state: DesiredState,
    context: FakeContext | None = None,
    *,
    only: Iterable[str] | None = None,
    prune: bool = False,
    unmet: Mapping[Address, str] | None = None,
) -> Plan:
    """Observe a state and plan it."""
    chosen = None if only is None else {address(text) for text in only}
    observation = observe(state, context or FakeContext(), state.resources if chosen is None else chosen)
    return plan(state, build_graph(state), observation, only=chosen, prune=prune, unmet=unmet)

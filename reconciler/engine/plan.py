"""Decide what to do about differences: pure, in the order of the graph, and the same code for a plan and for its execution."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.engine.diff import diff
from reconciler.engine.graph import Graph
from reconciler.engine.model import Action, Address, Change, Comparison, Cost, DesiredState, Difference, DifferenceKind, Observed
from reconciler.engine.observe import Observation
from reconciler.engine.spec import Spec
from reconciler.errors import ReconcileError


@dataclass(frozen=True)
class Entry:
    """One resource of a plan.

    Parameters
    ----------
    address : `Address`
        The resource.
    spec : `Spec`
        Its table.
    observed : `Observed` or `None`
        What exists; `None` if it could not be observed.
    differences : `tuple` [`Difference`, ...]
        What differs.
    actions : `tuple` [`Action`, ...]
        What to do.
    error : `reconciler.errors.ReconcileError` or `None`
        Why it could not be observed.
    """

    address: Address
    spec: Spec
    observed: Observed[Any] | None
    differences: tuple[Difference, ...] = ()
    actions: tuple[Action, ...] = ()
    error: ReconcileError | None = None

    @property
    def in_sync(self) -> bool:
        """Whether it was observed and nothing differs."""
        return self.error is None and not self.differences

    @property
    def in_conflict(self) -> bool:
        """Whether its name or definition is taken by something else, and it is not only observed."""
        return self.has(DifferenceKind.CONFLICT) and self.spec.manage != "observe"

    @property
    def removes(self) -> frozenset[str]:
        """What its actions remove; see `Action`."""
        return frozenset(member for action in self.actions for member in action.removes)

    def has(self, *kinds: DifferenceKind) -> bool:
        """Return True if there is a difference of one of some kinds."""
        return any(difference.kind in kinds for difference in self.differences)


@dataclass(frozen=True)
class PlanLimits:
    """Which parts of a plan may be executed, because something else was decided earlier on other facts.

    Parameters
    ----------
    allowed : `Mapping` [`Address`, `frozenset` [`str`]] or `None`
        Verbs by address, `None` for any verb of an address; `None` instead of the mapping allows everything.
    refused : `Mapping` [`Address`, `str`]
        Why parts of it are not executed.
    removals : `Mapping` [`Address`, `frozenset` [`str`]] or `None`
        What may be removed, by address; `None` for what the plan itself removes.
    done : `tuple` [`Address`, ...]
        Where what was decided earlier is done by now.
    """

    allowed: Mapping[Address, frozenset[str] | None] | None = None
    refused: Mapping[Address, str] = field(default_factory=dict)
    removals: Mapping[Address, frozenset[str]] | None = None
    done: tuple[Address, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The chosen resources of a state, in order, with what to do about each.

    Parameters
    ----------
    state : `DesiredState`
        The state.
    graph : `Graph`
        The order.
    entries : `tuple` [`Entry`, ...]
        In that order.
    prune : `bool`
        Whether unwanted members may be removed.
    unmet : `Mapping` [`Address`, `str`]
        Why the actions of an address can't be executed on this machine.
    limits : `PlanLimits`
        Which parts may be executed, if this repeats an earlier plan.
    """

    state: DesiredState
    graph: Graph
    entries: tuple[Entry, ...] = field(default_factory=tuple)
    prune: bool = False
    unmet: Mapping[Address, str] = field(default_factory=dict)
    limits: PlanLimits = field(default_factory=PlanLimits)

    @property
    def actions(self) -> list[Action]:
        """All actions, in order."""
        return [action for entry in self.entries for action in entry.actions]

    @property
    def permitted_actions(self) -> list[Action]:
        """The actions that may be executed: all, unless this repeats an earlier plan, of which a part is refused now."""
        return [action for action in self.actions if self.permits(action)]

    def permits(self, action: Action) -> bool:
        """Return True for an action that may be executed."""
        return is_permitted(action, self.limits.allowed)

    @property
    def differing(self) -> list[Entry]:
        """Resources that differ; those that may only differ after another action don't count."""
        return [entry for entry in self.entries if any(d.kind is not DifferenceKind.LATER for d in entry.differences)]

    @property
    def unknown(self) -> list[Entry]:
        """Resources that could not be observed."""
        return [entry for entry in self.entries if entry.error is not None]

    @property
    def in_sync(self) -> bool:
        """Whether every resource is in sync."""
        return all(entry.in_sync for entry in self.entries)

    @property
    def conflicts(self) -> list[Entry]:
        """Resources whose name or definition is taken by something else, and that are not only observed."""
        return [entry for entry in self.entries if entry.in_conflict]

    @property
    def compared_by_count(self) -> list[Entry]:
        """Resources of which some members were compared by their number only."""
        return [
            entry
            for entry in self.entries
            if entry.observed is not None and any(part.compared is Comparison.COUNT for part in entry.observed.members)
        ]

    @property
    def cost(self) -> Cost:
        """What the permitted actions move."""
        return sum((action.cost for action in self.permitted_actions), Cost())


def is_permitted(action: Action, allowed: Mapping[Address, frozenset[str] | None] | None) -> bool:
    """Return True if the allowed verbs contain that of an action; see `PlanLimits`."""
    if allowed is None:
        return True
    verbs = allowed.get(action.address, frozenset())
    return verbs is None or action.verb in verbs


def plan(
    state: DesiredState,
    graph: Graph,
    observation: Observation,
    *,
    only: Collection[Address] | None = None,
    prune: bool = False,
    unmet: Mapping[Address, str] | None = None,
) -> Plan:
    """Decide what to do about each resource; the executor decides again when the turn of a resource comes.

    Parameters
    ----------
    state, graph, observation
        What is desired, in which order, and what exists.
    only : `Collection` [`Address`], optional
        The resources of the plan; all of them by default.
    prune : `bool`
        Whether unwanted members may be removed.
    unmet : `Mapping` [`Address`, `str`], optional
        Why the actions of an address can't be executed on this machine.
    """
    differences = diff(state.resources, observation.observed)
    entries: dict[Address, Entry] = {}
    for address in graph.order:
        if only is not None and address not in only:
            continue
        spec = state.resources[address]
        if address in observation.unknown:
            entries[address] = Entry(address, spec, None, error=observation.unknown[address])
            continue
        observed, found = observation.observed[address], list(differences[address])
        actions = tuple(plan_resource(state, address, observed, found, prune=prune))
        if actions and unmet and address in unmet:
            found.append(Difference(address, None, detail=unmet[address], kind=DifferenceKind.BLOCKED))
            actions = ()
        if actions and (hindrance := _find_hindrance(graph, address, entries)):
            found.append(Difference(address, None, detail=hindrance, kind=DifferenceKind.BLOCKED))
            actions = ()
        if state.kind_of(address).traits.depends_on_content:
            found = [_explain_failure(difference, graph, entries) for difference in found]
            found += _differences_to_come(state, graph, address, entries)
        entries[address] = Entry(address, spec, observed, tuple(found), actions)
    return Plan(state, graph, tuple(entries.values()), prune, unmet or {})


def _find_hindrance(graph: Graph, address: Address, entries: Mapping[Address, Entry]) -> str:
    """Return why a resource has to wait for one that it needs; nothing if it doesn't."""
    for other in graph.needs.get(address, ()):
        if other not in entries:
            continue
        if block := explain_block(entries[other]):
            return f"needs {other}, which {block}"
    return ""


def explain_block(entry: Entry) -> str:
    """Return why a resource blocks those that need it, as the end of a sentence about it; nothing if it doesn't."""
    if entry.in_conflict:
        return "is in conflict"
    absent = entry.observed is not None and entry.observed.spec is None
    if absent and not entry.actions and entry.has(DifferenceKind.BLOCKED):
        return "is blocked"
    if absent and not entry.actions and entry.spec.manage == "observe":
        return "is absent and only observed"
    return ""


def plan_resource(
    state: DesiredState, address: Address, observed: Observed[Any], differences: Iterable[Difference], *, prune: bool
) -> Iterable[Action]:
    """Return the actions for one resource, in order; none with ``manage`` observe, or create if it exists."""
    spec, found = state.resources[address], tuple(differences)
    if not found or spec.manage == "observe" or (spec.manage == "create" and observed.spec is not None):
        return ()
    return state.kind_of(address).plan(Change(address, spec, observed, found, prune))


def plan_once_delivered(state: DesiredState, entry: Entry) -> list[Action]:
    """Return the actions for a resource as if everything that it waits for had been delivered."""
    if entry.observed is None or not any(part.awaited for part in entry.observed.members):
        return list(entry.actions)
    members = tuple(replace(part, missing=part.missing + part.awaited, awaited=()) for part in entry.observed.members)
    conditions = tuple(c for c in entry.observed.conditions if c.kind is not DifferenceKind.WAITING)
    observed = replace(entry.observed, members=members, conditions=conditions)
    prune = any(action.removes for action in entry.actions)
    return list(plan_resource(state, entry.address, observed, entry.differences, prune=prune))


def _explain_failure(difference: Difference, graph: Graph, entries: Mapping[Address, Entry]) -> Difference:
    """Refer from an expectation that fails to the resources it counts whose members are missing, which list them."""
    if difference.kind is not DifferenceKind.FAILED:
        return difference
    missing = {
        other: [d for d in entries[other].differences if d.kind in (DifferenceKind.MAKE, DifferenceKind.WAITING) and d.members]
        for other in graph.order
        if other in graph.predecessors(difference.address) and other in entries
    }
    texts = [
        f"{other} lacks {sum(len(d.members) for d in found):,} of its {found[0].field}"
        for other, found in missing.items()
        if found
    ]
    if not texts:
        return difference
    return replace(difference, detail=f"{difference.detail}; {' and '.join(texts)}", members=())


def _differences_to_come(
    state: DesiredState, graph: Graph, address: Address, entries: Mapping[Address, Entry]
) -> list[Difference]:
    """Report that a resource is planned again after resources that it is derived from have changed."""
    changing = [
        other
        for other in graph.order
        if other in graph.predecessors(address)
        and other in entries
        and entries[other].actions
        and state.kind_of(other).traits.affects_content
    ]
    if not changing:
        return []
    text = f"more known after {', '.join(map(str, changing))}"
    return [Difference(address, None, detail=text, kind=DifferenceKind.LATER)]

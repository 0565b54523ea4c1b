"""What to do about the differences: pure, in the order of the graph, and the same code for a plan and for its application."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.engine.diff import diff
from reconciler.engine.graph import Graph
from reconciler.engine.model import Action, Cost, Difference, Id, Missing, Seen, Spec
from reconciler.engine.observe import Observation
from reconciler.engine.registry import discover
from reconciler.errors import ReconcileError
from reconciler.state.loader import State


@dataclass(frozen=True)
class Entry:
    """One resource in a plan.

    Parameters
    ----------
    id : `Id`
        Which.
    spec : `reconciler.engine.model.Spec`
        What is wanted.
    seen : `reconciler.engine.model.Seen` or `None`
        What was seen; `None` if it could not be looked at.
    differences : tuple of `Difference`
        What differs.
    actions : tuple of `Action`
        What is to be done.
    error : `reconciler.errors.ReconcileError` or `None`
        Why it could not be looked at.
    """

    id: Id
    spec: Spec
    seen: Seen[Any] | None
    differences: tuple[Difference, ...] = ()
    actions: tuple[Action, ...] = ()
    error: ReconcileError | None = None

    @property
    def in_sync(self) -> bool:
        return self.error is None and not self.differences

    def has(self, *sorts: str) -> bool:
        """Tell whether there is a difference of a sort.

        Parameters
        ----------
        *sorts : `str`
            Sorts.

        Returns
        -------
        has : `bool`
            Whether there is one.
        """
        return any(difference.sort in sorts for difference in self.differences)


@dataclass(frozen=True)
class Plan:
    """All resources of a state, in order, with what is to be done.

    Parameters
    ----------
    state : `reconciler.state.loader.State`
        What is wanted.
    graph : `reconciler.engine.graph.Graph`
        The order.
    entries : tuple of `Entry`
        In that order.
    """

    state: State
    graph: Graph
    entries: tuple[Entry, ...] = field(default_factory=tuple)

    @property
    def actions(self) -> list[Action]:
        return [action for entry in self.entries for action in entry.actions]

    @property
    def differing(self) -> list[Entry]:
        """Resources that differ, less those of which only more may be known later."""
        return [entry for entry in self.entries if any(d.sort != "later" for d in entry.differences)]

    @property
    def unknown(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.error is not None]

    @property
    def in_sync(self) -> bool:
        return all(entry.in_sync for entry in self.entries)

    @property
    def conflicts(self) -> list[Entry]:
        """Resources whose name or definition something else has, and that are not only observed."""
        return [entry for entry in self.entries if entry.has("conflict") and entry.spec.manage != "observe"]

    @property
    def cost(self) -> Cost:
        return sum((action.cost for action in self.actions), Cost())


def plan(
    state: State,
    graph: Graph,
    observation: Observation,
    *,
    only: Collection[Id] | None = None,
    prune: bool = False,
    unable: Mapping[Id, str] | None = None,
) -> Plan:
    """Decide what to do.

    Parameters
    ----------
    state : `reconciler.state.loader.State`
        What is wanted.
    graph : `reconciler.engine.graph.Graph`
        The order.
    observation : `reconciler.engine.observe.Observation`
        What was seen.
    only : collection of `Id`, optional
        Which resources; all for `None`.
    prune : `bool`
        Whether anything may be removed.
    unable : mapping, optional
        Why the actions of an address can't be done here.

    Returns
    -------
    plan : `Plan`
        What is to be done; the last word on each resource is said when its turn comes in `reconciler.engine.executor`.
    """
    differences = diff(state.resources, observation.seen)
    entries: dict[Id, Entry] = {}
    for id in graph.order:
        if only is not None and id not in only:
            continue
        spec = state.resources[id]
        if id in observation.unknown:
            entries[id] = Entry(id, spec, None, error=observation.unknown[id])
            continue
        seen, found = observation.seen[id], list(differences[id])
        actions = tuple(actions_for(id, spec, seen, found, prune=prune))
        if actions and unable and id in unable:
            found.append(Difference(id, None, detail=unable[id], sort="blocked"))
            actions = ()
        makers = [o for o in graph.before(id) if o in entries and entries[o].actions and discover()[o.kind].holds]
        if makers and discover()[id.kind].derived:
            names = ", ".join(str(other) for other in graph.order if other in makers)
            found.append(Difference(id, None, detail=f"more known after {names}", sort="later"))
        entries[id] = Entry(id, spec, seen, tuple(found), actions)
    return Plan(state, graph, tuple(entries.values()))


def once_delivered(entry: Entry) -> list[Action]:
    """Say what is to be done when everything that a resource waits for has come.

    Parameters
    ----------
    entry : `Entry`
        A resource of a plan.

    Returns
    -------
    actions : `list` [`Action`]
        In order.
    """
    if entry.seen is None or not any(members.awaited for members in entry.seen.members):
        return list(entry.actions)
    members = tuple(replace(m, missing=m.missing + m.awaited, awaited=()) for m in entry.seen.members)
    seen = replace(entry.seen, members=members, conditions=tuple(c for c in entry.seen.conditions if c.sort != "waiting"))
    return list(actions_for(entry.id, entry.spec, seen, entry.differences, prune=False))


def actions_for(id: Id, spec: Spec, seen: Seen[Any], differences: Iterable[Difference], *, prune: bool) -> Iterable[Action]:
    """Decide what to do about one resource.

    Parameters
    ----------
    id : `Id`
        Which.
    spec, seen, differences
        What is wanted, was seen, and differs.
    prune : `bool`
        Whether anything may be removed.

    Returns
    -------
    actions : iterable of `Action`
        In order; none for a resource that is only to be observed.
    """
    found = tuple(differences)
    if not found or spec.manage == "observe" or (spec.manage == "create" and seen.spec is not None):
        return ()
    return discover()[id.kind].plan(Missing(id, spec, seen, found, prune))

"""Observe the live systems: one pass over the kinds, each asked once for all of its resources.

When one system can't be asked, what the other one knows is still reported; the rest is unknown, which is never in sync.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.engine.graph import Graph, describe_token
from reconciler.engine.kind import Context, Kind, System
from reconciler.engine.model import Address, DesiredState, Observed
from reconciler.engine.spec import find_unobserved_keys
from reconciler.errors import ObserveError, PlanError, ReconcileError, StateError, did_you_mean

Groups = dict[tuple[str, tuple[System, ...]], list[Address]]
"""Addresses that are observed in one batch: of one kind, and of the same systems."""


@dataclass(frozen=True)
class Observation:
    """The result of observing some resources.

    Parameters
    ----------
    observed : `Mapping` [`Address`, `Observed`]
        What exists.
    unknown : `Mapping` [`Address`, `ReconcileError`]
        Why an address could not be observed.
    """

    observed: Mapping[Address, Observed[Any]] = field(default_factory=dict)
    unknown: Mapping[Address, ReconcileError] = field(default_factory=dict)


def observe(state: DesiredState, context: Context, addresses: Collection[Address]) -> Observation:
    """Observe some resources of a state.

    Raises
    ------
    reconciler.errors.StateError
        If an input file is wrong.
    """
    observation = _ObservationPass(state, context)
    groups = _group(state, addresses)
    of_rucio = {key: group for key, group in groups.items() if key[1] == ("rucio",)}
    of_both = {key: group for key, group in groups.items() if len(key[1]) > 1}
    of_butler = {key: group for key, group in groups.items() if key not in of_rucio and key not in of_both}
    if of_butler and (of_rucio or of_both):
        with ThreadPoolExecutor(2) as pool:  # while one system is asked, the other one works

            def observe_rucio() -> None:
                observation.prefetch(of_both, pool)
                observation.observe_groups(of_rucio)

            rest = pool.submit(observe_rucio)
            _prepare(context)
            observation.observe_groups(of_butler)
            rest.result()
            slow = {key: of_both.pop(key) for key in observation.slow}
            observation.observe_groups(of_both)
            observation.observe_groups(slow)
    else:
        if of_butler or of_both:
            _prepare(context)
        observation.observe_groups(groups)
    if observation.wrong:
        raise StateError(observation.wrong)
    return Observation(observation.observed, observation.unknown)


def _prepare(context: Context) -> None:
    """Import the Butler; if it isn't installed, the first question to it fails, and Rucio is asked all the same."""
    with contextlib.suppress(ObserveError):
        context.prepare()


def check_unprovided(state: DesiredState, context: Context, graph: Graph, addresses: Collection[Address]) -> None:
    """Check that what tables need and no table provides exists live.

    Raises
    ------
    reconciler.errors.PlanError
        If something doesn't exist.
    reconciler.errors.ObserveError
        If that can't be found out.
    """
    existing = context.find_existing({token for address in addresses for token in graph.unprovided.get(address, ())})
    wrong = [
        f"{state.where(address)}: {address}: needs {describe_token(token)}, which no table provides and which doesn't exist"
        f"{_suggest_provider(token, context, graph)}"
        for address in graph.order
        if address in addresses
        for token in graph.unprovided.get(address, ())
        if token not in existing
    ]
    if wrong:
        raise PlanError(wrong)


def _suggest_provider(token: str, context: Context, graph: Graph) -> str:
    """Suggest a name that a table provides or that exists live."""
    kind, _, name = token.partition(":")
    provided = {owned.partition(":")[2] for owned in graph.owners}
    return did_you_mean(name, provided | set(context.find_names(kind)))


class _ObservationPass:
    """One pass over some groups of resources; a system that is down is not asked again for each kind."""

    def __init__(self, state: DesiredState, context: Context) -> None:
        self.state, self.context = state, context
        self.observed: dict[Address, Observed[Any]] = {}
        self.unknown: dict[Address, ReconcileError] = {}
        self.wrong: list[str] = []
        self.down: dict[System, ObserveError] = {}
        self.slow: list[tuple[str, tuple[System, ...]]] = []
        """Groups for which something is still being prefetched; the others are observed first."""

    def prefetch(self, groups: Groups, pool: ThreadPoolExecutor) -> None:
        """Let kinds ask early what they will need to be observed; what takes long is left to the pool.

        An error is not reported, since the observation meets it again. But a system that is down is not asked again.
        """
        for (kind_name, systems), group in groups.items():
            if any(system in self.down for system in systems):
                continue
            desired = {address.name: self.state.resources[address] for address in group}
            try:
                rest = self.state.kinds[kind_name].prefetch(self.context, desired)
            except ObserveError as error:
                self._note_systems_down([system for system in systems if system != "butler"], error)
            except ReconcileError:
                continue
            else:
                if rest is not None:
                    self.slow.append((kind_name, systems))
                    pool.submit(rest)  # its errors are kept in the future, which nobody reads

    def _note_systems_down(self, systems: Iterable[System], error: ObserveError) -> list[System]:
        """Return the systems that don't answer at all, and note the error for them."""
        down = [system for system in systems if self.context.is_down(system)]
        self.down |= dict.fromkeys(down, error)
        return down

    def observe_groups(self, groups: Groups) -> None:
        """Observe some groups, one after the other."""
        for (kind_name, systems), group in groups.items():
            failed = next((self.down[system] for system in systems if system in self.down), None)
            if failed is not None:
                self.unknown |= dict.fromkeys(group, failed)
            else:
                with self.context.phase(kind_name):
                    self._observe_group(self.state.kinds[kind_name], systems, group)

    def _observe_group(self, kind: Kind[Any, Any], systems: Iterable[System], group: list[Address]) -> None:
        try:
            self.observed |= self._ask(kind, group)
        except StateError as error:
            problems = [problem for address in group for problem in self._find_wrong_inputs(kind, address)]
            self.wrong += problems or error.problems
        except ObserveError as error:
            if self._note_systems_down(systems, error) or len(group) == 1:
                self.unknown |= dict.fromkeys(group, error)
            else:
                self._observe_one_by_one(kind, group)

    def _observe_one_by_one(self, kind: Kind[Any, Any], group: list[Address]) -> None:
        """Find out which resources of a group can't be observed, and which have a wrong input that the first error hid."""
        for address in group:
            try:
                self.observed |= self._ask(kind, [address])
            except ObserveError as error:
                self.unknown[address] = error
            except StateError as error:
                self.wrong += self._describe_problems(address, error)

    def _find_wrong_inputs(self, kind: Kind[Any, Any], address: Address) -> list[str]:
        try:
            self._ask(kind, [address])
        except StateError as error:
            return self._describe_problems(address, error)
        except ReconcileError:
            return []
        return []

    def _describe_problems(self, address: Address, error: StateError) -> list[str]:
        return [f"{self.state.where(address)}: {address}: {problem}" for problem in error.problems]

    def _ask(self, kind: Kind[Any, Any], group: list[Address]) -> dict[Address, Observed[Any]]:
        found = kind.observe(self.context, {address.name: self.state.resources[address] for address in group})
        return {address: self._mark(address, found.get(address.name, Observed(None))) for address in group}

    def _mark(self, address: Address, observed: Observed[Any]) -> Observed[Any]:
        """Add the keys that can't be observed to what was observed."""
        keys = find_unobserved_keys(self.state.resources[address]) if observed.exists else ()
        return replace(observed, unobserved=tuple(dict.fromkeys((*observed.unobserved, *keys)))) if keys else observed


def _group(state: DesiredState, addresses: Collection[Address]) -> Groups:
    groups: Groups = defaultdict(list)
    for address, spec in state.resources.items():
        if address in addresses:
            groups[address.kind, tuple(sorted(state.kind_of(address).requirements(spec).systems))].append(address)

    def position(key: tuple[str, tuple[System, ...]]) -> tuple[bool, int, tuple[System, ...]]:
        traits = state.kinds[key[0]].traits
        return traits.opens is None, traits.order, key[1]

    return {key: groups[key] for key in sorted(groups, key=position)}

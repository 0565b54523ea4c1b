"""What keeps a resource from being acted on: how those that it needs have ended in a run, or are expected to end in one.

The executor and reports share the rule. A report applies it to the ends that a plan lets expect, if its actions succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconciler.engine.model import Address, DifferenceKind, Outcome, Status
from reconciler.engine.outcome_counts import DONE
from reconciler.engine.plan import Entry, Plan, explain_block
from reconciler.engine.reconciliation import REMAINDERS
from reconciler.errors import ConflictError, PartlyApplied

REASONS = {
    Status.FAILED: "failed",
    Status.WAITING: "is waiting",
    Status.BLOCKED: "is blocked",
    Status.DEGRADED: "is not in sync",
}
"""Why a resource can't be acted on, by the status of one that it needs."""
_SETTLED_BY_ACTIONS = (DifferenceKind.MAKE, DifferenceKind.CHANGE)


def hinders(needed: Address, token: str, outcome: Outcome, exists: Callable[[str], bool]) -> bool:
    """Return True if a resource can't be acted on because of one that it needs.

    One that is done never hinders; one that failed always does, unless it was partly applied. Any other hinders if what is needed
    of it doesn't exist, or if it is named in ``requires``.

    Parameters
    ----------
    needed : `Address`
        The one that it needs.
    token : `str`
        What it needs of it; the address itself for a key ``requires``.
    outcome : `Outcome`
        How that one ended.
    exists : `Callable`
        Returns True for a token that exists live; only called if that decides.
    """
    if outcome.status in DONE:
        return False
    if outcome.status is Status.FAILED and not isinstance(outcome.error, PartlyApplied):
        return True
    return token == str(needed) or not exists(token)


def describe_expected_hindrances(plan: Plan, address: Address, exists: Callable[[str], bool]) -> list[str]:
    """Return why an apply of a plan is expected not to act on a resource: one phrase for each that it needs and that hinders it.

    Parameters
    ----------
    plan : `Plan`
        A plan that contains the resource and all that it needs.
    address : `Address`
        The resource.
    exists : `Callable`
        Returns True for a token that exists live.
    """
    entries = {entry.address: entry for entry in plan.entries}
    outcomes = _predict_outcomes(plan, exists)
    hindering = [*_find_hindering(plan, address, outcomes, exists), *_find_conflicting(plan, address, outcomes)]
    return [
        f"needs {other}, which {explain_block(entries[other]) or _describe_expected(outcomes[other])}"
        for other in dict.fromkeys(hindering)
    ]


def find_tokens_that_decide(plan: Plan) -> set[str]:
    """Return the tokens whose existence may decide what hinders a resource of a plan."""
    unsettled: set[Address] = set()
    tokens: set[str] = set()
    for entry in plan.entries:
        needs = plan.graph.needs[entry.address]
        tokens |= {token for other, token in needs.items() if other in unsettled and token != str(other)}
        if not entry.in_sync or not unsettled.isdisjoint(needs):
            unsettled.add(entry.address)
    return tokens


def _describe_expected(outcome: Outcome) -> str:
    return "could not be checked" if outcome.status is Status.FAILED else REASONS[outcome.status]


def _predict_outcomes(plan: Plan, exists: Callable[[str], bool]) -> dict[Address, Outcome]:
    """Return how each resource is expected to end in an apply; as changed where that depends on what happens before."""
    outcomes: dict[Address, Outcome] = {}
    for entry in plan.entries:
        hindering = _find_hindering(plan, entry.address, outcomes, exists)
        statuses = {outcomes[other].status for other in hindering}
        if statuses:
            outcomes[entry.address] = Outcome(entry.address, Status.WAITING if statuses == {Status.WAITING} else Status.BLOCKED)
        else:
            outcomes[entry.address] = _predict_outcome(plan, entry, outcomes)
    return outcomes


def _find_hindering(
    plan: Plan, address: Address, outcomes: Mapping[Address, Outcome], exists: Callable[[str], bool]
) -> list[Address]:
    """Return what hinders a resource; what a needed one is going to provide with its actions counts as existing."""
    needs = {other: token for other, token in plan.graph.needs[address].items() if other in outcomes}
    coming = {token for other, token in needs.items() if outcomes[other].actions}

    def will_exist(token: str) -> bool:
        return token in coming or exists(token)

    return [other for other, token in needs.items() if hinders(other, token, outcomes[other], will_exist)]


def _find_conflicting(plan: Plan, address: Address, outcomes: Mapping[Address, Outcome]) -> Iterator[Address]:
    for other in plan.graph.needs[address]:
        if other in outcomes and isinstance(outcomes[other].error, ConflictError):
            yield other


def _predict_outcome(plan: Plan, entry: Entry, outcomes: Mapping[Address, Outcome]) -> Outcome:
    """Return how a resource is expected to end that nothing hinders, given those before it."""
    address = entry.address
    if entry.in_sync:
        return Outcome(address, Status.OK)
    if entry.error is not None:
        return Outcome(address, Status.FAILED, error=entry.error)
    if address in plan.unmet or any(_find_conflicting(plan, address, outcomes)):
        return Outcome(address, Status.BLOCKED)
    rest = _predict_rest(plan, entry, outcomes)
    status = next((status for kind, status in REMAINDERS if kind in rest), Status.CHANGED)
    earlier = plan.graph.predecessors(address)
    if status is Status.DEGRADED and any(outcomes[other].status is Status.WAITING for other in earlier if other in outcomes):
        status = Status.WAITING
    error = ConflictError("in conflict") if entry.in_conflict else None
    return Outcome(address, status, actions=len(entry.actions), error=error)


def _predict_rest(plan: Plan, entry: Entry, outcomes: Mapping[Address, Outcome]) -> set[DifferenceKind]:
    """Return the kinds of differences that are certain to be left after the actions of a resource and of those before it.

    What comes before can settle all but a conflict, and a delivery only if it changes Rucio.
    """
    earlier = [other for other in plan.graph.predecessors(entry.address) if other in outcomes and outcomes[other].actions]
    found = {difference.kind for difference in entry.differences}
    if entry.actions:
        found -= {*_SETTLED_BY_ACTIONS, *((DifferenceKind.REMOVE,) if plan.prune else ())}
    if any(plan.state.kind_of(other).traits.writes_to == "rucio" for other in earlier):
        found -= {DifferenceKind.WAITING}
    return found & {DifferenceKind.CONFLICT, DifferenceKind.WAITING} if earlier else found

"""Bring one resource to its desired state: observe, plan and act, until no action is left.

It is observed and planned before its actions and again after them (level-triggered). So nothing is done twice, a half-done action
is completed, and a second run does nothing. A failure is always reported, even if nothing is left to do after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.engine.diff import diff
from reconciler.engine.kind import Context
from reconciler.engine.listener import Listener
from reconciler.engine.model import Action, Address, Delivery, Difference, DifferenceKind, Made, Outcome, Status
from reconciler.engine.observe import observe
from reconciler.engine.plan import Entry, Plan, plan_resource
from reconciler.errors import (
    ApplyError,
    ConflictError,
    Interrupted,
    LockHeld,
    LockLost,
    PartlyApplied,
    ReconcileError,
    WorkerDied,
)

PASSES = 3
"""How often a resource is planned again because an action revealed another one; more would be going in circles."""

REMAINDERS: tuple[tuple[DifferenceKind, Status], ...] = (
    (DifferenceKind.CONFLICT, Status.BLOCKED),
    (DifferenceKind.BLOCKED, Status.BLOCKED),
    (DifferenceKind.WAITING, Status.WAITING),
    (DifferenceKind.FAILED, Status.DEGRADED),
    (DifferenceKind.DEGRADED, Status.DEGRADED),
    (DifferenceKind.REMOVE, Status.DEGRADED),
    (DifferenceKind.MAKE, Status.DEGRADED),
    (DifferenceKind.CHANGE, Status.DEGRADED),
)
"""Status of a resource that still differs, by its worst difference."""
CONFLICT_HINT = 'correct the state, exclude these with --except, or only watch them with manage = "observe"'


@dataclass
class Reconciliation:
    """The work of one run on one resource, until it ends or has to wait.

    Parameters
    ----------
    plan : `Plan`
        What was found to differ when the plan was shown, and which parts of it may be executed.
    entry : `Entry`
        The resource in it.
    context : `Context`
        The live systems.
    listener : `Listener`
        Receives the events.
    check_stop : `Callable`
        Called before each action; raises `reconciler.errors.Interrupted` if the run should end.
    creating : `bool`
        Whether the run creates the repository.
    waits : `bool`
        Whether an earlier resource waits for a delivery, so that this one waits too if it still differs.
    """

    plan: Plan
    entry: Entry
    context: Context
    listener: Listener
    check_stop: Callable[[], None]
    creating: bool = False
    waits: bool = False
    _begun: int = 0
    """Number of actions that were begun."""
    _made: dict[str, Any] = field(default_factory=dict)
    _failure: ReconcileError | None = None
    """The last error, unless it was the death of a worker and its work was done after all."""

    @property
    def address(self) -> Address:
        """The resource."""
        return self.entry.address

    def run(self) -> Outcome:
        """Observe, plan and act, again as long as an action reveals another one; after `PASSES` times it has failed.

        Raises
        ------
        reconciler.errors.ApplyError
            If the listener can't write down what happens, such as in the journal.
        reconciler.errors.Interrupted
            If the operator asked to stop.
        reconciler.errors.LockLost, reconciler.errors.LockHeld
            If the lock of the run is lost, or that of the repository to create is held by another run.
        """
        for _ in range(PASSES):
            ended = self._run_once()
            if ended is not None:
                return ended
        try:
            differences, actions = self._observe_and_plan()
        except ReconcileError as error:
            return self._fail_unchecked(error)
        if actions and self._failure is not None:
            return self._fail(self._failure)
        if any(self.plan.permits(action) for action in actions):
            return self._end(Status.FAILED, f"still differs after {self._begun} actions: {actions[0].reason}")
        return self.conclude(differences)

    def _run_once(self) -> Outcome | None:
        """Do one pass; return None if the resource has to be observed and planned again."""
        try:
            differences, actions = self._observe_and_plan()
        except ReconcileError as error:
            return self._fail_unchecked(error)
        kept = [action for action in actions if self.plan.permits(action)]
        confirmed, unconfirmed = self._split_by_confirmation(kept)
        if actions and not confirmed:
            if self._failure is not None:
                return self._fail(self._failure)
            if not kept:
                return self._end(Status.BLOCKED, f"not in the plan: {actions[0].reason}")
            return self._end(Status.BLOCKED, _describe_unconfirmed(unconfirmed))
        if not actions:
            outcome = self.conclude(differences)
            vanished = outcome.status is Status.OK and self.entry.actions
            return replace(outcome, detail="nothing was left to do when its turn came") if vanished else outcome
        for action in confirmed:
            self.check_stop()
            unlocked = self._check_lock(action)
            if unlocked is not None:
                return self._fail(unlocked)
            failure = self._act(action)
            if failure is not None:
                return self._handle_failure(action, failure)
        return None

    def _observe_and_plan(self) -> tuple[tuple[Difference, ...], list[Action]]:
        state, address = self.plan.state, self.address
        observation = observe(state, self.context, {address})
        if address in observation.unknown:
            raise observation.unknown[address]
        differences = diff({address: self.entry.spec}, observation.observed)[address]
        observed = observation.observed[address]
        return differences, list(plan_resource(state, address, observed, differences, prune=self.plan.prune))

    def _split_by_confirmation(self, actions: list[Action]) -> tuple[list[Action], list[str]]:
        """Return the actions that remove nothing but what was confirmed, and what the others would remove besides."""
        removals = self.plan.limits.removals
        known = self.entry.removes if removals is None else removals.get(self.address, frozenset())
        confirmed = [action for action in actions if known.issuperset(action.removes)]
        unconfirmed = [member for action in actions for member in action.removes if member not in known]
        return confirmed, unconfirmed

    def _check_lock(self, action: Action) -> ReconcileError | None:
        """Check before an action that the run still holds its locks; return why that of the repository can't be acquired.

        What has nothing to do with the repository goes on without that lock.
        """
        try:
            self.context.check_lock(creating=self.creating)
        except (LockHeld, LockLost):
            raise
        except ReconcileError as error:
            if self.plan.state.kind_of(action.address).traits.writes_to == "butler":
                return error
            self.context.check_lock(creating=False)
        return None

    def _act(self, action: Action) -> ReconcileError | None:
        """Execute one action; return why it failed."""
        self.listener.started(action)
        self._begun += 1
        kind = self.plan.state.kind_of(action.address)
        try:
            made = kind.apply(self.context, action) or {}
        except Interrupted as interrupt:
            error = ApplyError(["stopped between two chunks; what is done stays", *interrupt.problems])
            self.listener.ended(action, {}, error)
            raise
        except PartlyApplied as error:
            self._made = add_made(self._made, error.made)
            return error
        except ReconcileError as error:  # also a wrong input file: it concerns this resource alone
            return error
        finally:
            self.context.forget(kind.traits.writes_to)
        self._made = add_made(self._made, made)
        if isinstance(self._failure, WorkerDied):
            self._failure = None  # made up for
        self.listener.ended(action, made, None)
        return None

    def _handle_failure(self, action: Action, failure: ReconcileError) -> Outcome | None:
        """Report a failed action; return None if the resource has to be observed and planned again."""
        if isinstance(failure, PartlyApplied):
            self.listener.ended(action, failure.made, failure)
            return self._fail(failure, failure.problems[0])
        rest = self._find_rest(action)
        effective = rest is None and action.is_single_call  # only the answer was lost, or another run did the same
        self.listener.ended(action, {}, failure, effective=effective)
        if effective:
            return None
        self._failure = failure
        if rest is None or not rest.is_same_work(action) or isinstance(failure, WorkerDied):
            return None  # all or a part of it was done, by this or another run, or its worker died
        return self._fail(failure)

    def _find_rest(self, action: Action) -> Action | None:
        """Return what a failed action left to do: all of it, a part, or nothing."""
        try:
            _, actions = self._observe_and_plan()
        except ReconcileError:
            return action
        same = [other for other in actions if other.verb == action.verb]
        if any(action.is_same_work(other) for other in same):
            return action
        # Of several actions of one verb the others are not the rest of this one; bulk work has one.
        return same[0] if same and action.cost.datasets else None

    def conclude(self, differences: tuple[Difference, ...]) -> Outcome:
        """Return the outcome if no action is left for these differences."""
        if self._failure is not None:
            rest = "" if any(d.kind is not DifferenceKind.LATER for d in differences) else "; afterwards nothing was left to do"
            return self._fail(self._failure, f"{self._failure}{rest}")
        for kind, status in REMAINDERS:
            rest_of_kind = [difference for difference in differences if difference.kind is kind]
            if rest_of_kind:
                if status is Status.DEGRADED and self.waits:
                    status = Status.WAITING
                outcome = self._end(status, _describe_remainder(kind, rest_of_kind))
                if status is Status.WAITING:
                    outcome = replace(outcome, delivery=_count_delivered(rest_of_kind))
                return self._report_conflict(outcome, rest_of_kind) if kind is DifferenceKind.CONFLICT else outcome
        return self._end(Status.CHANGED if self._begun else Status.OK)

    def _report_conflict(self, outcome: Outcome, conflicts: list[Difference]) -> Outcome:
        """Return the outcome of a resource whose name or definition is taken, as an error unless it is only observed."""
        if self.entry.spec.manage == "observe":
            return outcome
        where = self.plan.state.where(self.address)
        problems = [f"{where}: {self.address}: {difference.detail}" for difference in conflicts]
        return replace(outcome, error=ConflictError(problems, (CONFLICT_HINT,)))

    def _end(self, status: Status, detail: str = "") -> Outcome:
        return Outcome(self.address, status, detail, self._begun, self._made)

    def _fail(self, error: ReconcileError, detail: str = "") -> Outcome:
        return replace(self._end(Status.FAILED, detail or str(error)), error=error)

    def _fail_unchecked(self, error: ReconcileError) -> Outcome:
        """Return the outcome of a resource that can't be observed; if an action failed before, that error comes first."""
        detail = f"could not be checked: {error}"
        if self._failure is not None:
            detail = f"{self._failure}; afterwards it {detail}"
        elif self._begun:
            detail = f"{_count_actions(self._begun)} done, and then it {detail}"
        return self._fail(self._failure or error, detail)


def _describe_remainder(kind: DifferenceKind, rest: list[Difference]) -> str:
    fallback = "missing" if kind is DifferenceKind.MAKE else "differs"
    detail = next((d.detail for d in rest if not d.members and d.detail), rest[0].detail or fallback)
    members = sum(len(difference.members) for difference in rest)
    return f"{detail} ({members:,})" if members and kind in (DifferenceKind.REMOVE, DifferenceKind.MAKE) else detail


def _count_delivered(rest: list[Difference]) -> Delivery | None:
    counted = [
        Delivery(
            difference.desired - len(difference.members),
            difference.desired,
            sum(int(member.get("bytes") or 0) for member in difference.members),
            difference.field or "",
        )
        for difference in rest
        if difference.awaited
    ]
    return sum(counted, Delivery()) if counted else None


def _describe_unconfirmed(members: list[str]) -> str:
    what = "1 member was" if len(members) == 1 else f"{len(members):,} members were"
    return f"{what} not confirmed for removal, such as {members[0]}; run again to see and confirm what is removed now"


def _count_actions(count: int) -> str:
    return "1 action was" if count == 1 else f"{count} actions were"


def add_made(first: Made, second: Made) -> dict[str, Any]:
    """Return what two actions made together: numbers of the same noun are added up, lists are joined."""
    return {**first, **{noun: first[noun] + made if noun in first else made for noun, made in second.items()}}

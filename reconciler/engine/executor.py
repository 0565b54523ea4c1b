"""Execute a plan in dependency order, re-observing each resource before and after acting on it (level-triggered).

Before acting on a resource it is observed and planned again, and once more afterwards. So nothing is done twice, a half-done
action is completed, and a second run does nothing. What was in sync is checked again at the end of a run that acted or waited.
A failure is always reported, even if nothing is left to do after it, and blocks only what needs the failed resource.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.engine.diff import diff
from reconciler.engine.kind import Context
from reconciler.engine.listener import Listener
from reconciler.engine.model import Action, Address, Delivery, Difference, DifferenceKind, Made, Outcome, Status
from reconciler.engine.observe import Observation, observe
from reconciler.engine.outcome_counts import DONE, HELD_UP, count_acted
from reconciler.engine.plan import Entry, Plan, is_permitted, plan_resource
from reconciler.errors import (
    ApplyError,
    ConflictError,
    Interrupted,
    LockHeld,
    LockLost,
    ObserveError,
    PartlyApplied,
    ReconcileError,
    StateError,
    WorkerDied,
)

PASSES = 3
"""How often a resource is planned again because an action revealed another one; more would be going in circles."""
FIRST_PAUSE = 0.5
"""Seconds before what is waited for is observed the first time; the pause doubles each time."""
LONGEST_PAUSE = 3.0
"""Seconds between observations of what is waited for, at most."""

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
REASONS = {
    Status.FAILED: "failed",
    Status.WAITING: "is waiting",
    Status.BLOCKED: "is blocked",
    Status.DEGRADED: "is not in sync",
}


@dataclass
class _Progress:
    """What was done about one resource so far."""

    begun: int = 0
    made: dict[str, Any] = field(default_factory=dict)
    failure: ReconcileError | None = None
    """The last error, unless it was the death of a worker and its work was done after all."""

    def outcome(self, address: Address, status: Status, detail: str = "") -> Outcome:
        return Outcome(address, status, detail, self.begun, self.made)

    def add(self, made: Made) -> None:
        self.made = add_made(self.made, made)

    def failed(self, address: Address, error: ReconcileError, detail: str = "") -> Outcome:
        return replace(self.outcome(address, Status.FAILED, detail or str(error)), error=error)


@dataclass
class Executor:
    """One execution of a plan.

    Parameters
    ----------
    plan : `Plan`
        What was found to differ when the plan was shown.
    context : `Context`
        The live systems.
    listener : `Listener`
        Receives the events.
    prune : `bool`
        Whether unwanted members may be removed.
    unmet : `Mapping` [`Address`, `str`]
        Why the actions of an address can't be executed on this machine.
    stop : `Callable`
        Returns True if the run should end before the next action.
    allowed : `Mapping` or `None`
        If the plan repeats an earlier one, the verbs of that one by address, `None` for any verb; nothing else is done.
        `None` for all that the plan contains.
    refused : `Mapping` [`Address`, `str`]
        If the plan repeats an earlier one, why its actions for an address are refused.
    removals : `Mapping` [`Address`, `frozenset` [`str`]] or `None`
        What was confirmed to be removed, by address; nothing else is. `None` for what the plan removes.
    outcomes : `dict` [`Address`, `Outcome`]
        Filled by `run`: how each resource ended so far, also after an exception.
    """

    plan: Plan
    context: Context
    listener: Listener
    prune: bool = False
    unmet: Mapping[Address, str] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False
    allowed: Mapping[Address, frozenset[str] | None] | None = None
    refused: Mapping[Address, str] = field(default_factory=dict)
    removals: Mapping[Address, frozenset[str]] | None = None
    outcomes: dict[Address, Outcome] = field(default_factory=dict)
    _conflicting: set[Address] = field(default_factory=set)
    """Resources whose name or definition is taken by something else."""
    _as_planned: set[Address] = field(default_factory=set)
    """Resources that were in sync when planned, and not observed since."""
    _creating: bool = False
    """Whether the run creates the repository."""

    def run(self, wait: float = 0.0) -> list[Outcome]:
        """Execute the whole plan.

        Parameters
        ----------
        wait : `float`
            Seconds after the start of the run until which it waits for what others deliver; the time for its actions counts.

        Returns
        -------
        outcomes : `list` [`Outcome`]
            One for each resource, in order.

        Raises
        ------
        reconciler.errors.Interrupted
            If the operator asked to stop.
        reconciler.errors.LockLost, reconciler.errors.LockHeld
            If the lock of the run is lost, or that of the repository to create is held by another run.
        reconciler.errors.ApplyError
            If the listener can't write down what happens, such as in the journal.
        """
        deadline = time.monotonic() + wait
        pause = FIRST_PAUSE
        self._creating = self._creates_repository()
        entries = {entry.address: entry for entry in self.plan.entries}
        for entry in entries.values():
            self._settle(entry, first=True)
        while waiting := [address for address, outcome in self.outcomes.items() if outcome.status is Status.WAITING]:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.listener.waiting([self.outcomes[address] for address in waiting], left, min(pause, left))
            self._sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
            self.context.forget()
            affected = self._find_affected(waiting)
            with suppress(StateError):  # reported for the resource that it concerns, when that is observed alone
                observe(self.plan.state, self.context, set(affected))  # one batch; the answers are cached for the next loop
            for address in affected:
                self._settle(entries[address], first=False)
        if self._as_planned and (wait or count_acted(self.outcomes.values())):
            self._check_again()
        return [self.outcomes[address] for address in entries]

    def _check_again(self) -> None:
        """Check that what was in sync when planned still is, in one batch; others may have changed it during the run."""
        self._check_stop()
        self.context.forget()
        observation = Observation()
        failure: ReconcileError | None = None
        try:
            observation = observe(self.plan.state, self.context, self._as_planned)
        except StateError as error:
            failure = error
        differences = diff(self.plan.state.resources, observation.observed)
        for address in [address for address in self.outcomes if address in self._as_planned]:
            if address in observation.observed:
                outcome = self._conclude(address, differences[address], _Progress())
                if outcome.status in DONE:
                    continue
                outcome = replace(outcome, detail=f"in sync when planned, and not any more: {outcome.detail}")
            else:
                reason = observation.unknown.get(address, failure)
                detail = f"in sync when planned, and could not be checked again: {reason}"
                outcome = Outcome(address, Status.FAILED, detail, error=reason)
            self.outcomes[address] = outcome
            self.listener.settled(outcome)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._check_stop()
            time.sleep(0.1)

    def _check_stop(self) -> None:
        if self.stop():
            raise Interrupted

    def _find_affected(self, waiting: Collection[Address]) -> list[Address]:
        """Return the waiting resources, and those that were held up because something they need was waiting."""
        affected = set(waiting)
        found = []
        for entry in self.plan.entries:
            held_up = self.outcomes[entry.address].status in HELD_UP
            if entry.address in affected or (held_up and self.plan.graph.predecessors(entry.address) & affected):
                affected.add(entry.address)
                found.append(entry.address)
        return found

    def _settle(self, entry: Entry, *, first: bool) -> None:
        self._check_stop()
        before = self.outcomes.get(entry.address)
        outcome = self._settle_early(entry, first=first) or self._execute(entry)
        if before is not None and before.actions:  # it waited, after this run had acted on it
            if outcome.status is Status.OK:
                outcome = replace(outcome, status=Status.CHANGED, detail="")
            made = add_made(before.made, outcome.made)
            outcome = replace(outcome, actions=before.actions + outcome.actions, made=made)
        if before is None or outcome != before or outcome.delivery != before.delivery:
            self.outcomes[entry.address] = outcome
            self.listener.settled(outcome)

    def _settle_early(self, entry: Entry, *, first: bool) -> Outcome | None:
        """Return the outcome of a resource that needs no observation, or can't be acted on; None if its turn has come."""
        address = entry.address
        hindrance = self._find_hindrance(address)
        if hindrance is not None:
            return hindrance
        changed_before = self._changed_before(address)
        derived = self.plan.state.kind_of(address).traits.depends_on_content
        if first and entry.in_sync and not (derived and changed_before):
            self._as_planned.add(address)
            return Outcome(address, Status.OK)
        if first and entry.error is not None and not changed_before:
            return Outcome(address, Status.FAILED, f"could not be checked: {entry.error}", error=entry.error)
        for other in self.plan.graph.needs[address]:
            if other in self._conflicting:
                return Outcome(address, Status.BLOCKED, f"needs {other}, which is in conflict")
        if address in self.refused:
            return Outcome(address, Status.BLOCKED, f"refused: {self.refused[address]}")
        if address in self.unmet:
            return Outcome(address, Status.BLOCKED, self.unmet[address])
        return None

    def _find_hindrance(self, address: Address) -> Outcome | None:
        """Return the outcome of a resource that lacks something it needs; None if it lacks nothing."""
        worst: Outcome | None = None
        for other, token in self.plan.graph.needs[address].items():
            outcome = self.outcomes.get(other)
            if outcome is None or outcome.status in DONE:
                continue
            text = f"needs {other}, which {REASONS[outcome.status]}"
            if outcome.status is Status.FAILED and not isinstance(outcome.error, PartlyApplied):
                return Outcome(address, Status.BLOCKED, text)
            if token == str(other) or not self._exists(token):
                status = Status.WAITING if outcome.status is Status.WAITING else Status.BLOCKED
                if worst is None or status is Status.BLOCKED:
                    worst = Outcome(address, status, text)
        return worst

    def _exists(self, token: str) -> bool:
        try:
            return token in self.context.find_existing({token})
        except ObserveError:
            return False

    def _changed_before(self, address: Address) -> bool:
        earlier = self.plan.graph.predecessors(address)
        return any(self.outcomes[other].actions for other in earlier if other in self.outcomes)

    def _execute(self, entry: Entry) -> Outcome:
        """Observe, plan and act, again as long as an action reveals another one."""
        self._conflicting.discard(entry.address)
        progress = _Progress()
        for _ in range(PASSES):
            ended = self._execute_once(entry, progress)
            if ended is not None:
                return ended
        try:
            differences, actions = self._observe_and_plan(entry)
        except ReconcileError as error:
            return self._fail_unchecked(entry.address, error, progress)
        if actions and progress.failure is not None:
            return progress.failed(entry.address, progress.failure)
        if any(is_permitted(action, self.allowed) for action in actions):
            text = f"still differs after {progress.begun} actions: {actions[0].reason}"
            return progress.outcome(entry.address, Status.FAILED, text)
        return self._conclude(entry.address, differences, progress)

    def _execute_once(self, entry: Entry, progress: _Progress) -> Outcome | None:
        """Do one pass; return None if the resource has to be observed and planned again."""
        try:
            differences, actions = self._observe_and_plan(entry)
        except ReconcileError as error:
            return self._fail_unchecked(entry.address, error, progress)
        kept = [action for action in actions if is_permitted(action, self.allowed)]
        confirmed, unconfirmed = self._split_by_confirmation(entry, kept)
        if actions and not confirmed:
            if progress.failure is not None:
                return progress.failed(entry.address, progress.failure)
            if not kept:
                return progress.outcome(entry.address, Status.BLOCKED, f"not in the plan: {actions[0].reason}")
            return progress.outcome(entry.address, Status.BLOCKED, _describe_unconfirmed(unconfirmed))
        actions = confirmed
        if not actions:
            outcome = self._conclude(entry.address, differences, progress)
            vanished = outcome.status is Status.OK and entry.actions
            return replace(outcome, detail="nothing was left to do when its turn came") if vanished else outcome
        for action in actions:
            self._check_stop()
            unlocked = self._check_lock(action)
            if unlocked is not None:
                return progress.failed(entry.address, unlocked)
            failure = self._act(action, progress)
            if failure is not None:
                return self._handle_failure(entry, action, failure, progress)
        return None

    def _check_lock(self, action: Action) -> ReconcileError | None:
        """Check before an action that the run still holds its locks; return why that of the repository can't be acquired.

        What has nothing to do with the repository goes on without that lock.
        """
        try:
            self.context.check_lock(creating=self._creating)
        except (LockHeld, LockLost):
            raise
        except ReconcileError as error:
            if self.plan.state.kind_of(action.address).traits.writes_to == "butler":
                return error
            self.context.check_lock(creating=False)
        return None

    def _creates_repository(self) -> bool:
        """Return True if this run may create the repository; its first action then locks the place of it, whatever it does."""
        return any(
            entry.actions
            and self.plan.state.kind_of(entry.address).traits.opens == "butler"
            and entry.address not in self.refused
            and (self.allowed is None or entry.address in self.allowed)
            for entry in self.plan.entries
        )

    def _split_by_confirmation(self, entry: Entry, actions: list[Action]) -> tuple[list[Action], list[str]]:
        """Return the actions that remove nothing but what was confirmed, and what the others would remove besides."""
        known = entry.removes if self.removals is None else self.removals.get(entry.address, frozenset())
        confirmed = [action for action in actions if known.issuperset(action.removes)]
        unconfirmed = [member for action in actions for member in action.removes if member not in known]
        return confirmed, unconfirmed

    def _fail_unchecked(self, address: Address, error: ReconcileError, progress: _Progress) -> Outcome:
        """Return the outcome of a resource that can't be observed; if an action failed before, that error comes first."""
        detail = f"could not be checked: {error}"
        if progress.failure is not None:
            detail = f"{progress.failure}; afterwards it {detail}"
        elif progress.begun:
            detail = f"{_count_actions(progress.begun)} done, and then it {detail}"
        return progress.failed(address, progress.failure or error, detail)

    def _observe_and_plan(self, entry: Entry) -> tuple[tuple[Difference, ...], list[Action]]:
        state, address = self.plan.state, entry.address
        observation = observe(state, self.context, {address})
        if address in observation.unknown:
            raise observation.unknown[address]
        differences = diff({address: entry.spec}, observation.observed)[address]
        observed = observation.observed[address]
        return differences, list(plan_resource(state, address, observed, differences, prune=self.prune))

    def _act(self, action: Action, progress: _Progress) -> ReconcileError | None:
        """Execute one action; return why it failed."""
        self.listener.started(action)
        progress.begun += 1
        kind = self.plan.state.kind_of(action.address)
        try:
            made = kind.apply(self.context, action) or {}
        except Interrupted as interrupt:
            error = ApplyError(["stopped between two chunks; what is done stays", *interrupt.problems])
            self.listener.ended(action, {}, error)
            raise
        except PartlyApplied as error:
            progress.add(error.made)
            return error
        except ReconcileError as error:  # also a wrong input file: it concerns this resource alone
            return error
        finally:
            self.context.forget(kind.traits.writes_to)
        progress.add(made)
        if isinstance(progress.failure, WorkerDied):
            progress.failure = None  # made up for
        self.listener.ended(action, made, None)
        return None

    def _handle_failure(self, entry: Entry, action: Action, failure: ReconcileError, progress: _Progress) -> Outcome | None:
        """Report a failed action; return None if the resource has to be observed and planned again."""
        if isinstance(failure, PartlyApplied):
            self.listener.ended(action, failure.made, failure)
            return progress.failed(entry.address, failure, failure.problems[0])
        rest = self._find_rest(entry, action)
        effective = rest is None and action.is_single_call  # only the answer was lost, or another run did the same
        self.listener.ended(action, {}, failure, effective=effective)
        if effective:
            return None
        progress.failure = failure
        if rest is None or not rest.is_same_work(action) or isinstance(failure, WorkerDied):
            return None  # all or a part of it was done, by this or another run, or its worker died
        return progress.failed(entry.address, failure)

    def _find_rest(self, entry: Entry, action: Action) -> Action | None:
        """Return what a failed action left to do: all of it, a part, or nothing."""
        try:
            _, actions = self._observe_and_plan(entry)
        except ReconcileError:
            return action
        same = [other for other in actions if other.verb == action.verb]
        if any(action.is_same_work(other) for other in same):
            return action
        # Of several actions of one verb the others are not the rest of this one; bulk work has one.
        return same[0] if same and action.cost.datasets else None

    def _conclude(self, address: Address, differences: tuple[Difference, ...], progress: _Progress) -> Outcome:
        """Return the outcome of a resource for which no action is left."""
        if progress.failure is not None:
            rest = "" if any(d.kind is not DifferenceKind.LATER for d in differences) else "; afterwards nothing was left to do"
            return progress.failed(address, progress.failure, f"{progress.failure}{rest}")
        for kind, status in REMAINDERS:
            rest_of_kind = [difference for difference in differences if difference.kind is kind]
            if rest_of_kind:
                if status is Status.DEGRADED and self._waits_before(address):
                    status = Status.WAITING
                outcome = progress.outcome(address, status, _describe_remainder(kind, rest_of_kind))
                if status is Status.WAITING:
                    outcome = replace(outcome, delivery=_count_delivered(rest_of_kind))
                return self._report_conflict(outcome, rest_of_kind) if kind is DifferenceKind.CONFLICT else outcome
        return progress.outcome(address, Status.CHANGED if progress.begun else Status.OK)

    def _report_conflict(self, outcome: Outcome, conflicts: list[Difference]) -> Outcome:
        """Return the outcome of a resource whose name or definition is taken, as an error unless it is only observed."""
        state, address = self.plan.state, outcome.address
        if state.resources[address].manage == "observe":
            return outcome
        self._conflicting.add(address)
        problems = [f"{state.where(address)}: {address}: {difference.detail}" for difference in conflicts]
        return replace(outcome, error=ConflictError(problems, (CONFLICT_HINT,)))

    def _waits_before(self, address: Address) -> bool:
        earlier = self.plan.graph.predecessors(address)
        return any(self.outcomes[other].status is Status.WAITING for other in earlier if other in self.outcomes)


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

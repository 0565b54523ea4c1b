"""Execute a plan in dependency order; each resource whose turn comes is observed again before and after acting on it.

What was in sync is checked again at the end of a run that acted or waited. A failure blocks only what needs the failed resource.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace

from reconciler.engine.diff import diff
from reconciler.engine.hindrances import REASONS, hinders
from reconciler.engine.kind import Context
from reconciler.engine.listener import Listener
from reconciler.engine.model import Address, Outcome, Status
from reconciler.engine.observe import Observation, observe
from reconciler.engine.outcome_counts import DONE, HELD_UP, count_acted
from reconciler.engine.plan import Entry, Plan
from reconciler.engine.reconciliation import Reconciliation, add_made
from reconciler.errors import ConflictError, Interrupted, ObserveError, PartlyApplied, ReconcileError, StateError

FIRST_PAUSE = 0.5
"""Seconds before what is waited for is observed the first time; the pause doubles each time."""
LONGEST_PAUSE = 3.0
"""Seconds between observations of what is waited for, at most."""


@dataclass
class Executor:
    """One execution of a plan.

    Parameters
    ----------
    plan : `Plan`
        What was found to differ when the plan was shown, and which parts of it may be executed.
    context : `Context`
        The live systems.
    listener : `Listener`
        Receives the events.
    stop : `Callable`
        Returns True if the run should end before the next action.
    outcomes : `dict` [`Address`, `Outcome`]
        Filled by `run`: how each resource ended so far, also after an exception.
    """

    plan: Plan
    context: Context
    listener: Listener
    stop: Callable[[], bool] = lambda: False
    outcomes: dict[Address, Outcome] = field(default_factory=dict)
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
        for entry in [entry for entry in self.plan.entries if entry.address in self._as_planned]:
            address = entry.address
            if address in observation.observed:
                outcome = self._reconcile(entry).conclude(differences[address])
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
        outcome = self._settle_early(entry, first=first) or self._reconcile(entry).run()
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
            if other in self.outcomes and isinstance(self.outcomes[other].error, ConflictError):
                return Outcome(address, Status.BLOCKED, f"needs {other}, which is in conflict")
        if address in self.plan.limits.refused:
            return Outcome(address, Status.BLOCKED, f"refused: {self.plan.limits.refused[address]}")
        if address in self.plan.unmet:
            return Outcome(address, Status.BLOCKED, self.plan.unmet[address])
        return None

    def _find_hindrance(self, address: Address) -> Outcome | None:
        """Return the outcome of a resource that lacks something it needs; None if it lacks nothing."""
        worst: Outcome | None = None
        for other, token in self.plan.graph.needs[address].items():
            outcome = self.outcomes.get(other)
            if outcome is None or not hinders(other, token, outcome, self._exists):
                continue
            text = f"needs {other}, which {REASONS[outcome.status]}"
            if outcome.status is Status.FAILED and not isinstance(outcome.error, PartlyApplied):
                return Outcome(address, Status.BLOCKED, text)
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

    def _reconcile(self, entry: Entry) -> Reconciliation:
        """Return the work on one resource, which isn't begun."""
        waits = self._waits_before(entry.address)
        return Reconciliation(self.plan, entry, self.context, self.listener, self._check_stop, self._creating, waits)

    def _creates_repository(self) -> bool:
        """Return True if this run may create the repository; its first action then locks the place of it, whatever it does."""
        limits = self.plan.limits
        return any(
            entry.actions
            and self.plan.state.kind_of(entry.address).traits.opens == "butler"
            and entry.address not in limits.refused
            and (limits.allowed is None or entry.address in limits.allowed)
            for entry in self.plan.entries
        )

    def _waits_before(self, address: Address) -> bool:
        earlier = self.plan.graph.predecessors(address)
        return any(self.outcomes[other].status is Status.WAITING for other in earlier if other in self.outcomes)

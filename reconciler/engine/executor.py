"""Make it so: level-triggered, in the order of the graph, and looking again before and after each step.

Nothing is decided from memory. When the turn of a resource comes it is looked at again, planned again, acted on, and looked at
once more; so an action that finds its work done is "already", a half-done one is completed, and a second run does nothing. A
failure blocks only what needs the failed resource.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from reconciler.engine.diff import diff
from reconciler.engine.model import Action, Difference, Id, Outcome
from reconciler.engine.observe import existing, observe
from reconciler.engine.plan import Entry, Plan, actions_for
from reconciler.engine.registry import discover
from reconciler.errors import ApplyError, Interrupted, ObserveError, ReconcileError, WorkerDied
from reconciler.systems.context import Live

PASSES = 3
"""How often a resource is planned anew when an action brought up another; more would be going in circles."""
POLL = 3.0
"""Seconds between looks at what is waited for."""

State = Literal["ok", "changed", "already", "failed", "blocked", "waiting", "unknown", "left", "refused"]


class Listener(Protocol):
    """Told of what happens in a run."""

    def started(self, action: Action) -> None:
        """An action begins."""

    def ended(self, action: Action, made: Mapping[str, Any], error: ReconcileError | None, already: bool) -> None:
        """An action has ended."""

    def settled(self, outcome: Outcome) -> None:
        """A resource has come to an outcome."""

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float) -> None:
        """The run waits for deliveries."""


@dataclass
class Run:
    """One application of a plan.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        What was found to differ when it was shown.
    live : `reconciler.systems.context.Live`
        The live systems.
    listener : `Listener`
        Told of what happens.
    prune : `bool`
        Whether anything may be removed.
    unable : mapping
        Why the actions of an address can't be done here.
    stop : callable
        Tells whether to stop before the next action.
    allowed : mapping or `None`
        For a saved plan, the verbs it holds by address, `None` for any; nothing else is done.
    refused : mapping
        For a saved plan, why what it holds about an address is not done.
    """

    plan: Plan
    live: Live
    listener: Listener
    prune: bool = False
    unable: Mapping[Id, str] = field(default_factory=dict)
    stop: Any = lambda: False
    allowed: Mapping[Id, frozenset[str] | None] | None = None
    refused: Mapping[Id, str] = field(default_factory=dict)
    outcomes: dict[Id, Outcome] = field(default_factory=dict)

    def all(self, wait: float = 0.0) -> list[Outcome]:
        """Apply the whole plan.

        Parameters
        ----------
        wait : `float`
            Seconds to wait for what others deliver.

        Returns
        -------
        outcomes : `list` [`reconciler.engine.model.Outcome`]
            One for each resource, in order.

        Raises
        ------
        Interrupted
            If the operator asked to stop.
        """
        deadline = time.monotonic() + wait
        entries = {entry.id: entry for entry in self.plan.entries}
        for id in entries:
            self._settle(entries[id], first=True)
        while waiting := [id for id, outcome in self.outcomes.items() if outcome.state == "waiting"]:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.listener.waiting([self.outcomes[id] for id in waiting], left)
            self._sleep(min(POLL, left))
            self.live.forget()
            affected = self._affected(waiting)
            observe(self.plan.state, self.live, set(affected))  # all at once; what each asks again then is known
            for id in affected:
                self._settle(entries[id], first=False)
        return [self.outcomes[id] for id in entries]

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.stop():
                raise Interrupted
            time.sleep(0.1)

    def _affected(self, waiting: Collection[Id]) -> list[Id]:
        """Give what waits, and what was left or held up because something it needs waited."""
        affected = set(waiting)
        found = []
        for entry in self.plan.entries:
            held = self.outcomes[entry.id].state in ("waiting", "blocked", "left")
            if entry.id in affected or (held and self.plan.graph.before(entry.id) & affected):
                affected.add(entry.id)
                found.append(entry.id)
        return found

    def _settle(self, entry: Entry, *, first: bool) -> None:
        if self.stop():
            raise Interrupted
        before = self.outcomes.get(entry.id)
        outcome = self._outcome(entry, first=first)
        if before is not None and before.state == "changed" and outcome.state in ("ok", "already"):
            outcome = before
        elif before is not None and before.actions and outcome.actions == 0:
            outcome = Outcome(outcome.id, outcome.state, outcome.detail, before.actions, before.made)
        if outcome != before:
            self.outcomes[entry.id] = outcome
            self.listener.settled(outcome)

    def _outcome(self, entry: Entry, *, first: bool) -> Outcome:
        id = entry.id
        hindered = self._hindered(id)
        if hindered is not None:
            return hindered
        if first and entry.in_sync and not (discover()[id.kind].derived and self._changed_before(id)):
            return Outcome(id, "ok")
        if first and entry.error is not None and not self._changed_before(id):
            return Outcome(id, "unknown", str(entry.error))
        if id in self.refused:
            return Outcome(id, "refused", self.refused[id])
        if id in self.unable:
            return Outcome(id, "blocked", self.unable[id])
        done: list[Action] = []
        made: dict[str, Any] = {}
        already = False
        last: ReconcileError | None = None
        for _ in range(PASSES):
            try:
                differences, actions = self._look(entry)
            except ReconcileError as error:
                return Outcome(id, "failed" if done else "unknown", str(error), len(done), made)
            if self.allowed is not None:
                verbs = self.allowed.get(id, frozenset())
                kept = [action for action in actions if verbs is None or action.verb in verbs]
                if actions and not kept:
                    return Outcome(id, "left", f"not in the plan: {actions[0].reason}", len(done), made)
                actions = kept
            if not actions:
                return self._rest(entry, differences, done, made, already or bool(entry.actions))
            for action in actions:
                if self.stop():
                    raise Interrupted
                failure = self._act(action, made)
                if failure is None:
                    done.append(action)
                    continue
                rest = self._rest_of(entry, action)
                if rest is None:
                    self.listener.ended(action, made, None, True)
                    already = True
                    break
                self.listener.ended(action, made, failure, False)
                if rest == action.args and not isinstance(failure, WorkerDied):
                    return Outcome(id, "failed", str(failure), len(done), made)
                last = failure
                break  # a part of it was done, by it or by another, or its worker died: what is left is planned again
        try:
            differences, actions = self._look(entry)
        except ObserveError as error:
            return Outcome(id, "failed", str(error), len(done), made)
        if actions and last is not None:
            return Outcome(id, "failed", str(last), len(done), made)
        if actions and self.allowed is None:
            return Outcome(id, "failed", f"still differs after {len(done)} actions: {actions[0].reason}", len(done), made)
        return self._rest(entry, differences, done, made, already)

    def _hindered(self, id: Id) -> Outcome | None:
        """Say what a resource needs and did not get."""
        worst: Outcome | None = None
        for other, token in self.plan.graph.needs[id].items():
            outcome = self.outcomes.get(other)
            if outcome is None or outcome.state in ("ok", "changed", "already"):
                continue
            if outcome.state in ("failed", "unknown"):
                return Outcome(id, "blocked", f"needs {other}, which {_WHY[outcome.state]}")
            if token == str(other) or not self._exists(token):
                state: State = "waiting" if outcome.state == "waiting" else "blocked"
                if worst is None or state == "blocked":
                    worst = Outcome(id, state, f"needs {other}, which {_WHY[outcome.state]}")
        return worst

    def _exists(self, token: str) -> bool:
        try:
            return token.endswith(":") or token in existing(self.live, {token})
        except ObserveError:
            return False

    def _changed_before(self, id: Id) -> bool:
        return any(self.outcomes[other].actions for other in self.plan.graph.before(id) if other in self.outcomes)

    def _look(self, entry: Entry) -> tuple[tuple[Difference, ...], list[Action]]:
        observation = observe(self.plan.state, self.live, {entry.id})
        if entry.id in observation.unknown:
            raise observation.unknown[entry.id]
        seen = observation.seen[entry.id]
        differences = diff({entry.id: entry.spec}, observation.seen)[entry.id]
        return differences, list(actions_for(entry.id, entry.spec, seen, differences, prune=self.prune))

    def _act(self, action: Action, made: dict[str, Any]) -> ReconcileError | None:
        self.listener.started(action)
        kind = discover()[action.id.kind]
        try:
            result = kind.apply(self.live, action) or {}
        except Interrupted:
            self.listener.ended(action, made, ApplyError("stopped between two chunks; what is done stays"), False)
            raise
        except (ApplyError, ObserveError) as error:
            return error
        finally:
            self.live.forget(kind.changes)
        made.update(result)
        self.listener.ended(action, result, None, False)
        return None

    def _rest_of(self, entry: Entry, action: Action) -> Mapping[str, Any] | None:
        """Look what a failed action left to do: all, a part, or nothing, if another did it or only the answer was lost."""
        try:
            _, actions = self._look(entry)
        except ReconcileError:
            return action.args
        same = [other.args for other in actions if other.verb == action.verb]
        if action.args in same:
            return action.args
        # Of several actions of one verb the others are not the rest of this one; bulk work has one.
        return same[0] if same and action.cost.datasets else None

    def _rest(
        self, entry: Entry, differences: tuple[Difference, ...], done: list[Action], made: dict[str, Any], already: bool
    ) -> Outcome:
        """Say how a resource ends about which nothing more can be done."""
        for sort, state in _LEFT:
            rest = [difference for difference in differences if difference.sort == sort]
            if rest:
                if state == "left" and any(
                    self.outcomes[o].state == "waiting" for o in self.plan.graph.before(entry.id) if o in self.outcomes
                ):
                    state = "waiting"
                count = f" ({sum(len(r.members) for r in rest):,})" if sort in ("remove", "make") else ""
                detail = next((r.detail for r in rest if not r.members and r.detail), rest[0].detail or sort)
                return Outcome(entry.id, state, detail + count, len(done), made)
        if done:
            return Outcome(entry.id, "changed", "", len(done), made)
        return Outcome(entry.id, "already" if already else "ok")


_LEFT: tuple[tuple[str, State], ...] = (
    ("conflict", "blocked"),
    ("blocked", "blocked"),
    ("waiting", "waiting"),
    ("failed", "left"),
    ("unwell", "left"),
    ("remove", "left"),
    ("make", "left"),
    ("change", "left"),
)
"""How a resource ends that still differs, the worst first."""

_WHY = {
    "failed": "failed",
    "unknown": "could not be checked",
    "waiting": "waits",
    "blocked": "is blocked",
    "left": "is not in sync",
    "refused": "was refused",
}


def recap(outcomes: Collection[Outcome]) -> Counter[str]:
    """Count outcomes.

    Parameters
    ----------
    outcomes : collection of `reconciler.engine.model.Outcome`
        Of a run.

    Returns
    -------
    counts : `collections.Counter`
        By state.
    """
    return Counter(outcome.state for outcome in outcomes)


def exit_code(outcomes: Collection[Outcome]) -> int:
    """Give the exit code of a run.

    Parameters
    ----------
    outcomes : collection of `reconciler.engine.model.Outcome`
        Of the run.

    Returns
    -------
    code : `int`
        0 all is as wanted, 2 something is left undone, 1 something failed or could not be checked.
    """
    counts = recap(outcomes)
    if counts["failed"] or counts["unknown"]:
        return 1
    return 2 if any(counts[state] for state in ("waiting", "blocked", "left", "refused")) else 0

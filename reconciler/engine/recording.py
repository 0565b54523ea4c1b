"""Write the events of a run to its journal, and pass them on to another listener."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.engine.journal import Journal
from reconciler.engine.listener import Listener
from reconciler.engine.model import Action, Made, Outcome
from reconciler.errors import ReconcileError


class RecordingListener(Listener):
    """Records each action before another listener gets the event, so that a listener that fails hides nothing.

    Parameters
    ----------
    journal : `Journal`
        The journal of the run.
    listener : `Listener` or `None`
        Receives the same events.
    """

    def __init__(self, journal: Journal, listener: Listener | None) -> None:
        self.journal = journal
        self.listener = listener
        self.used = False

    def report_bulk(self, what: str, done: int, total: int) -> None:
        """Pass on how far bulk work has come."""
        if self.listener is not None:
            self.listener.report_bulk(what, done, total)

    def started(self, action: Action) -> None:
        """Record an action before it is executed."""
        self.used = True
        self.journal.action_begins(action)
        if self.listener is not None:
            self.listener.started(action)

    def ended(self, action: Action, made: Made, error: ReconcileError | None, *, effective: bool = False) -> None:
        """Record the end of an action."""
        outcome = "failed" if error is not None and not effective else "done"
        self.journal.action_ended(action, outcome, made, str(error) if error is not None else "")
        if self.listener is not None:
            self.listener.ended(action, made, error, effective=effective)

    def settled(self, outcome: Outcome) -> None:
        """Pass on the outcome of a resource; the end of the run records all of them."""
        if self.listener is not None:
            self.listener.settled(outcome)

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float, pause: float) -> None:
        """Pass on that the run waits."""
        if self.listener is not None:
            self.listener.waiting(outcomes, seconds_left, pause)

"""What a program is notified of while a plan is executed."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.engine.model import Action, Made, Outcome
from reconciler.errors import ReconcileError


class Listener:
    """Receives the events of a run; its methods do nothing, so a subclass has only those that it needs."""

    def report_bulk(self, what: str, done: int, total: int) -> None:
        """Bulk work has handled ``done`` of ``total`` items; ``what`` is their noun in the plural.

        Also called for reading, and outside of an action.
        """

    def started(self, action: Action) -> None:
        """An action begins."""

    def ended(self, action: Action, made: Made, error: ReconcileError | None, *, effective: bool = False) -> None:
        """An action has ended; it is ``effective`` if it raised an error and its whole effect was found nevertheless."""

    def settled(self, outcome: Outcome) -> None:
        """A resource has a new outcome; called again if it changes while the run waits, or in the check at its end."""

    def waiting(self, outcomes: Collection[Outcome], seconds_left: float, pause: float) -> None:
        """The run waits for deliveries, for ``seconds_left`` at most; called ``pause`` seconds before each check.

        The outcomes are those that wait.
        """

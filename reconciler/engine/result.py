"""The result of one apply: how each resource ended."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.engine.model import Outcome, Status
from reconciler.engine.outcome_counts import DONE, exit_code
from reconciler.errors import ApplyError


@dataclass(frozen=True)
class ApplyResult:
    """How an apply ended.

    A failed action doesn't raise an exception, because the resources that don't depend on it are still completed; call
    `raise_for_failures` where any failure should end the program.

    Parameters
    ----------
    outcomes : `tuple` [`Outcome`, ...]
        One for each resource of the plan, in order; without those that were not reached if the run was interrupted.
    run : `str`
        The name of the run in the journal.
    seconds : `float`
        How long it took.
    interrupted : `bool`
        Whether it was asked to stop before it ended.
    """

    outcomes: tuple[Outcome, ...]
    run: str
    seconds: float
    interrupted: bool = False

    @property
    def in_sync(self) -> bool:
        """Whether every resource of the plan is now as desired."""
        return not self.interrupted and all(outcome.status in DONE for outcome in self.outcomes)

    @property
    def changed(self) -> list[Outcome]:
        """The resources on which this run acted, however they ended."""
        return [outcome for outcome in self.outcomes if outcome.actions]

    @property
    def failures(self) -> list[Outcome]:
        """The resources that failed or could not be checked."""
        return [outcome for outcome in self.outcomes if outcome.status is Status.FAILED]

    @property
    def exit_code(self) -> int:
        """The exit code of the command line for the same run."""
        return 130 if self.interrupted else exit_code(self.outcomes)

    def raise_for_failures(self) -> None:
        """Raise an exception if something failed or could not be checked.

        Raises
        ------
        reconciler.errors.ApplyError
            With one line for each failure. What is waiting, blocked or not in sync is no failure.
        """
        if not self.failures:
            return
        lines = [f"{outcome.address} failed: {outcome.detail}" for outcome in self.failures]
        hints = [hint for outcome in self.failures if outcome.error is not None for hint in outcome.error.hints]
        raise ApplyError(lines, tuple(dict.fromkeys(hints)))

"""Checks of the contents of input files that need no live system, for ``validate``; observing reads the same files anyway."""

from __future__ import annotations

from reconciler.engine.model import DesiredState
from reconciler.errors import MissingFile, ReconcileError, StateError


def check_inputs(state: DesiredState) -> None:
    """Check the files that the tables of a state name; those that don't exist on this machine are left out.

    Raises
    ------
    reconciler.errors.StateError
        If any of them is wrong.
    """
    wrong: list[str] = []
    for address, spec in state.resources.items():
        try:
            problems = list(state.kind_of(address).check_inputs(spec, state.resources))
        except MissingFile:
            continue
        except ReconcileError as error:
            problems = error.problems
        wrong += [f"{state.where(address)}: {address}: {problem}" for problem in problems]
    if wrong:
        raise StateError(wrong)

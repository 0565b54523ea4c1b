"""What a ledger adds to the differences of its resource, so that nothing of it can be reported as in sync. Pure.

A check compares what a state desires with Rucio and the Butler. A ledger also checks a sample of the files on storage, and
whether Rucio still has a replica here of what was ingested. What it disagrees about and no other difference covers is one, and so
is a ledger that could not be made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from reconciler.errors import ReconcileError
from reconciler.report.formatting import plural
from reconciler.watch.check_result import UNKNOWN_KIND, FoundDifference
from reconciler.watch.ledger import Ledger, Problem

LEDGER_FIELD = "ledger"
MOST_MEMBERS = 100
COVERING: Mapping[Problem, tuple[str, ...]] = {
    Problem.NOT_ON_STORAGE: ("degraded",),
    Problem.SIZE_DIFFERS: ("degraded", "blocked"),
    Problem.GONE: ("degraded",),
    Problem.NOT_INGESTED: ("make", "blocked", "conflict"),
    Problem.NOT_DELIVERED: ("waiting", "make"),
    Problem.NOT_REGISTERED: ("waiting", "make", "blocked"),
    Problem.NOT_RECOGNIZED: ("degraded", "blocked"),
}
"""The kinds of differences that report a problem too."""
COVERING_FIELDS: Mapping[Problem, tuple[str, ...]] = {
    Problem.NOT_ON_STORAGE: ("storage",),
    Problem.SIZE_DIFFERS: ("storage",),
    Problem.NOT_RECOGNIZED: ("data_id", "locations"),
}
"""The fields of those differences, where others of the same kind report something else."""


def find_uncovered(ledger: Ledger, differences: Iterable[FoundDifference], line: int = 0) -> FoundDifference | None:
    """Return a difference for the files that a ledger disagrees about and no other difference covers; None if there are none.

    A difference covers a problem if it concerns at least as many files.

    Parameters
    ----------
    ledger : `Ledger`
        The ledger of one resource.
    differences : iterable of `FoundDifference`
        All differences of the state.
    line : `int`
        Line of the table in the state file.
    """
    own = [difference for difference in differences if difference.address == ledger.address]
    if any(difference.kind == UNKNOWN_KIND for difference in own):
        return None
    counts: dict[Problem, int] = {}
    for mismatch in ledger.mismatches:
        counts[mismatch.problem] = counts.get(mismatch.problem, 0) + len(mismatch.files)
    uncovered = [problem for problem in Problem if problem in counts and not _is_covered(problem, counts[problem], own)]
    if not uncovered:
        return None
    members = [
        {"problem": mismatch.problem.value, "file": name, **_place(mismatch.night, mismatch.detector, mismatch.dataset)}
        for mismatch in ledger.mismatches
        if mismatch.problem in uncovered
        for name in mismatch.files
    ]
    text = "; ".join(f"{plural(counts[problem], 'file')} {_verb(problem)}" for problem in uncovered)
    commands = [command for repair in ledger.repairs if repair.problem in uncovered for command in repair.commands]
    return FoundDifference(
        address=ledger.address,
        kind="degraded",
        field=LEDGER_FIELD,
        text=f"{LEDGER_FIELD}: {text}",
        fingerprint=hashlib.sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()[:32],
        count=len(members),
        desired=ledger.in_rucio,
        members=tuple(members[:MOST_MEMBERS]),
        line=line,
        commands=tuple(commands),
    )


def describe_failure(
    address: str, error: ReconcileError, differences: Iterable[FoundDifference], line: int = 0
) -> FoundDifference | None:
    """Return a difference for a ledger that could not be made; None if its resource could not be checked either.

    Parameters
    ----------
    address : `str`
        The resource.
    error : `ReconcileError`
        Why it could not be made.
    differences : iterable of `FoundDifference`
        All differences of the state.
    line : `int`
        Line of the table in the state file.
    """
    if any(difference.address == address and difference.kind == UNKNOWN_KIND for difference in differences):
        return None
    text = f"{LEDGER_FIELD}: could not be made: {'; '.join(error.problems)}"
    return FoundDifference(address, UNKNOWN_KIND, LEDGER_FIELD, text, "", line=line, hints=error.hints)


def _is_covered(problem: Problem, count: int, differences: Sequence[FoundDifference]) -> bool:
    fields = COVERING_FIELDS.get(problem)
    covering = [
        difference
        for difference in differences
        if difference.kind in COVERING[problem] and (fields is None or difference.field in fields)
    ]
    if problem is Problem.NOT_REGISTERED:
        return bool(covering)  # Rucio doesn't know how many there will be
    return sum(difference.count for difference in covering) >= count


def _verb(problem: Problem) -> str:
    return {
        Problem.SIZE_DIFFERS: "of another size",
        Problem.NOT_RECOGNIZED: "without a data ID of its own",
    }.get(problem, problem.value)


def _place(night: int, detector: int, dataset: str) -> dict[str, int | str]:
    if dataset or not night:
        return {"dataset": dataset}
    return {"night": night, "detector": detector}

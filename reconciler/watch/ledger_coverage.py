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
from reconciler.kinds.shared.data_id_check import FIELD as UNRESOLVABLE_FIELD
from reconciler.kinds.shared.storage_check import UNKNOWN_TO_DATASTORE
from reconciler.report.formatting import plural
from reconciler.systems.storage import MISSING, find_container
from reconciler.watch.check_result import UNKNOWN_KIND, FoundDifference
from reconciler.watch.ledger import Ledger, Problem

LEDGER_FIELD = "ledger"
MOST_MEMBERS = 100
NOUNS = ("raws", "exposures", "datasets", "files")
"""The nouns of the members that are the files of a ledger, by table: raw, raw_zip, import, file_ingest."""
MISSING_MEMBERS = frozenset(("make", noun) for noun in NOUNS)
COVERING: Mapping[Problem, frozenset[tuple[str, str]]] = {
    Problem.NOT_ON_STORAGE: frozenset({("degraded", "storage")}),
    Problem.SIZE_DIFFERS: frozenset({("degraded", "storage")}),
    Problem.GONE: frozenset({("degraded", "raws"), ("degraded", "exposures")}),
    Problem.NOT_INGESTED: MISSING_MEMBERS
    | {("blocked", "exposures"), ("blocked", "delivered_by"), ("blocked", UNRESOLVABLE_FIELD)},
    Problem.NOT_DELIVERED: MISSING_MEMBERS | {("waiting", "")},
    Problem.NOT_REGISTERED: MISSING_MEMBERS | {("waiting", ""), ("blocked", UNRESOLVABLE_FIELD)},
    Problem.NOT_RECOGNIZED: frozenset({("degraded", "data_id"), ("blocked", "locations"), ("blocked", "delivered_by")}),
}
"""Kind and field of the differences that are about files with a problem; any other of the resource is about something else."""


def find_uncovered(ledger: Ledger, differences: Iterable[FoundDifference], line: int = 0) -> FoundDifference | None:
    """Return a difference for the files that a ledger disagrees about and no other difference covers; None if there are none.

    A difference covers a problem if it is about the files themselves, see `COVERING`, and concerns at least as many.

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
    covering = [difference for difference in differences if (difference.kind, difference.field) in COVERING[problem]]
    if problem is Problem.NOT_REGISTERED:
        return bool(covering)  # Rucio doesn't know how many there will be
    return sum(_count_files(problem, difference) for difference in covering) >= count


def _count_files(problem: Problem, difference: FoundDifference) -> int:
    """Return how many files with a problem a difference reports, where some of its members may have another one."""
    members = difference.members
    if difference.field == "storage":
        found = [member for member in members if _find_storage_problem(str(member.get("problem", ""))) is problem]
        return len(
            {find_container(str(member.get("uri", ""))) or repr(member) for member in found}
        )  # many raws may be in one zip
    if problem is Problem.GONE:
        others = [member for member in members if "problem" in member or "existing_path" in member]
        return len(members) - len(others) if others else difference.count
    return difference.count


def _find_storage_problem(text: str) -> Problem | None:
    """Return the problem of a file that was checked on storage; None if it is about its checksum, which a ledger lacks."""
    if text in (MISSING, UNKNOWN_TO_DATASTORE):
        return Problem.NOT_ON_STORAGE
    return Problem.SIZE_DIFFERS if text and "checksum" not in text else None


def _verb(problem: Problem) -> str:
    return {
        Problem.SIZE_DIFFERS: "of another size",
        Problem.NOT_RECOGNIZED: "without a data ID of its own",
    }.get(problem, problem.value)


def _place(night: int, detector: int, dataset: str) -> dict[str, int | str]:
    if dataset or not night:
        return {"dataset": dataset}
    return {"night": night, "detector": detector}

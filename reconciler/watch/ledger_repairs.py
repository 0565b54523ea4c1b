"""The commands that repair the mismatches of a ledger; a comment where a person has to decide or to wait. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.engine.commands import Command, Comment
from reconciler.kinds.shared.python_calls import rucio_call
from reconciler.report.shell import format_command
from reconciler.watch.ledger import FileEntry, Problem, Repair

FILES_PER_COMMAND = 100
"""Replicas that one command declares bad: some 15 kB."""


@dataclass(frozen=True)
class HereRule:
    """A replication rule that covers this RSE.

    Parameters
    ----------
    id, state : `str`
        As Rucio has them.
    ok, files : `int`
        Number of file copies that are there, and that it demands.
    """

    id: str
    state: str
    ok: int = 0
    files: int = 0


@dataclass(frozen=True)
class RepairFacts:
    """What the commands depend on.

    Parameters
    ----------
    state : `str`
        Path of the state file.
    address : `str`
        The resource.
    rse : `str`
        This facility's RSE.
    direct : `bool`
        Whether the Butler's files are Rucio's replicas, not copies of them.
    registering, replicating : `Mapping` [`str`, `str`]
        Addresses of the tables that register files in a dataset, and that add a rule for it, by its DID.
    rules : `Mapping` [`str`, sequence of `HereRule`]
        Rules that cover this RSE, by DID of a dataset with files that aren't available here.
    """

    state: str
    address: str
    rse: str
    direct: bool = True
    registering: Mapping[str, str] = field(default_factory=dict)
    replicating: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Sequence[HereRule]] = field(default_factory=dict)


def find_repairs(entries: Sequence[FileEntry], facts: RepairFacts) -> tuple[Repair, ...]:
    """Return how each problem is repaired.

    Parameters
    ----------
    entries : sequence of `FileEntry`
        The files.
    facts : `RepairFacts`
        What the commands depend on.
    """
    groups: dict[Problem, list[FileEntry]] = defaultdict(list)
    for entry in entries:
        for problem in entry.problems:
            groups[problem].append(entry)
    return tuple(
        Repair(
            problem, len(groups[problem]), tuple(dict.fromkeys(map(format_command, _REPAIRS[problem](groups[problem], facts))))
        )
        for problem in Problem
        if problem in groups
    )


Steps = Iterator[Command | Comment]


def _ingest(entries: Sequence[FileEntry], facts: RepairFacts) -> Steps:
    yield _apply(facts, facts.address)


def _apply(facts: RepairFacts, address: str) -> Command:
    return Command("reconcile", "apply", facts.state, "--only", address)


def _deliver(entries: Sequence[FileEntry], facts: RepairFacts) -> Steps:
    for did in sorted({entry.dataset for entry in entries if entry.dataset}):
        yield from _deliver_dataset(did, facts)


def _deliver_dataset(did: str, facts: RepairFacts) -> Steps:
    rules = facts.rules.get(did, ())
    if not rules:
        if did in facts.replicating:
            yield _apply(facts, facts.replicating[did])
        else:
            yield Command("rucio", "rule", "add", "--rse-exp", facts.rse, "--copies", "1", did)
    for rule in rules:
        match rule.state:
            case "STUCK":
                yield Command("rucio", "rule", "update", rule.id, "--boost-rule")
            case "SUSPENDED":
                yield Command("rucio", "rule", "update", rule.id, "--stuck")
            case "OK":
                yield Comment(f"{did}: rule {rule.id} is OK and these files have no replica; does Rucio's judge-evaluator run?")
            case state:
                yield Comment(f"{did}: rule {rule.id} is {state}, {rule.ok:,} of {rule.files:,} file copies here; wait for Rucio")


def _register(entries: Sequence[FileEntry], facts: RepairFacts) -> Steps:
    dids = {entry.dataset for entry in entries}
    for did in sorted(dids & facts.registering.keys()):
        yield _apply(facts, facts.registering[did])
    for did in sorted(dids - facts.registering.keys()):
        yield Comment(
            f"register these files in {did or 'a Rucio dataset of delivered_by'} at their source, as with rucio-register"
        )


def _restore_in_rucio(entries: Sequence[FileEntry], facts: RepairFacts) -> Steps:
    yield from _deliver([entry for entry in entries if entry.did], facts)
    if any(not entry.did for entry in entries):
        yield Comment(
            "attach the files to their Rucio dataset again (rucio did content add), or remove their datasets from the Butler "
            "(butler prune-datasets); reconcile does neither"
        )


def _replace(entries: Sequence[FileEntry], facts: RepairFacts) -> Steps:
    """Declare replicas bad, so that Rucio replaces them; ``rucio replica state update`` would do so at all RSEs."""
    again = "remove these datasets from the Butler (butler prune-datasets) and apply again"
    bad = [entry.did for entry in entries if facts.direct and entry.available and not entry.stale]
    for start in range(0, len(bad), FILES_PER_COMMAND):
        chosen = [did.partition(":") for did in bad[start : start + FILES_PER_COMMAND]]
        replicas = [{"scope": scope, "name": name, "rse": facts.rse} for scope, _, name in chosen]
        yield rucio_call(f"declare_bad_file_replicas({replicas!r}, 'lost or damaged')")
    if any(entry.stale for entry in entries):
        yield Comment(f"the files are as in Rucio, the Butler recorded other sizes: {again}")
    if not facts.direct:
        yield Comment(f"the files are the Butler's own copies: {again}")
    elif any(not entry.available for entry in entries):
        yield Comment("Rucio has no replica here of some of these files: see how it is restored in Rucio first")


def _correct_pattern(entries: Sequence[FileEntry], facts: RepairFacts) -> Steps:
    yield Comment(f"correct the keys files and data_id of {facts.address} in {facts.state}, or remove the files from Rucio")


_REPAIRS: Mapping[Problem, Callable[[Sequence[FileEntry], RepairFacts], Steps]] = {
    Problem.NOT_ON_STORAGE: _replace,
    Problem.SIZE_DIFFERS: _replace,
    Problem.GONE: _restore_in_rucio,
    Problem.NOT_INGESTED: _ingest,
    Problem.NOT_DELIVERED: _deliver,
    Problem.NOT_REGISTERED: _register,
    Problem.NOT_RECOGNIZED: _correct_pattern,
}

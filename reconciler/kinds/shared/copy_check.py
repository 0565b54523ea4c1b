"""Check that rules demand a copy of every file of their datasets, and that no copy was declared bad.

Rucio reports a rule as OK as long as the copies that it demands are there. Files that were added to the dataset and not evaluated
yet, and replicas that were declared bad and not processed yet, don't change that.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.kinds.shared.rucio_rules import describe_missing_locks

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import BadReplica, DidFacts, RuleFacts

STATES_WITHOUT_LOCKS = ("INJECT", "WAITING_APPROVAL")
"""Rules in these states demand nothing yet."""
MOST_LISTED = 20
"""Rules whose locks are listed, to name the files that lack one."""
MOST_PARENTS_QUERIED = 100
"""Up to this many bad files have their datasets queried; if there are more, the files of the datasets are listed."""


def check_copies(
    context: Context, dids: Mapping[str, DidFacts], rules: Mapping[str, Sequence[RuleFacts]], now: datetime.datetime
) -> dict[str, list[Condition]]:
    """Return what is wrong with the copies of datasets, by DID; those without a problem are absent.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    dids : mapping
        Datasets that exist.
    rules : mapping
        Their rules that the state lists.
    now : `datetime.datetime`
        UTC, naive as Rucio's own times.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be queried.
    """
    found: dict[str, list[Condition]] = defaultdict(list)
    for did, condition in (*_find_missing_locks(context, dids, rules, now), *_find_bad_replicas(context, dids, rules)):
        found[did].append(condition)
    return dict(found)


def _find_missing_locks(
    context: Context, dids: Mapping[str, DidFacts], rules: Mapping[str, Sequence[RuleFacts]], now: datetime.datetime
) -> Iterable[tuple[str, Condition]]:
    """Compare the number of locks of each rule with that of the files; an open dataset's files are listed to count them."""
    checked = [(did, rule) for did in dids for rule in rules.get(did, ()) if rule.state not in STATES_WITHOUT_LOCKS]
    opened = context.rucio.files_by_dataset({did for did, _ in checked if dids[did].length is None})
    counts = {did: len(files) for did, files in opened.items()} | {
        did: f.length for did, f in dids.items() if f.length is not None
    }
    lacking = [(did, rule) for did, rule in checked if _count_locks(rule) < counts[did] * rule.copies]
    for number, (did, rule) in enumerate(lacking):
        files = _list_files_without_lock(context, did, rule) if number < MOST_LISTED else []
        created = [facts.created_at for facts in context.rucio.dids(files, confirm=False).values()]
        changed = max((date for date in (dids[did].updated_at, rule.created_at, *created) if date is not None), default=None)
        names = [file.partition(":")[2] for file in files]
        yield did, describe_missing_locks(rule, counts[did], names, changed, now)


def _count_locks(rule: RuleFacts) -> int:
    return rule.locks_ok + rule.locks_replicating + rule.locks_stuck


def _list_files_without_lock(context: Context, did: str, rule: RuleFacts) -> list[str]:
    locks = context.rucio.locks(rule.id)
    return sorted(file.did for file in context.rucio.files([did]) if locks[file.did] < rule.copies)


def _find_bad_replicas(
    context: Context, dids: Mapping[str, DidFacts], rules: Mapping[str, Sequence[RuleFacts]]
) -> Iterable[tuple[str, Condition]]:
    rses = {did: {rse for rule in rules.get(did, ()) for rse in context.rucio.rses(rule.rse_expression)} for did in dids}
    bad = context.rucio.bad_replicas({rse for its in rses.values() for rse in its})
    for did, replicas in _find_datasets(context, bad, [did for did in dids if rses[did]]).items():
        members = tuple(
            {"file": replica.did.partition(":")[2], "rse": replica.rse}
            for replica in sorted(replicas, key=lambda replica: (replica.did, replica.rse))
            if replica.rse in rses[did]
        )
        if members:
            text = f"{len(members):,} bad replica{'s' if len(members) > 1 else ''}; Rucio replaces them if it has other copies"
            yield did, Condition(DifferenceKind.DEGRADED, text, members, "replicas")


def _find_datasets(context: Context, bad: Iterable[BadReplica], dids: Sequence[str]) -> dict[str, list[BadReplica]]:
    """Find which of some datasets contain the files of bad replicas."""
    found: dict[str, list[BadReplica]] = defaultdict(list)
    replicas: dict[str, list[BadReplica]] = defaultdict(list)
    for replica in bad:
        replicas[replica.did].append(replica)
    if len(replicas) <= MOST_PARENTS_QUERIED:
        for file, its in replicas.items():
            for did in context.rucio.parents(file) & set(dids):
                found[did] += its
    else:
        for did, files in context.rucio.files_by_dataset(dids).items():
            for known in files:
                found[did] += replicas.get(known.did, [])
    return found

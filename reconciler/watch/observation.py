"""Check one state against the live systems, without changing anything."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.engine.diff import META
from reconciler.engine.model import Comparison, DifferenceKind
from reconciler.engine.plan import Entry, Plan
from reconciler.engine.spec import Spec
from reconciler.errors import ReconcileError, clean
from reconciler.kinds.chain import ChainSpec
from reconciler.kinds.rucio_dataset import ObservedDataset
from reconciler.kinds.shared.delivery import measure_awaited
from reconciler.opening import open_session
from reconciler.report.formatting import plural
from reconciler.state.variable_sources import Variables
from reconciler.watch.check_result import UNKNOWN_KIND, CheckedCollection, CheckedResource, CheckResult, FoundDifference
from reconciler.watch.digests import TableDigests
from reconciler.watch.found_differences import find_differences, list_own_differences
from reconciler.watch.last_applies import read_last_applies
from reconciler.watch.ledger_coverage import LEDGER_FIELD, describe_failure, find_uncovered

if TYPE_CHECKING:
    from reconciler.session import Session
    from reconciler.watch.ledger import Ledger

COLLECTION = "collection:"
UNSETTLING = frozenset(DifferenceKind) - {DifferenceKind.WAITING, DifferenceKind.DEGRADED, DifferenceKind.LATER}


@dataclass(frozen=True)
class CheckOptions:
    """How states are checked.

    Parameters
    ----------
    variables : `Mapping`
        Values that override ``[vars]``.
    journal : `pathlib.Path` or `None`
        The journal of applies, if there is one.
    measure : `bool`
        Whether to find out how many bytes are waited for, for metrics.
    ledger : `bool`
        Whether to make the ledgers of what Rucio delivers, with a sample of the files on storage.
    """

    variables: Variables
    journal: Path | None = None
    measure: bool = False
    ledger: bool = False


def check_state(path: Path, options: CheckOptions, *, deep: bool) -> CheckResult:
    """Check one state. What goes wrong is part of the result.

    Parameters
    ----------
    path : `pathlib.Path`
        Absolute path of the state file.
    options : `CheckOptions`
        How it is checked.
    deep : `bool`
        Whether all members are listed.
    """
    begun = time.monotonic()
    try:
        session = open_session(path, options.variables, deep=deep, counted=True)
    except ReconcileError as error:
        return failed_check(path, str(error), error.hints, seconds=time.monotonic() - begun, deep=deep)
    repository = _identify(session)
    try:
        session.context.forbid_writes()
        plan = session.plan()
        return _describe(session, plan, options, repository=repository, deep=deep, begun=begun)
    except ReconcileError as error:
        return failed_check(
            path,
            str(error),
            error.hints,
            seconds=time.monotonic() - begun,
            deep=deep,
            repository=repository,
            title=session.state.title,
        )
    finally:
        session.close()


def failed_check(
    path: Path,
    error: str,
    hints: Iterable[str] = (),
    *,
    seconds: float = 0.0,
    deep: bool = False,
    repository: str = "",
    title: str = "",
) -> CheckResult:
    """Return the result of a check that could check nothing."""
    text = clean(error)
    lines = text.splitlines() or ["no reason given"]
    more = (f"and {plural(len(lines) - 1, 'more error')}; reconcile diff lists them",) if len(lines) > 1 else ()
    difference = FoundDifference("", UNKNOWN_KIND, "", lines[0], "", hints=(*more, *hints))
    return CheckResult(
        str(path),
        path.stem,
        title=title,
        repository=repository,
        differences=(difference,),
        error=text,
        hints=tuple(hints),
        deep=deep,
        seconds=seconds,
    )


def _identify(session: Session) -> str:
    """Return what the history of a state belongs to, which is the same whether or not the systems answer."""
    name, context = session.butler_name, session.context
    if name is not None:
        is_path = "://" not in name and (os.sep in name or os.path.isdir(name))
        return os.path.abspath(name) if is_path else name
    return context.server.place() if context.server is not None else ""


def _describe(session: Session, plan: Plan, options: CheckOptions, *, repository: str, deep: bool, begun: float) -> CheckResult:
    state = session.state
    digests = TableDigests(state)
    differences = tuple(found for entry in plan.entries for found in find_differences(plan, entry))
    differing = {difference.address for difference in differences}
    place = (state.digest, session.butler_name, session.rucio_name)
    applied = read_last_applies(options.journal, place, differing, len(state.resources)) if differing else {}
    ledgers, failures = _read_ledgers(session) if options.ledger else ((), {})
    lines = {str(address): line for address, line in state.lines.items()}
    uncovered = (find_uncovered(ledger, differences, lines.get(ledger.address, 0)) for ledger in ledgers)
    unmade = (describe_failure(name, error, differences, lines.get(name, 0)) for name, error in failures.items())
    return CheckResult(
        state=str(state.path),
        name=state.name,
        title=state.title,
        repository=repository,
        addresses=tuple(str(entry.address) for entry in plan.entries),
        resources=tuple(
            _describe_resource(session, plan, entry, digests) for entry in plan.entries if entry.observed is not None
        ),
        differences=(*differences, *(found for found in (*uncovered, *unmade) if found is not None)),
        deep=deep,
        digest=state.digest,
        in_sync_by_journal=applied,
        seconds=time.monotonic() - begun,
        statements=session.context.stats.statements,
        calls=session.context.stats.calls,
        rules=_count_rules(plan),
        waiting_bytes=_measure_awaited(session, plan) if options.measure else None,
        ledgers=ledgers,
        collections=tuple(_list_collections(session)),
    )


def _read_ledgers(session: Session) -> tuple[tuple[Ledger, ...], dict[str, ReconcileError]]:
    """Return the ledgers of all resources that Rucio delivers, and by address why others could not be made."""
    from reconciler.watch.ledger_reading import LedgerOptions, find_delivered, read_ledger

    ledgers: list[Ledger] = []
    failures: dict[str, ReconcileError] = {}
    for address in find_delivered(session.state):
        try:
            ledgers.append(read_ledger(session, address, LedgerOptions()))
        except ReconcileError as error:
            failures[str(address)] = error
    return tuple(ledgers), failures


def _count_rules(plan: Plan) -> dict[str, int]:
    """Count the replication rules of the state's Rucio datasets by their state."""
    observed = (entry.observed for entry in plan.entries)
    return dict(Counter(rule.state for found in observed if isinstance(found, ObservedDataset) for rule in found.rules))


def _measure_awaited(session: Session, plan: Plan) -> int | None:
    """Return the size of what Rucio hasn't delivered; None if that can't be found out."""
    total = 0
    try:
        for entry in plan.entries:
            awaited = [member for part in entry.observed.members for member in part.awaited] if entry.observed is not None else []
            if awaited:
                total += measure_awaited(session.context, getattr(entry.spec, "delivered_by", ()), awaited)
    except ReconcileError:
        return None
    return total


def _list_collections(session: Session) -> Iterator[CheckedCollection]:
    """Yield the collections that the state defines or fills, in the order of the graph."""
    owners: dict[str, list[str]] = defaultdict(list)
    children: dict[str, tuple[str, ...]] = {}
    for address in session.graph.order:
        spec = session.state.resources[address]
        links = session.state.kind_of(address).links(address.name, spec)
        names = [
            token.removeprefix(COLLECTION) for token in (*links.provides, *links.contributes) if token.startswith(COLLECTION)
        ]
        for name in dict.fromkeys(names):
            owners[name].append(str(address))
            if isinstance(spec, ChainSpec) and name == address.name:
                children[name] = spec.children
    yield from (CheckedCollection(name, tuple(its), children.get(name, ())) for name, its in owners.items())


def _describe_resource(session: Session, plan: Plan, entry: Entry, digests: TableDigests) -> CheckedResource:
    address, observed = entry.address, entry.observed
    assert observed is not None
    before = session.graph.with_predecessors([address]) - {address}
    nouns = [part.field for part in observed.members] + [d.field for d in entry.differences if d.field]
    if getattr(entry.spec, "delivered_by", ()):
        nouns.append(LEDGER_FIELD)
    return CheckedResource(
        address=str(address),
        settled=not any(d.kind in UNSETTLING for d in list_own_differences(plan, entry)),
        table_digest=digests.of_tables({address, *before}),
        inputs_digest=digests.of_inputs({address, *before}),
        members={part.field: (part.desired - len(part.awaited), part.present) for part in observed.members},
        predecessors=tuple(str(other) for other in session.graph.order if other in before),
        follows_content=session.state.kind_of(address).traits.depends_on_content,
        fields=tuple(dict.fromkeys([*list_fields(entry.spec), *nouns])),
        new_after=entry.spec.new_after,
        deadline=entry.spec.deadline,
        by_count=any(part.compared is Comparison.COUNT for part in observed.members),
    )


def list_fields(spec: Spec) -> list[str]:
    """Return the keys of a table that may differ from what exists."""
    return [field.alias or name for name, field in type(spec).model_fields.items() if name not in META]

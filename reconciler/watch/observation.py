"""Check one state against the live systems, without changing anything. The only module of the watch that uses a session."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.engine.diff import META, canonical
from reconciler.engine.journal import read_journal
from reconciler.engine.kind import Kind
from reconciler.engine.model import Action, Address, Comparison, Difference, DifferenceKind, JsonObject, Observed, Spec
from reconciler.engine.plan import Entry, Plan
from reconciler.errors import ReconcileError, StateError, clean
from reconciler.kinds.chain import ChainSpec
from reconciler.kinds.rucio_dataset import ObservedDataset
from reconciler.kinds.shared.delivery import measure_awaited
from reconciler.report.formatting import plural
from reconciler.session import open_session
from reconciler.state.variable_sources import Variables
from reconciler.watch.ledger_coverage import LEDGER_FIELD, find_uncovered
from reconciler.watch.model import UNKNOWN_KIND, CheckedCollection, CheckedResource, CheckResult, FoundDifference

if TYPE_CHECKING:
    from reconciler.session import Session
    from reconciler.watch.ledger import Ledger

COLLECTION = "collection:"
MOST_MEMBERS = 100
LONGEST_VALUE = 80
MOST_BYTES_HASHED = 1 << 30
"""Input files that are larger are compared by size and modification time."""
PROGRESS = {"ok"}
"""Numbers of a member that grow by themselves, so that they don't make it another difference."""
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
    """Return what the history of a state belongs to, which is the same whether or not the systems answer.

    It is called before anything is asked: a Rucio client that is connected gives its address in another form.
    """
    name, context = session.butler_name, session.context
    if name is not None:
        is_path = "://" not in name and (os.sep in name or os.path.isdir(name))
        return os.path.abspath(name) if is_path else name
    return context.server.place() if context.server is not None else ""


def _describe(session: Session, plan: Plan, options: CheckOptions, *, repository: str, deep: bool, begun: float) -> CheckResult:
    state = session.state
    digests = _Digests(session)
    differences = tuple(found for entry in plan.entries for found in _find_differences(session, plan, entry))
    differing = {difference.address for difference in differences}
    place = (state.digest, session.butler_name, session.rucio_name)
    applied = read_applied(options.journal, place, differing, len(state.resources)) if differing else {}
    ledgers, ledger_errors = _read_ledgers(session) if options.ledger else ((), ())
    lines = {str(address): line for address, line in state.lines.items()}
    uncovered = (find_uncovered(ledger, differences, lines.get(ledger.address, 0)) for ledger in ledgers)
    return CheckResult(
        state=str(state.path),
        name=state.name,
        title=state.title,
        repository=repository,
        addresses=tuple(str(entry.address) for entry in plan.entries),
        resources=tuple(
            _describe_resource(session, plan, entry, digests) for entry in plan.entries if entry.observed is not None
        ),
        differences=(*differences, *(found for found in uncovered if found is not None)),
        deep=deep,
        digest=state.digest,
        in_sync_by_journal=applied,
        seconds=time.monotonic() - begun,
        statements=session.context.stats.statements,
        calls=session.context.stats.calls,
        rules=_count_rules(plan),
        waiting_bytes=_measure_awaited(session, plan) if options.measure else None,
        ledgers=ledgers,
        ledger_errors=ledger_errors,
        collections=tuple(_list_collections(session)),
    )


def _read_ledgers(session: Session) -> tuple[tuple[Ledger, ...], tuple[str, ...]]:
    """Return the ledgers of all resources that Rucio delivers, and why others could not be made."""
    from reconciler.watch.ledger_reading import LedgerOptions, find_delivered, read_ledger

    ledgers, errors = [], []
    for address in find_delivered(session.state):
        try:
            ledgers.append(read_ledger(session, address, LedgerOptions()))
        except ReconcileError as error:
            errors += [f"the ledger of {address} could not be made: {problem}" for problem in error.problems]
    return tuple(ledgers), tuple(errors)


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


def _describe_resource(session: Session, plan: Plan, entry: Entry, digests: _Digests) -> CheckedResource:
    address, observed = entry.address, entry.observed
    assert observed is not None
    before = session.graph.with_predecessors([address]) - {address}
    nouns = [part.field for part in observed.members] + [d.field for d in entry.differences if d.field]
    if getattr(entry.spec, "delivered_by", ()):
        nouns.append(LEDGER_FIELD)
    return CheckedResource(
        address=str(address),
        settled=not any(d.kind in UNSETTLING for d in _own_differences(plan, entry)),
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


def _own_differences(plan: Plan, entry: Entry) -> Iterator[Difference]:
    """Yield the differences of the live systems; that this machine can't repair one is not a difference of its own."""
    unmet = plan.unmet.get(entry.address)
    for difference in entry.differences:
        if difference.kind is not DifferenceKind.BLOCKED or difference.detail != unmet:
            yield difference


def _find_differences(session: Session, plan: Plan, entry: Entry) -> Iterator[FoundDifference]:
    """Yield what differs in one resource: one item for each kind and field, which is what has an age."""
    line = plan.state.lines.get(entry.address, 0)
    if entry.error is not None:
        yield FoundDifference(str(entry.address), UNKNOWN_KIND, "", str(entry.error), "", line=line, hints=entry.error.hints)
        return
    groups: dict[tuple[DifferenceKind, str], list[Difference]] = defaultdict(list)
    for difference in _own_differences(plan, entry):
        if difference.kind is DifferenceKind.LATER and plan.differing:
            continue  # another resource differs, and this one is planned again once that has changed
        name = "" if difference.kind is DifferenceKind.WAITING else difference.field or ""
        groups[difference.kind, name].append(difference)
    commands = _find_commands(plan, entry)
    for (kind, name), group in groups.items():
        yield _merge(entry, plan.state.kind_of(entry.address), kind, name, group, line, commands)


def _merge(
    entry: Entry,
    table: Kind[Any, Any],
    kind: DifferenceKind,
    field: str,
    group: list[Difference],
    line: int,
    commands: tuple[str, ...],
) -> FoundDifference:
    members = tuple(member for difference in group for member in difference.members)
    awaited = [difference for difference in group if difference.awaited]
    if kind is DifferenceKind.WAITING and not awaited:
        # A rule that is replicating has one record, with its numbers of files.
        count = sum(max(_number(member, "files", 1) - _number(member, "ok", 0), 0) for member in members)
        desired = sum(_number(member, "files", 1) for member in members)
    else:
        count = sum(len(difference.members) for difference in (awaited or group))
        desired = max((d.desired for d in group if isinstance(d.desired, int) and not isinstance(d.desired, bool)), default=0)
    texts = [
        _text(difference, entry.actions, table) for difference in group if not (difference.awaited and len(group) > len(awaited))
    ]
    return FoundDifference(
        address=str(entry.address),
        kind=kind.value,
        field=field,
        text="; ".join(dict.fromkeys(texts)),
        fingerprint=_fingerprint(kind, field, group),
        count=count,
        desired=desired,
        members=tuple(dict(member) for member in members[:MOST_MEMBERS]),
        line=line,
        commands=commands,
    )


def _number(member: JsonObject, key: str, default: int) -> int:
    value = member.get(key, default)
    return value if isinstance(value, int) else default


def _text(difference: Difference, actions: Iterable[Action], table: Kind[Any, Any]) -> str:
    lead = f"{difference.field}: " if difference.field else ""
    # Where actions are clearer than two values, what they do.
    steps = [action for action in actions if action.subject and action.changes_field == difference.field]
    match difference.kind:
        case DifferenceKind.MAKE if difference.field is None:
            return difference.detail or "missing"
        case DifferenceKind.MAKE:
            return f"{lead}{len(difference.members):,} of {difference.desired:,} {difference.detail}"
        case DifferenceKind.CHANGE if difference.detail:
            return f"{lead}{difference.detail}"
        case DifferenceKind.CHANGE if steps:
            return lead + "; ".join(f"{action.verb} {action.subject}: {action.reason}" for action in steps)
        case DifferenceKind.CHANGE:
            return f"{lead}{_compare_values(difference.observed, difference.desired, table)}"
        case DifferenceKind.WAITING if difference.awaited:
            return f"{lead}{len(difference.members):,} of {difference.desired:,} {difference.detail}"
        case _ if difference.uncounted:
            return f"{lead}{len(difference.members):,} {difference.detail}"
        case _:
            return f"{lead}{difference.detail}"


def _compare_values(observed: Any, desired: Any, table: Kind[Any, Any]) -> str:
    """Describe a change; of two long lists, only what one of them lacks."""
    texts = _value(observed, table), _value(desired, table)
    if max(map(len, texts)) <= LONGEST_VALUE or not (isinstance(observed, list) and isinstance(desired, list) and observed):
        return " → ".join(texts)
    missing, unwanted = ([item for item in one if item not in other] for one, other in ((desired, observed), (observed, desired)))
    parts = [f"{_value(items, table)} {word}" for items, word in ((missing, "missing"), (unwanted, "unwanted")) if items]
    return "; ".join(parts) or f"{len(desired):,} in another order"


def _value(value: Any, table: Kind[Any, Any]) -> str:
    if value is None or value == []:
        return "nothing"
    if isinstance(value, list):
        text = ", ".join(_value(item, table) for item in value)
    elif isinstance(value, Mapping):
        text = table.describe({key: inner for key, inner in value.items() if inner is not None}).text
    else:
        text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _fingerprint(kind: DifferenceKind, field: str, group: Iterable[Difference]) -> str:
    """Return a digest that changes with the difference, but not with its age or with the progress of a transfer."""
    if kind is DifferenceKind.WAITING:
        return _digest([kind, field])
    parts = []
    for difference in group:
        members = sorted(json.dumps(_identity(member), sort_keys=True, default=str) for member in difference.members)
        values = [difference.observed, difference.desired] if kind is DifferenceKind.CHANGE else []
        parts.append([values, members, "" if members or values else difference.detail])
    return _digest([kind, field, sorted(parts, key=repr)])


def _identity(member: JsonObject) -> JsonObject:
    return {key: value for key, value in member.items() if key not in PROGRESS}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _find_commands(plan: Plan, entry: Entry) -> tuple[str, ...]:
    """Return commands that remove the differences of a resource."""
    observed: Observed[Any] | None = entry.observed
    elsewhere = [shlex.join(c.words) for condition in (observed.conditions if observed else ()) for c in condition.commands]
    if not entry.actions:
        return tuple(elsewhere)
    return (shlex.join(["reconcile", "apply", str(plan.state.path), "--only", str(entry.address)]), *elsewhere)


class _Digests:
    """Digests of tables and of the input files that they name, each read once."""

    def __init__(self, session: Session) -> None:
        self.state = session.state
        self.documents: dict[Address, Any] = {}
        self.files: dict[str, str] = {}

    def of_tables(self, addresses: Collection[Address]) -> str:
        return _digest(sorted([str(address), self._document(address)] for address in addresses))

    def of_inputs(self, addresses: Collection[Address]) -> str:
        names = {name for address in addresses for name in _list_files(self._document(address))}
        return _digest([[name, self._file(name)] for name in sorted(names)])

    def _document(self, address: Address) -> Any:
        if address not in self.documents:
            self.documents[address] = canonical(self.state.resources[address])
        return self.documents[address]

    def _file(self, name: str) -> str:
        if name not in self.files:
            self.files[name] = _hash_file(name)
        return self.files[name]


def _list_files(value: Any) -> Iterator[str]:
    """Yield the local files that a table names. Those on remote storage are not read, so an edit of one isn't noticed."""
    if isinstance(value, str):
        if os.path.isabs(value) and os.path.isfile(value):
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _list_files(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _list_files(inner)


def _hash_file(name: str) -> str:
    try:
        status = os.stat(name)
        if status.st_size > MOST_BYTES_HASHED:
            return f"{status.st_size} {status.st_mtime_ns}"
        with open(name, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def read_applied(
    journal: Path | None, place: tuple[str, str | None, str | None], addresses: Collection[str], resources: int
) -> dict[str, str]:
    """Return when an apply of this very state, on these systems, last left some addresses in sync.

    An apply of a part of the state records nothing of the rest. So where the journal doesn't have as many outcomes as the state
    has resources, only resources with a finished action count.

    Parameters
    ----------
    journal : `pathlib.Path` or `None`
        The journal.
    place : `tuple` [`str`, `str` or `None`, `str` or `None`]
        Digest of the state, Butler repository and Rucio server, as an apply records them.
    addresses : `Collection` [`str`]
        The addresses that matter.
    resources : `int`
        Number of resources of the state.
    """
    if journal is None:
        return {}
    runs: dict[str, _AppliedRun] = {}
    found: dict[str, str] = {}
    try:
        for event in read_journal(journal):
            name = str(event["run"])
            if event["event"] == "begin":
                if (event.get("digest"), event.get("butler"), event.get("rucio")) == place:
                    runs[name] = _AppliedRun()
            elif name in runs and event["event"] == "action ended" and event.get("outcome") in ("done", "already"):
                runs[name].acted.add(str(event.get("address")))
            elif name in runs and event["event"] == "end":
                ended = runs[name].in_sync(event, addresses, resources)
                found |= dict.fromkeys(ended, str(event["time"]))
    except StateError:
        return {}
    return found


class _AppliedRun:
    """What one apply did, as the journal has it."""

    def __init__(self) -> None:
        self.acted: set[str] = set()

    def in_sync(self, end: JsonObject, addresses: Collection[str], resources: int) -> set[str]:
        left = end.get("left")
        counts = end.get("counts")
        if not isinstance(left, list) or not isinstance(counts, dict) or end.get("interrupted"):
            return set()
        kept = {str(item.get("address")) for item in left if item.get("state") != "already"}
        chosen = set(addresses) if sum(map(int, counts.values())) == resources else self.acted
        return (chosen & set(addresses)) - kept

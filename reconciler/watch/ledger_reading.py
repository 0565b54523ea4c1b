"""Ask Rucio, the Butler and storage for what a ledger compares; changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.engine.address_selection import select_addresses
from reconciler.engine.model import Address, JsonObject
from reconciler.errors import ApplyError, ObserveError, StateError
from reconciler.kinds.rucio_dataset import RucioDatasetSpec
from reconciler.kinds.shared.delivered_files import DeliveredFile, Deliveries, DeliveringKind
from reconciler.kinds.shared.storage_check import check_refs, sample_size
from reconciler.kinds.shared.suspects import Suspects
from reconciler.watch.ledger import FileEntry, Ledger, find_mismatches, make_rows
from reconciler.watch.ledger_repairs import HereRule, RepairFacts, find_repairs

if TYPE_CHECKING:
    from reconciler.session import Session
    from reconciler.state.loader import StateFile
    from reconciler.systems.context import Context
    from reconciler.systems.storage import FileProblem

DEFAULT_SAMPLE = "sample:100"


@dataclass(frozen=True)
class LedgerOptions:
    """What a ledger covers.

    Parameters
    ----------
    verify : `str`
        Files to check on storage: ``all``, ``none``, or ``sample:N`` for N random files that the Butler has.
    night : `int` or `None`
        The night; `None` for all.
    """

    verify: str = DEFAULT_SAMPLE
    night: int | None = None


def find_delivered(state: StateFile, patterns: Sequence[str] = ()) -> list[Address]:
    """Return the resources that Rucio delivers, in the order of the state.

    Parameters
    ----------
    state : `StateFile`
        The state.
    patterns : sequence of `str`
        Globs of addresses; all if empty.

    Raises
    ------
    reconciler.errors.StateError
        If a glob matches nothing, or only resources that Rucio does not deliver.
    """
    chosen = select_addresses(state, patterns)
    delivered = [
        address
        for address, spec in state.resources.items()
        if getattr(spec, "delivered_by", ()) and isinstance(state.kind_of(address), DeliveringKind)
    ]
    found = [address for address in delivered if address in chosen]
    if patterns and not found:
        raise StateError(
            f"{state.path.name}: {', '.join(sorted(map(str, chosen)))}: not delivered by Rucio, since it has no delivered_by",
            (f"tables with delivered_by: {', '.join(map(str, delivered)) or 'none'}",),
        )
    return found


def read_ledger(session: Session, address: Address, options: LedgerOptions) -> Ledger:
    """Compare what Rucio, the Butler and storage know of the files of one resource.

    Parameters
    ----------
    session : `Session`
        The live systems.
    address : `Address`
        One that `find_delivered` returned.
    options : `LedgerOptions`
        What is covered.

    Raises
    ------
    reconciler.errors.ObserveError
        If one of the three can't be queried, or the [rucio] table names no RSE.
    reconciler.errors.StateError
        If an input file of the table is invalid, or there is nothing of that night, as in a table whose files have no nights.
    """
    context, spec, kind = session.context, session.state.resources[address], session.state.kind_of(address)
    assert isinstance(kind, DeliveringKind)
    if context.rse is None:
        raise ObserveError("a ledger needs the name of this facility's RSE", ("set rse in [rucio]",))
    deliveries = kind.list_deliveries(context, address.name, spec)
    if options.night is not None:
        deliveries = _choose_night(deliveries, options.night)
    here = context.rucio.available(deliveries.datasets, context.rse)
    checked = _check_storage(context, str(address), deliveries, options.verify)
    entries = [_make_entry(file, here, checked) for file in deliveries.files]
    lacking = {entry.dataset for entry in entries if entry.did and not entry.available}
    registering, replicating = _find_tables(session.state)
    facts = RepairFacts(
        str(session.state.path),
        str(address),
        context.rse,
        getattr(spec, "transfer", "direct") == "direct",
        registering,
        replicating,
        _find_rules(context, lacking, context.rse),
    )
    return Ledger(
        str(address),
        context.rse,
        options.verify,
        make_rows(entries, by_night=deliveries.by_night),
        find_mismatches(entries, by_night=deliveries.by_night),
        find_repairs(entries, facts),
        deliveries.unregistered,
        sum(entry.size for entry in entries if entry.did and not entry.available and not entry.in_butler),
        deliveries.by_night,
    )


def _choose_night(deliveries: Deliveries, night: int) -> Deliveries:
    if not deliveries.by_night and not any(file.night for file in deliveries.files):
        raise StateError("its files have no nights", ("leave out --night, or name a table of raws",))
    files = tuple(file for file in deliveries.files if file.night == night)
    if not files:
        raise StateError(f"neither Rucio nor the Butler has raws of night {night}")
    return dataclasses.replace(deliveries, files=files)


@dataclass(frozen=True)
class _Checked:
    """What storage has of one file: its size as the Butler recorded it, and what is wrong with its files."""

    size: int
    problems: tuple[FileProblem, ...]
    known: bool

    def add(self, other: _Checked) -> _Checked:
        """Return what storage has of two datasets in one file of Rucio."""
        return _Checked(-1, self.problems + other.problems, self.known and other.known)


def _check_storage(context: Context, address: str, deliveries: Deliveries, verify: str) -> dict[Hashable, _Checked]:
    """Check the files of ingested datasets, by key; a sample contains those that were wrong in an earlier one."""
    from reconciler.systems.storage import IN_ZIP

    ingested = [file.key for file in deliveries.files if file.in_butler]
    if verify == "none" or not ingested:
        return {}
    count, suspects = sample_size(verify), Suspects.read(context)
    if count is not None and count < len(ingested):
        ingested = suspects.choose(ingested, count, lambda key: _name_suspect(address, key) in suspects.known)
    checked: dict[Hashable, _Checked] = {}
    try:
        for batch in deliveries.find_refs(ingested):
            found = check_refs(context, [ref for _, ref in batch], len(checked), len(ingested))
            unknown = {str(ref.id) for ref in found.unknown}
            wrong: dict[str, tuple[FileProblem, ...]] = {}
            for problem in found.problems:
                wrong[problem.id] = (*wrong.get(problem.id, ()), problem)
            sizes: dict[str, int] = {}
            for file in found.files:  # a dataset may be in several files, of which Rucio has one, or in a zip with others
                sizes[file.id] = -1 if file.id in sizes or IN_ZIP in file.uri else file.size
            for key, ref in batch:
                one = _Checked(sizes.get(str(ref.id), -1), wrong.get(str(ref.id), ()), str(ref.id) not in unknown)
                checked[key] = one if key not in checked else checked[key].add(one)
    except ApplyError as error:  # workers report every error as ApplyError; here it is a failed observation
        raise ObserveError(f"files on storage could not be checked: {error}", error.hints) from error
    lost: dict[str, JsonObject] = {
        _name_suspect(address, key): {} for key, found in checked.items() if found.problems or not found.known
    }
    suspects.record((_name_suspect(address, key) for key in checked), lost)
    return checked


def _name_suspect(address: str, key: Hashable) -> str:
    """Return the name under which a file of a ledger is among the suspects; it has no UUID before it is asked for."""
    return f"{address} {key!r}"


def _make_entry(file: DeliveredFile, here: frozenset[tuple[str, str]], checked: Mapping[Hashable, _Checked]) -> FileEntry:
    from reconciler.systems.storage import MISSING

    in_rucio = file.file
    storage = checked.get(file.key) if file.in_butler else None
    difference, stale = "", False
    if storage is not None:
        wrong = [problem for problem in storage.problems if problem.problem != MISSING]
        difference = "; ".join(dict.fromkeys(problem.problem for problem in wrong))
        stale = in_rucio is not None and any(problem.size == in_rucio.size for problem in wrong)
        if not difference and in_rucio is not None and storage.known and 0 <= storage.size != in_rucio.size:
            difference = f"{storage.size:,} bytes recorded in the Butler, {in_rucio.size:,} in Rucio"
    return FileEntry(
        file.label,
        file.night,
        file.detector,
        file.dataset,
        in_rucio.did if in_rucio is not None else "",
        in_rucio.size if in_rucio is not None else 0,
        in_rucio is not None and here.issuperset((needed.scope, needed.name) for needed in (in_rucio, *file.needs)),
        file.in_butler,
        None if storage is None else storage.known and all(problem.problem != MISSING for problem in storage.problems),
        difference,
        stale,
        file.recognized,
    )


def _find_tables(state: StateFile) -> tuple[dict[str, str], dict[str, str]]:
    """Return the addresses of the tables that register files in a Rucio dataset, and that have rules for it, by its DID."""
    tables = {address: spec for address, spec in state.resources.items() if isinstance(spec, RucioDatasetSpec)}
    registering = {address.name: str(address) for address, spec in tables.items() if spec.register_from is not None}
    return registering, {address.name: str(address) for address, spec in tables.items() if spec.rules}


def _find_rules(context: Context, dids: Iterable[str], rse: str) -> dict[str, tuple[HereRule, ...]]:
    """Return the rules of some datasets that cover an RSE."""
    asked = sorted(dids)
    if not asked:
        return {}
    rules = context.rucio.rules(asked)
    return {
        did: tuple(
            HereRule(rule.id, rule.state, rule.locks_ok, rule.locks_ok + rule.locks_replicating + rule.locks_stuck)
            for rule in rules.get(did, ())
            if rse == rule.rse_expression or rse in context.rucio.rses(rule.rse_expression)
        )
        for did in asked
    }

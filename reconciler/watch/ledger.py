"""The ledger: what Rucio, the Butler and storage know of the files that Rucio delivers, with every mismatch. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Problem(StrEnum):
    """How the answers about a file disagree. Those that concern stored data are first; a row has the first of its problems."""

    NOT_ON_STORAGE = "registered in the Butler but not on storage"
    SIZE_DIFFERS = "size differs"
    GONE = "ingested but gone from Rucio"  # it is in no Rucio dataset of the table, or not available at this RSE any more
    NOT_INGESTED = "delivered but not ingested"
    NOT_DELIVERED = "not delivered"  # Rucio has the file, and no available replica at this RSE
    NOT_REGISTERED = "not registered"  # the table needs the file, and no Rucio dataset contains it
    NOT_RECOGNIZED = "no data ID of its own"  # its path gives none, or that of another file, so it can't be ingested


@dataclass(frozen=True)
class FileEntry:
    """What was found of one file.

    Parameters
    ----------
    label : `str`
        The exposure of a raw, or the name of the file.
    night, detector : `int`
        Of a raw; 0 and -1 if that isn't known.
    dataset : `str`
        DID of the Rucio dataset that contains the file, or that should; empty if that isn't known.
    did : `str`
        DID of the file; empty if no dataset contains it.
    size : `int`
        Bytes, as Rucio has them.
    available : `bool`
        Whether Rucio has an available replica at this RSE, and those of the files without which it can't be ingested.
    in_butler : `bool`
        Whether the Butler has its dataset.
    on_storage : `bool` or `None`
        Whether the datastore knows the file of the Butler's dataset and it exists; `None` if that wasn't checked.
    difference : `str`
        How its sizes differ.
    stale : `bool`
        Whether the file on storage has the size that Rucio recorded, and the Butler recorded another one.
    recognized : `bool`
        Whether its path gives a data ID that no other file has.
    """

    label: str
    night: int = 0
    detector: int = -1
    dataset: str = ""
    did: str = ""
    size: int = 0
    available: bool = False
    in_butler: bool = False
    on_storage: bool | None = None
    difference: str = ""
    stale: bool = False
    recognized: bool = True

    @property
    def problems(self) -> Iterator[Problem]:
        """What is wrong with it, the most severe first."""
        if not self.recognized:
            yield Problem.NOT_RECOGNIZED
            return
        if self.on_storage is False:
            yield Problem.NOT_ON_STORAGE
        if self.difference:
            yield Problem.SIZE_DIFFERS
        if self.in_butler:
            if not self.available:
                yield Problem.GONE
        elif self.available:
            yield Problem.NOT_INGESTED
        else:
            yield Problem.NOT_DELIVERED if self.did else Problem.NOT_REGISTERED


@dataclass(frozen=True)
class LedgerRow:
    """The three answers for one night and detector, or for one Rucio dataset.

    Parameters
    ----------
    night, detector : `int`
        Of raws; 0 and -1 where they aren't known, and for other files.
    dataset : `str`
        DID of the Rucio dataset; empty for raws, and for files of which it isn't known.
    in_rucio : `int`
        Number of files that Rucio has at this RSE.
    in_butler : `int`
        Number of datasets in the Butler.
    on_storage : `int` or `None`
        Number of files that were found on storage; `None` if none was checked.
    checked : `int`
        Number of files that were checked on storage.
    missing : `tuple` [`str`, ...]
        Exposures, or names of files, for which the answers disagree.
    problem : `str`
        The most severe problem, a value of `Problem`; empty if the answers agree.
    """

    night: int
    detector: int
    dataset: str
    in_rucio: int
    in_butler: int
    on_storage: int | None
    checked: int
    missing: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Mismatch:
    """The files of one row with the same problem.

    Parameters
    ----------
    problem : `Problem`
        What is wrong.
    night, detector, dataset
        As in `LedgerRow`.
    files : `tuple` [`str`, ...]
        Exposures, or names of files.
    notes : `tuple` [`str`, ...]
        How sizes differ, in the order of ``files``; empty for other problems.
    """

    problem: Problem
    night: int
    detector: int
    dataset: str
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repair:
    """How one problem of a resource is repaired.

    Parameters
    ----------
    problem : `Problem`
        The problem.
    count : `int`
        Number of files that have it.
    commands : `tuple` [`str`, ...]
        For a shell; a comment where only a person can decide, or nothing has to be done.
    """

    problem: Problem
    count: int
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Ledger:
    """The ledger of one resource.

    Parameters
    ----------
    address : `str`
        The resource.
    rse : `str`
        This facility's RSE.
    verify : `str`
        The files that were checked on storage: ``all``, ``sample:N`` or ``none``.
    rows : `tuple` [`LedgerRow`, ...]
        By night and detector, or by dataset.
    mismatches : `tuple` [`Mismatch`, ...]
        All files for which the answers disagree; a file may have two problems.
    repairs : `tuple` [`Repair`, ...]
        One for each problem.
    unregistered : `tuple` [`str`, ...]
        Patterns of ``delivered_by`` that no Rucio dataset matches.
    waiting_bytes : `int`
        Size of the files that aren't delivered.
    by_night : `bool`
        Whether the rows are by night and detector.
    """

    address: str
    rse: str
    verify: str
    rows: tuple[LedgerRow, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()
    repairs: tuple[Repair, ...] = ()
    unregistered: tuple[str, ...] = ()
    waiting_bytes: int = 0
    by_night: bool = False

    @property
    def in_rucio(self) -> int:
        """Number of files that Rucio has at this RSE."""
        return sum(row.in_rucio for row in self.rows)

    @property
    def in_butler(self) -> int:
        """Number of datasets in the Butler."""
        return sum(row.in_butler for row in self.rows)

    @property
    def on_storage(self) -> int:
        """Number of files that were found on storage."""
        return sum(row.on_storage or 0 for row in self.rows)

    @property
    def checked(self) -> int:
        """Number of files that were checked on storage."""
        return sum(row.checked for row in self.rows)

    @property
    def agrees(self) -> bool:
        """Whether the three answers agree, and each pattern of ``delivered_by`` matches a Rucio dataset."""
        return not self.mismatches and not self.unregistered


RowKey = tuple[int, int, str]


def make_rows(entries: Iterable[FileEntry], *, by_night: bool) -> tuple[LedgerRow, ...]:
    """Count files by night and detector, or by Rucio dataset.

    Parameters
    ----------
    entries : iterable of `FileEntry`
        The files.
    by_night : `bool`
        Whether they are raws.
    """
    groups: dict[RowKey, list[FileEntry]] = defaultdict(list)
    for entry in entries:
        groups[_find_row(entry, by_night)].append(entry)
    return tuple(_make_row(key, groups[key]) for key in sorted(groups))


def find_mismatches(entries: Iterable[FileEntry], *, by_night: bool) -> tuple[Mismatch, ...]:
    """Name the files for which the answers disagree, by problem and row.

    Parameters
    ----------
    entries : iterable of `FileEntry`
        The files.
    by_night : `bool`
        Whether they are raws.
    """
    order = list(Problem)
    groups: dict[tuple[int, RowKey], list[FileEntry]] = defaultdict(list)
    for entry in entries:
        for problem in entry.problems:
            groups[order.index(problem), _find_row(entry, by_night)].append(entry)
    found = []
    for (place, key), its in sorted(groups.items(), key=lambda item: item[0]):
        its.sort(key=lambda entry: entry.label)
        notes = tuple(entry.difference for entry in its) if order[place] is Problem.SIZE_DIFFERS else ()
        found.append(Mismatch(order[place], *key, tuple(entry.label for entry in its), notes))
    return tuple(found)


def _find_row(entry: FileEntry, by_night: bool) -> RowKey:
    return (entry.night, entry.detector, "") if by_night else (0, -1, entry.dataset)


def _make_row(key: RowKey, entries: Sequence[FileEntry]) -> LedgerRow:
    order = list(Problem)
    checked = [entry for entry in entries if entry.on_storage is not None]
    differing = sorted(entry.label for entry in entries if any(entry.problems))
    problems = sorted({problem for entry in entries for problem in entry.problems}, key=order.index)
    night, detector, dataset = key
    return LedgerRow(
        night,
        detector,
        dataset,
        in_rucio=sum(entry.available for entry in entries),
        in_butler=sum(entry.in_butler for entry in entries),
        on_storage=sum(bool(entry.on_storage) for entry in checked) if checked else None,
        checked=len(checked),
        missing=tuple(differing),
        problem=problems[0].value if problems else "",
    )

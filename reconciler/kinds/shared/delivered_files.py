"""The files that Rucio delivers for a table, each with what Rucio and the Butler know of it: what a ledger is made of.

A kind that ingests delivered files has a method `DeliveringKind.list_deliveries`. It answers from the same cached queries as an
observation, and it always lists, since a ledger names single files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from reconciler.kinds.shared.delivery import match_name_suffix
from reconciler.patterns import is_glob

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import DidFacts, FileFacts

NO_NIGHT, NO_DETECTOR = 0, -1
RefBatches = Iterator[Sequence[tuple[Hashable, "DatasetRef"]]]


@dataclass(frozen=True)
class DeliveredFile:
    """One file that a table needs from Rucio.

    Parameters
    ----------
    label : `str`
        How reports name it: the exposure of a raw, or the name of the file.
    night, detector : `int`
        Of a raw; `NO_NIGHT` and `NO_DETECTOR` if that isn't known.
    dataset : `str`
        DID of the Rucio dataset that contains the file, or that should; empty if that isn't known.
    file : `FileFacts` or `None`
        The file in Rucio; `None` if it is in no dataset.
    in_butler : `bool`
        Whether the Butler has its dataset.
    key : hashable
        Identifies the Butler's dataset for `Deliveries.find_refs`.
    recognized : `bool`
        Whether its path gives a data ID that no other file has, so that it can be ingested.
    needs : `tuple` [`FileFacts`, ...]
        Other files in Rucio that it can't be ingested without.
    """

    label: str
    night: int = NO_NIGHT
    detector: int = NO_DETECTOR
    dataset: str = ""
    file: FileFacts | None = None
    in_butler: bool = False
    key: Hashable = None
    recognized: bool = True
    needs: tuple[FileFacts, ...] = ()


@dataclass(frozen=True)
class Deliveries:
    """All files that Rucio delivers for a table.

    Parameters
    ----------
    files : `tuple` [`DeliveredFile`, ...]
        The files that are in Rucio or in the Butler, and those that the table lists.
    datasets : `tuple` [`str`, ...]
        The Rucio datasets that exist.
    unregistered : `tuple` [`str`, ...]
        The patterns of ``delivered_by`` that no dataset matches.
    find_refs : `Callable`
        Returns the Butler's datasets with some keys, in batches of bounded size.
    by_night : `bool`
        Whether the files have nights and detectors.
    """

    files: tuple[DeliveredFile, ...]
    datasets: tuple[str, ...]
    unregistered: tuple[str, ...]
    find_refs: Callable[[Collection[Hashable]], RefBatches]
    by_night: bool = False


@runtime_checkable
class DeliveringKind(Protocol):
    """A kind whose tables may have ``delivered_by``."""

    def list_deliveries(self, context: Context, name: str, spec: Any) -> Deliveries:
        """Return what Rucio and the Butler know of the files of one table.

        Raises
        ------
        reconciler.errors.ObserveError
            If one of them can't be queried.
        reconciler.errors.StateError
            If an input file of the table is invalid.
        """


def find_datasets(context: Context, patterns: Sequence[str]) -> tuple[dict[str, DidFacts], tuple[str, ...]]:
    """Return the Rucio datasets and containers that match some patterns and exist, and the patterns that none matches.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be queried.
    """
    matching = {pattern: context.rucio.matching(pattern) for pattern in patterns}
    dids = [did for found in matching.values() for did in found]
    facts = context.rucio.dids(dids) if dids else {}
    unregistered = tuple(pattern for pattern, found in matching.items() if not any(did in facts for did in found))
    return {did: facts[did] for did in dict.fromkeys(dids) if did in facts}, unregistered


@dataclass(frozen=True)
class RegisteredFiles:
    """The files in the Rucio datasets of a table.

    Parameters
    ----------
    patterns : `tuple` [`str`, ...]
        ``delivered_by`` of the table.
    datasets, unregistered : `tuple` [`str`, ...]
        As in `Deliveries`.
    files : `Mapping` [`str`, `tuple` [`FileFacts`, `str`]]
        Each file with the first dataset that contains it, by name.
    """

    patterns: tuple[str, ...]
    datasets: tuple[str, ...]
    unregistered: tuple[str, ...]
    files: Mapping[str, tuple[FileFacts, str]]

    @classmethod
    def query(cls, context: Context, patterns: Sequence[str]) -> RegisteredFiles:
        """List the files of all datasets that match some patterns; raises `ObserveError` if Rucio can't be queried."""
        datasets, unregistered = find_datasets(context, patterns)
        files: dict[str, tuple[FileFacts, str]] = {}
        for did, found in context.rucio.files_by_dataset(datasets).items():
            for file in found:
                files.setdefault(file.name, (file, did))
        return cls(tuple(patterns), tuple(datasets), unregistered, files)

    def find(self, uris: Iterable[str]) -> Iterator[tuple[FileFacts | None, str]]:
        """Yield the file that each URI belongs to, and its dataset.

        If there is no such file, that is the one in which it should be; empty unless ``delivered_by`` names a single one.
        """
        names = set(self.files)
        home = self.patterns[0] if len(self.patterns) == 1 and not is_glob(self.patterns[0]) else ""
        for uri in uris:
            name = match_name_suffix(uri, names)
            yield self.files[name] if name is not None else (None, home)


def list_expected(
    context: Context, patterns: Sequence[str], paths: Mapping[Hashable, str], refs: Mapping[Hashable, DatasetRef]
) -> Deliveries:
    """Return the deliveries of a table that lists its files itself.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    patterns : sequence of `str`
        ``delivered_by`` of the table.
    paths : mapping
        The URI of each expected file, by any key.
    refs : mapping
        The Butler's datasets by the same keys; none for a key whose file isn't ingested.

    Raises
    ------
    reconciler.errors.ObserveError
        If Rucio can't be queried.
    """
    registered = RegisteredFiles.query(context, patterns)
    files = tuple(
        DeliveredFile(file.name if file is not None else path, dataset=did, file=file, in_butler=key in refs, key=key)
        for (key, path), (file, did) in zip(paths.items(), registered.find(paths.values()), strict=True)
    )

    def find_refs(keys: Collection[Hashable]) -> RefBatches:
        yield [(key, refs[key]) for key in keys]

    return Deliveries(files, registered.datasets, registered.unregistered, find_refs)

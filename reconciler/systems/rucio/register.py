"""Registers the datasets of a Butler repository in Rucio, with the library behind rucio-register."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.counts import plural
from reconciler.errors import ApplyError, StateError, did_you_mean
from reconciler.systems.butler.collection_catalog import WILDCARDS
from reconciler.systems.butler.repository import Repository
from reconciler.systems.butler.sources import SourceRepositories
from reconciler.systems.rucio.server import RucioServer

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef


@dataclass(frozen=True)
class RegistrationSource:
    """Datasets of a Butler repository: ``dataset_types`` may have wildcards."""

    repo: str
    dataset_types: tuple[str, ...]
    collections: tuple[str, ...]


@dataclass(frozen=True)
class SourceContents:
    """What some sources contain; a source whose repository can't be opened here is in none of them.

    Parameters
    ----------
    counts : mapping
        Number of datasets of each source that was to be counted.
    paths : mapping
        Normalized URIs of the files of each source that was to be listed.
    lacking : mapping
        The dataset types, or patterns of them, of which a source has no dataset yet.
    fileless : mapping
        Number of datasets of each source that was to be listed which have no file, or several, so that they can't be registered.
    """

    counts: Mapping[RegistrationSource, int]
    paths: Mapping[RegistrationSource, frozenset[str]]
    lacking: Mapping[RegistrationSource, tuple[str, ...]]
    fileless: Mapping[RegistrationSource, int] = field(default_factory=dict)


def query_sources(
    sources: SourceRepositories, counted: Iterable[RegistrationSource], listed: Iterable[RegistrationSource]
) -> SourceContents:
    """Count the datasets of some sources, and list the files of others.

    Raises
    ------
    reconciler.errors.StateError
        If a repository has no dataset type of a name without wildcards.
    reconciler.errors.ObserveError
        If a repository that could be opened can't be queried.
    """
    counts: dict[RegistrationSource, int] = {}
    paths: dict[RegistrationSource, frozenset[str]] = {}
    lacking: dict[RegistrationSource, tuple[str, ...]] = {}
    fileless: dict[RegistrationSource, int] = {}
    to_count, to_list = set(counted), set(listed)
    for uri in sorted({source.repo for source in to_count | to_list}):
        repository = sources.get(uri)
        if repository is None:
            continue
        here = [source for source in to_count | to_list if source.repo == uri]
        repository.expect_collections(name for source in here for name in source.collections if WILDCARDS.isdisjoint(name))
        if problems := [problem for source in here for problem in _find_unknown_types(repository, source)]:
            raise StateError(list(dict.fromkeys(problems)))
        refs: dict[RegistrationSource, list[DatasetRef]] = {}
        for source in here:
            types = _matching_types(repository, source.dataset_types)
            if source in to_list:
                found = {name: repository.refs(name, source.collections) for name in types}
                refs[source] = [ref for listed in found.values() for ref in listed]
                numbers = {name: len(listed) for name, listed in found.items()}
            else:
                numbers = {name: repository.count(name, source.collections) for name in types}
            if source in to_count:
                counts[source] = sum(numbers.values())
            lacking[source] = tuple(_find_lacking(source, numbers))
        known = repository.paths(ref for listed in refs.values() for ref in listed)
        paths |= {
            source: frozenset(known[str(ref.id)] for ref in listed if str(ref.id) in known) for source, listed in refs.items()
        }
        fileless |= {source: sum(str(ref.id) not in known for ref in listed) for source, listed in refs.items()}
    return SourceContents(counts, paths, lacking, fileless)


def _find_unknown_types(repository: Repository, source: RegistrationSource) -> Iterable[str]:
    known = repository.dataset_types()
    for name in source.dataset_types:
        if name not in known and not WILDCARDS & set(name):
            yield f'register.dataset_types: {source.repo} has no dataset type "{name}"{did_you_mean(name, known)}'


def _find_lacking(source: RegistrationSource, numbers: Mapping[str, int]) -> Iterable[str]:
    """Yield the dataset types and patterns of a source that match no dataset, given the number of datasets of each type."""
    for pattern in source.dataset_types:
        if not any(numbers[name] for name in fnmatch.filter(numbers, pattern)):
            yield pattern


def _matching_types(repository: Repository, patterns: Sequence[str]) -> list[str]:
    return sorted({name for pattern in patterns for name in fnmatch.filter(repository.dataset_types(), pattern)})


def register_datasets(
    rucio: RucioServer,
    repository: Repository,
    source: RegistrationSource,
    *,
    config: str,
    dataset: str,
    chunk_size: int,
    is_registered: Callable[[str], bool],
    progress: Callable[[int, int], None],
) -> int:
    """Register datasets as replicas and add them to a Rucio dataset, which is created if absent. Safe to repeat.

    Parameters
    ----------
    rucio : `reconciler.systems.rucio.server.RucioServer`
        The server.
    repository : `reconciler.systems.butler.repository.Repository`
        The repository of the source.
    source : `RegistrationSource`
        What to register.
    config : `str`
        Path of the configuration of rucio-register.
    dataset : `str`
        DID of the Rucio dataset.
    chunk_size : `int`
        Files in one request.
    is_registered : callable
        Returns True for the URI of a file that is to be left out, because the Rucio dataset contains it.
    progress : callable
        Called after each request with the number of files that are done, and that of all that are not left out.

    Returns
    -------
    count : `int`
        Number of files registered.

    Raises
    ------
    reconciler.errors.ApplyError
        If it failed; what was registered stays, and a repetition completes it. Also if the source contains no dataset, or some
        that have no file or several, after the others were registered; or if the library isn't installed, or its configuration
        is invalid or of another scope.
    reconciler.errors.ObserveError
        If the repository can't be queried, or the server can't be reached to log in.
    """
    scope, _, name = dataset.partition(":")
    refs: dict[Any, Any] = {}
    for dataset_type in _matching_types(repository, source.dataset_types):
        refs |= {ref.id: ref for ref in repository.refs(dataset_type, source.collections, with_records=True)}
    found = len(refs)
    paths = repository.paths(refs.values())
    fileless = [id for id in refs if str(id) not in paths]
    refs = {id: ref for id, ref in refs.items() if str(id) in paths and not is_registered(paths[str(id)])}
    interface = _create_interface(rucio, repository, config, scope)
    waiting = iter(refs.values())
    done = 0
    while chunk := list(itertools.islice(waiting, chunk_size)):
        rucio.connection.write(f"register files in {dataset}", functools.partial(_register_chunk, interface, name, chunk))
        done += len(chunk)
        progress(done, len(refs))
    if not found:
        types = ", ".join(source.dataset_types)
        raise ApplyError(f"nothing to register: {', '.join(source.collections)} in {source.repo} contain no {types}")
    if fileless:
        text = f"{plural(len(fileless), 'dataset')} of {source.repo}, such as {fileless[0]}, can't be registered"
        raise ApplyError(f"{text}: each needs exactly one file in its datastore")
    return done


def _register_chunk(interface: Any, name: str, refs: list[Any], client: Any) -> None:
    interface.register_as_replicas(name, refs)


def _create_interface(rucio: RucioServer, source: Repository, config: str, scope: str) -> Any:
    """Create the library's interface, with the client that is already logged in."""
    try:
        from lsst.rucio.register.data_type import DataType
        from lsst.rucio.register.rucio_interface import RucioInterface
        from lsst.rucio.register.rucio_register_config import RucioRegisterConfig
    except ImportError as error:
        raise ApplyError(
            f"registering needs lsst-rucio-register: {error}", ("pip install 'rubin-reconciler[register]'",)
        ) from error
    logging.getLogger("lsst.rucio").setLevel(logging.CRITICAL)
    try:
        settings = RucioRegisterConfig(config)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ApplyError(f"{config}: not a valid configuration of rucio-register: {error}") from error
    if settings.scope != scope:
        raise ApplyError(f'{config}: its scope is "{settings.scope}", but the dataset is in "{scope}"')
    interface = RucioInterface.__new__(RucioInterface)  # its __init__ would log in again, configured by the environment alone
    interface.butler = source.open()
    interface.rse = settings.rucio_rse
    interface.scope = settings.scope
    interface.rse_root = settings.rse_root
    interface.dtn_url = interface.pfn_base = settings.dtn_url
    interface.replica_client = interface.did_client = rucio.client
    interface.rubin_butler_type = DataType.DATA_PRODUCT
    interface.set_backoff(1.0, 10, 3)
    return interface

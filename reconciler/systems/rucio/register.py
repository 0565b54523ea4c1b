"""Registering the datasets of a Butler repository in Rucio, by the library behind rucio-register."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from reconciler.errors import ApplyError, ObserveError
from reconciler.systems.butler.datasets import Repository
from reconciler.systems.rucio.server import Rucio

Key = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A repository, dataset types and collections."""


def sources(asked: Iterable[Key]) -> dict[Key, int | None]:
    """Count what there is to register.

    Parameters
    ----------
    asked : iterable of (`str`, tuple, tuple)
        Repository, dataset types and collections.

    Returns
    -------
    counts : `dict`
        By what was asked; `None` for a repository that can't be opened here. Each is opened once.
    """
    found: dict[Key, int | None] = {}
    opened: dict[str, Repository | None] = {}
    for key in asked:
        repo, dataset_types, collections = key
        if repo not in opened:
            repository = Repository(repo)
            try:
                opened[repo] = repository if repository.ready else None
            except ObserveError:
                opened[repo] = None
        known = opened[repo]
        if known is None:
            found[key] = None
        else:
            found[key] = sum(known.count(name, collections) for name in matching(known, dataset_types))
    for known in opened.values():
        if known is not None:
            known.close()
    return found


def matching(repository: Repository, patterns: Sequence[str]) -> list[str]:
    """Find the dataset types that patterns name.

    Parameters
    ----------
    repository : `Repository`
        Whose.
    patterns : sequence of `str`
        Names with wildcards.

    Returns
    -------
    names : `list` [`str`]
        Sorted.
    """
    import fnmatch

    return sorted({name for pattern in patterns for name in fnmatch.filter(repository.dataset_types(), pattern)})


def register(
    rucio: Rucio,
    repo: str,
    dataset_types: Sequence[str],
    collections: Sequence[str],
    *,
    config: str,
    dataset: str,
    chunk_size: int,
    progress: Callable[[int, int], None],
) -> int:
    """Register datasets as replicas and put them in a Rucio dataset, which is made if absent. Safe to repeat.

    Parameters
    ----------
    rucio : `reconciler.systems.rucio.server.Rucio`
        The server.
    repo : `str`
        The source repository.
    dataset_types, collections : sequence of `str`
        What to register.
    config : `str`
        Configuration file of rucio-register.
    dataset : `str`
        DID of the Rucio dataset.
    chunk_size : `int`
        Files in one request.
    progress : callable
        Told how many are done, of how many.

    Returns
    -------
    count : `int`
        How many there are.

    Raises
    ------
    reconciler.errors.ApplyError
        If it failed; what was registered stays, and a repetition completes it.
    """
    scope, _, name = dataset.partition(":")
    source = Repository(repo)
    refs: dict[Any, Any] = {}
    for dataset_type in matching(source, dataset_types):
        refs |= {ref.id: ref for ref in source.refs(dataset_type, collections, with_records=True)}
    interface = _interface(rucio, source, config, scope)
    waiting = iter(refs.values())
    done = 0
    while chunk := list(itertools.islice(waiting, chunk_size)):
        rucio.write(f"register files in {dataset}", functools.partial(_register_chunk, interface, name, chunk))
        done += len(chunk)
        progress(done, len(refs))
    source.close()
    if not refs:
        raise ApplyError(f"{', '.join(collections)} in {repo} hold no {', '.join(dataset_types)} to register")
    return done


def _register_chunk(interface: Any, name: str, refs: list[Any], client: Any) -> None:
    interface.register_as_replicas(name, refs)


def _interface(rucio: Rucio, source: Repository, config: str, scope: str) -> Any:
    """Make the library's interface, with the client that is logged in already."""
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
        raise ApplyError(f"{config}: not a configuration of rucio-register: {error}") from error
    if settings.scope != scope:
        raise ApplyError(f'{config}: its scope is "{settings.scope}", and the dataset is in "{scope}"')
    interface = RucioInterface.__new__(RucioInterface)  # its __init__ would log in anew, by the environment alone
    interface.butler = source.open()
    interface.rse = settings.rucio_rse
    interface.scope = settings.scope
    interface.rse_root = settings.rse_root
    interface.dtn_url = interface.pfn_base = settings.dtn_url
    interface.replica_client = interface.did_client = rucio.client
    interface.rubin_butler_type = DataType.DATA_PRODUCT
    interface.set_backoff(1.0, 10, 3)
    return interface

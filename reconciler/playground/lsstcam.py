"""Nights of LSSTCam in Rucio: the zips of exposures are registered as lsst-dm/transfer_embargo does.

`make_night` adds exposures to a running playground, such as one that comes late.
"""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from reconciler.playground import catalog, embargo
from reconciler.playground.lsstcam_exposures import Exposure
from reconciler.playground.mover import adler32
from reconciler.playground.world import IN2P3, SLAC, World

T = TypeVar("T")

ZIP_METADATA = {"rubin_butler": "zip_file"}
ARCHIVE_METADATA = {"arcBackup": "SLAC_RAW_DISK_BKUP:need", "SafeCopies": ""}
"""Metadata of the dataset of each exposure, for its archival on tape."""
EVALUATIONS = 10
"""How often the rules of datasets are evaluated at most."""
CHUNK = 100
"""Datasets of one call."""


def make_night(
    world: World,
    night: int,
    sequences: Iterable[int] | None = None,
    *,
    n_detectors: int | None = None,
    scope: str = "raw",
    replicate: bool = True,
) -> list[Exposure]:
    """Add exposures of a night to a running playground, as they leave the embargo: their zips at SLAC, registered in Rucio.

    Exposures that exist are left as they are. Nothing is delivered: `reconciler.playground.mover.deliver` does that, and so does
    the playground's mover if it runs. This process must have the playground's observatory on its path, as tests have.

    Parameters
    ----------
    world : `World`
        The playground; it needs no LSSTCam nights of its own.
    night : `int`
        Day of observation, such as 20261128.
    sequences : iterable of `int`, optional
        Sequence numbers of the exposures, from 1 on; by default as many as the playground's nights have.
    n_detectors : `int`, optional
        Raws of each exposure; by default as many as the playground's exposures have.
    scope : `str`, optional
        Rucio scope, which must exist.
    replicate : `bool`, optional
        Whether rules require copies at IN2P3.

    Returns
    -------
    exposures : `list` [`Exposure`]
        The exposures.
    """
    sizes = world.sizes
    exposures = [
        Exposure(night, sequence, n_detectors or sizes.lsstcam_detectors)
        for sequence in (range(1, sizes.lsstcam_exposures + 1) if sequences is None else sequences)
    ]
    embargo.write_zips(world, exposures, scope)
    register(catalog.connect(world), world, exposures, scope=scope, replicate=replicate)
    return exposures


def register(client: Any, world: World, exposures: Collection[Exposure], *, scope: str = "raw", replicate: bool = True) -> None:
    """Register the zips and dimension records of exposures, which must be at SLAC, and add them to their datasets in Rucio.

    The dataset of a single exposure is closed then.

    Parameters
    ----------
    client : `rucio.client.Client`
        A client with the rights of root.
    world : `World`
        The playground.
    exposures : collection of `Exposure`
        The exposures; what is registered of them is left as it is.
    scope : `str`, optional
        Rucio scope.
    replicate : `bool`, optional
        Whether rules require copies of the datasets of tracts and calibrations at IN2P3.
    """
    for files in _chunks(_describe_files(world, scope, exposures), catalog.CHUNK):
        client.add_replicas(SLAC, files)
    by_dataset: dict[str, list[Exposure]] = {}
    for exposure in exposures:
        for name in (*exposure.sky_datasets, exposure.own_dataset):
            by_dataset.setdefault(name, []).append(exposure)
    are_open = _create_datasets(client, scope, by_dataset)
    attachments = [
        {"scope": scope, "name": name, "dids": [{"scope": scope, "name": path} for one in members for path in _paths(one)]}
        for name, members in by_dataset.items()
        if are_open[name]
    ]
    for some in _chunks(attachments, CHUNK):
        client.add_files_to_datasets(some, ignore_duplicate=True)
    own = [exposure.own_dataset for exposure in exposures if are_open[exposure.own_dataset]]
    for names in _chunks(own, CHUNK):
        client.set_dids_metadata_bulk([{"scope": scope, "name": name, "meta": ARCHIVE_METADATA} for name in names])
    for name in own:
        client.close(scope, name)
    if replicate:
        _replicate(client, world, scope, sorted({name for exposure in exposures for name in exposure.sky_datasets}))


def _paths(exposure: Exposure) -> tuple[str, str]:
    return exposure.zip_path, exposure.dimensions_path


def _describe_files(world: World, scope: str, exposures: Iterable[Exposure]) -> Iterator[dict[str, Any]]:
    for exposure in exposures:
        for name in _paths(exposure):
            path = world.storage(SLAC) / scope / name
            described = {
                "scope": scope,
                "name": name,
                "bytes": path.stat().st_size,
                "adler32": adler32(path),
                "md5": hashlib.md5(path.read_bytes()).hexdigest(),
            }
            yield described | ({"meta": ZIP_METADATA} if name == exposure.zip_path else {})


def _create_datasets(client: Any, scope: str, names: Collection[str]) -> dict[str, bool]:
    """Create the datasets that don't exist, and return for each whether it is open."""
    found: dict[str, bool] = {}
    for some in _chunks(names, CHUNK):
        # rucio-clients before 41 ask for the metadata of another plugin by default.
        answer = client.get_metadata_bulk([{"scope": scope, "name": name} for name in some], plugin="DID_COLUMN")
        found |= {did["name"]: did["is_open"] for did in answer}
    for some in _chunks([name for name in names if name not in found], CHUNK):
        client.add_datasets([{"scope": scope, "name": name, "statuses": {"monotonic": True}} for name in some])
    return {name: found.get(name, True) for name in names}


def _replicate(client: Any, world: World, scope: str, names: Collection[str]) -> None:
    """Add rules for copies at IN2P3, and let the rules that exist already take in new files."""
    rules = client.list_replication_rules({"scope": scope})
    have = {rule["name"] for rule in rules if rule["rse_expression"] == IN2P3}
    missing = [{"scope": scope, "name": name} for name in names if name not in have]
    for some in _chunks(missing, CHUNK):
        client.add_replication_rule(some, 1, IN2P3, activity="Data Rebalancing")
    _take_in(client, world, scope, have.intersection(names))


def _take_in(client: Any, world: World, scope: str, names: Collection[str]) -> None:
    """Let the rules of datasets take in files that were attached; Rucio's evaluator passes over datasets that others lock."""
    for _ in range(EVALUATIONS):
        stale = [
            name
            for name in names
            if sum(1 for _ in client.list_files(scope, name))
            > min(
                rule["locks_ok_cnt"] + rule["locks_replicating_cnt"] + rule["locks_stuck_cnt"]
                for rule in client.list_did_rules(scope, name)
                if rule["rse_expression"] == IN2P3
            )
        ]
        if not stale:
            return
        run_evaluator(world)


def run_evaluator(world: World) -> None:
    """Let Rucio evaluate the rules of datasets to which files were attached, as its daemon does in production."""
    url = f"{world.read_record()['rucio_url']}/_playground/daemon?run=evaluator"
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60).close()


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some

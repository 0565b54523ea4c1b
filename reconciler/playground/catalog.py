"""What the playground's Rucio server contains: RSEs, scopes, quotas, distances, and the files that exist at SLAC."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reconciler.playground.mover import adler32
from reconciler.playground.world import IN2P3, SLAC, World

SCOPES = ("raw", "ancillary")
RSES = (SLAC, IN2P3)
CHUNK = 500


def connect(world: World) -> Any:
    """Return a Rucio client with the rights of root; sets RUCIO_CONFIG in this process."""
    from rucio.client import Client
    from rucio.common.config import clean_cached_config

    # One process may speak to several worlds, and each has a configuration and a token of its own.
    os.environ["RUCIO_CONFIG"] = str(world.client_config)
    clean_cached_config()
    facts = world.read_record()
    return Client(
        rucio_host=facts["rucio_url"],
        auth_host=facts["rucio_url"],
        account="root",
        auth_type="userpass",
        creds={"username": "playground", "password": facts["password"]},
        timeout=60,
    )


def create_rses_and_scopes(client: Any, world: World) -> None:
    """Create the RSEs, each backed by a folder, and the scopes, quotas and distances. What exists is left unchanged."""
    from rucio.common.exception import Duplicate

    for rse in RSES:
        folder = world.storage(rse)
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Duplicate):
            client.add_rse(rse, deterministic=True)
            client.add_protocol(
                rse,
                {
                    "scheme": "file",
                    "hostname": "localhost",
                    "port": 0,
                    "prefix": f"{folder}/",
                    "impl": "rucio.rse.protocols.posix.Default",
                    "domains": {
                        "lan": {"read": 1, "write": 1, "delete": 1},
                        "wan": {"read": 1, "write": 1, "delete": 1, "third_party_copy_read": 1, "third_party_copy_write": 1},
                    },
                },
            )
            client.add_rse_attribute(rse, "lfn2pfn_algorithm", "identity")
            client.set_local_account_limit("root", rse, -1)
    for source, destination in ((SLAC, IN2P3), (IN2P3, SLAC)):
        with contextlib.suppress(Duplicate):
            client.add_distance(source, destination, {"distance": 1})
    for scope in SCOPES:
        with contextlib.suppress(Duplicate):
            client.add_scope("root", scope)


def register(client: Any, world: World, scope: str, datasets: Mapping[str, Iterable[Path]], close: bool) -> None:
    """Register files below the scope's folder at SLAC, add them to datasets by name, and close the datasets if asked to.

    A dataset that exists is left as it is.
    """
    from rucio.common.exception import DataIdentifierAlreadyExists

    root = world.storage(SLAC) / scope
    for name, paths in datasets.items():
        files = [
            {"scope": scope, "name": str(path.relative_to(root)), "bytes": path.stat().st_size, "adler32": adler32(path)}
            for path in paths
        ]
        try:
            client.add_dataset(scope, name)
        except DataIdentifierAlreadyExists:
            continue
        for start in range(0, len(files), CHUNK):
            client.add_replicas(SLAC, files[start : start + CHUNK])
            client.add_files_to_dataset(scope, name, files[start : start + CHUNK])
        if close:
            client.close(scope, name)


def replicate(client: Any, scope: str, names: Iterable[str]) -> None:
    """Add rules for copies at IN2P3, as the standing subscription for raws does in production."""
    from rucio.common.exception import DuplicateRule

    for name in names:
        with contextlib.suppress(DuplicateRule):
            client.add_replication_rule([{"scope": scope, "name": name}], 1, IN2P3, activity="Data Rebalancing")

"""Deliver what rules ask for, as FTS would: real bytes from a source replica, checked, then told to Rucio.

A copy whose checksum or size is not what Rucio recorded is removed and reported as failed, and Rucio marks the rule stuck.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from reconciler.playground.world import World

_LOG = logging.getLogger("reconciler.playground.mover")


def adler32(path: Path) -> str:
    """Compute the checksum that Rucio keeps.

    Parameters
    ----------
    path : `pathlib.Path`
        A file.

    Returns
    -------
    checksum : `str`
        Eight hexadecimal digits.
    """
    value = 1
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            value = zlib.adler32(block, value)
    return f"{value & 0xFFFFFFFF:08x}"


def copy(source: Path, target: Path, replica: dict[str, Any]) -> bool:
    """Copy one file and check it.

    Parameters
    ----------
    source, target : `pathlib.Path`
        From and to.
    replica : `dict`
        What Rucio recorded: ``bytes`` and ``adler32``.

    Returns
    -------
    good : `bool`
        Whether the target is there with the recorded size and checksum.
    """
    partial = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        if partial.stat().st_size == replica["bytes"] and adler32(partial) == replica["adler32"]:
            partial.replace(target)
            return True
        _LOG.warning("%s: not the recorded bytes", source)
    except OSError as error:
        _LOG.warning("%s: %s", source, error)
    partial.unlink(missing_ok=True)
    return False


def deliver(client: Any, world: World) -> dict[str, int]:
    """Move the files of every rule that is not satisfied.

    Parameters
    ----------
    client : `rucio.client.Client`
        With the right to tell Rucio of replicas.
    world : `World`
        Whose RSEs are folders.

    Returns
    -------
    counts : `dict` [`str`, `int`]
        Files ``delivered`` and ``failed``.
    """
    counts = {"delivered": 0, "failed": 0}
    locks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for state in ("R", "S"):
        for rule in client.list_replication_rules({"state": state}):
            for lock in client.list_replica_locks(rule["id"]):
                if lock["state"] != "OK":
                    locks[lock["scope"], lock["name"]].add(lock["rse"])
    wanted = sorted(locks)
    for start in range(0, len(wanted), 500):
        dids = [{"scope": scope, "name": name} for scope, name in wanted[start : start + 500]]
        states: dict[str, list[dict[str, str]]] = defaultdict(list)
        for replica in client.list_replicas(dids):
            key = (replica["scope"], replica["name"])
            sources = [Path(unquote(urlparse(pfns[0]).path)) for pfns in replica["rses"].values()]
            for rse in locks[key]:
                target = world.storage(rse) / key[0] / key[1]
                good = any(copy(source, target, replica) for source in sources)
                counts["delivered" if good else "failed"] += 1
                states[rse].append({"scope": key[0], "name": key[1], "state": "A" if good else "U"})
        for rse, files in states.items():
            client.update_replicas_states(rse, files)
    return counts


def run(world: World, interval: float) -> None:
    """Deliver again and again, as long as the playground is up.

    Parameters
    ----------
    world : `World`
        The playground.
    interval : `float`
        Seconds between rounds.
    """
    from rucio.client import Client

    client = Client(timeout=30)
    while world.record.exists():
        try:
            counts = deliver(client, world)
            if any(counts.values()):
                _LOG.info("%(delivered)d delivered, %(failed)d failed", counts)
        except Exception as error:  # the server may be down for a while on purpose; the next round tries again
            _LOG.warning("round failed: %s", error)
        time.sleep(interval)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ.setdefault("RUCIO_CLIENT_MODE", "1")
    run(World(Path(sys.argv[1])), float(sys.argv[2]))

"""Delivery of the files that replication rules require, as FTS does it: copy from a source replica, check the copy, update Rucio.

A copy whose checksum or size differs from Rucio's record is deleted and reported as failed, and Rucio marks the rule as stuck.
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
    """Return a file's Adler-32 checksum as eight hexadecimal digits, the form that Rucio records."""
    value = 1
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            value = zlib.adler32(block, value)
    return f"{value & 0xFFFFFFFF:08x}"


def copy_checked(source: Path, target: Path, replica: dict[str, Any]) -> bool:
    """Copy a file; return whether the copy has the ``bytes`` and the ``adler32`` that Rucio recorded for the replica.

    If not, or if it can't be copied, that is logged and the target is left as it was.
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


def deliver(client: Any, world: World, scope: str | None = None) -> dict[str, int]:
    """Copy the files of the rules that aren't satisfied, and return the numbers of files ``delivered`` and ``failed``.

    With a `scope`, only rules of DIDs in that scope count.
    """
    counts = {"delivered": 0, "failed": 0}
    locks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for state in ("R", "S"):
        for rule in client.list_replication_rules({"state": state} | ({"scope": scope} if scope else {})):
            for lock in client.list_replica_locks(rule["id"]):
                if lock["state"] != "OK":
                    locks[lock["scope"], lock["name"]].add(lock["rse"])
    locked = sorted(locks)
    for start in range(0, len(locked), 500):
        dids = [{"scope": scope, "name": name} for scope, name in locked[start : start + 500]]
        states: dict[str, list[dict[str, str]]] = defaultdict(list)
        for replica in client.list_replicas(dids):
            key = (replica["scope"], replica["name"])
            sources = [Path(unquote(urlparse(pfns[0]).path)) for pfns in replica["rses"].values()]
            for rse in locks[key]:
                target = world.storage(rse) / key[0] / key[1]
                good = any(copy_checked(source, target, replica) for source in sources)
                counts["delivered" if good else "failed"] += 1
                states[rse].append({"scope": key[0], "name": key[1], "state": "A" if good else "U"})
        for rse, files in states.items():
            client.update_replicas_states(rse, files)
    return counts


def deliver_until_stopped(world: World, interval: float) -> None:
    """Deliver in rounds for as long as the playground's record exists."""
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
    deliver_until_stopped(World(Path(sys.argv[1])), float(sys.argv[2]))

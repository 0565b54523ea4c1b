"""A world of true size: a playground with ccms1 applied, and the rest of the campaign added by SQL.

``python tests/scale/build.py DIR [--factor N] [--like-production]`` builds it unless it exists, and starts its services.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from campaign import BASE, DETECTORS, FURTHER, RAW_BYTES, SHARDS, Exposure, exposures
from rows import Postgres, Sqlite, closing

from reconciler.playground.site import CATALOGS, site_variables
from reconciler.playground.up import down, up
from reconciler.playground.world import IN2P3, SLAC, Sizes, World

ROOT = Path(__file__).parents[2]
BASE_SIZES = Sizes(nights=1, exposures=BASE, shards=14)
SCOPE = "campaign"
"""Scope of the additional Rucio datasets."""
RUCIO_PROCESSES = 2
"""Number of processes of the Rucio server during measurements; servers in production have many."""


def build(world: World, factor: int, *, like_production: bool) -> World:
    """Build a world of ``factor`` campaigns unless it exists, start its services without the file mover, and return it.

    With ``like_production``, the registry is on PostgreSQL and the repository behind WebDAV.
    """
    sizes = Sizes(BASE_SIZES.nights, BASE_SIZES.exposures, BASE_SIZES.shards, like_production)
    fresh = not world.read_record().get("factor")
    rucio_processes = 1 if fresh else RUCIO_PROCESSES
    up(world, sizes, mover=fresh, rucio_processes=rucio_processes, say=lambda text: None)
    if fresh:
        reconcile(world, "apply", "--yes", "--wait", "10m")
        more = list(exposures(factor))
        _butler(world, more)
        _rucio(world, more, factor)
        world.update_record(factor=factor)
        down(world)
        # Without the mover, which would query all rules each second.
        up(world, sizes, mover=False, rucio_processes=RUCIO_PROCESSES, say=lambda text: None)
    _inputs(world, factor)
    return world


def reconcile(world: World, *words: str, state: str = "state/ccms1.toml") -> str:
    """Run a subcommand of the program, with options, on a running world, and return its output."""
    command = [sys.executable, "-m", "reconciler", words[0], state, "--var-file", str(world.site), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | world.environment())
    if done.returncode == 1:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def further(world: World) -> Path:
    """Return the path of the state file of the additional Rucio datasets, which needs no Butler."""
    return world.root / "further.toml"


def _inputs(world: World, factor: int) -> None:
    """Write the input files of an operator: tables, the list of visits, and the site variables with the counts."""
    import tomli_w

    more = list(exposures(factor))
    base = (world.inputs / "dp1_good_visits.txt").read_text().splitlines()
    selected = [
        *(v for v in base if int(v) % 100_000 <= BASE and v.startswith("20241108")),
        *(str(e.id) for e in more if e.is_selected),
    ]
    (world.inputs / "dp1_good_visits.txt").write_text("\n".join(dict.fromkeys(selected)) + "\n")
    for catalog in CATALOGS:
        path = world.inputs / f"{catalog}.ecsv"
        head = [line for line in path.read_text().splitlines() if not line[0].isdigit()]
        path.write_text("\n".join([*head, *(f"{pixel}.fits {pixel}" for pixel in SHARDS)]) + "\n")
    facts = site_variables(world)
    facts["n_raws"] = int(facts["n_raws"]) + sum(len(list(e.detectors)) for e in more)
    facts["n_science_raws"] = int(facts["n_science_raws"]) + sum(len(list(e.detectors)) for e in more if e.is_science)
    facts["n_selected_visits"] = len(selected)
    world.site.write_text(tomli_w.dumps(facts))
    further(world).write_text(
        f'[reconcile]\nversion = 1\n[rucio]\nrse = "{IN2P3}"\n'
        f'[rucio_dataset."{SCOPE}:d{{1..{FURTHER * factor}}}"]\nrules = [{{ rse_expression = "{IN2P3}" }}]\n'
    )


def registry(world: World) -> Sqlite | Postgres:
    """Open the registry's database of a running world; the caller closes it."""
    if world.sizes.like_production:
        return Postgres(str(world.read_record()["postgres"]), "lsstprod", "ccms1")
    return Sqlite(str(world.repository / "gen3.sqlite3"))


def _butler(world: World, more: list[Exposure]) -> None:
    """Add exposures, raws, visits, tags and reference catalog shards to the repository."""
    with closing(registry(world)) as database:
        base = database.row("exposure", "seq_num = 2")
        _records(database, more, base)
        collections = {name: database.row("collection", f"name = '{name}'")["collection_id"] for name in _COLLECTIONS}
        type_of = {name: database.row("dataset_type", f"name = '{name}'") for name in ("raw", *CATALOGS)}
        raw = type_of["raw"]
        tag = database.row(raw["tag_association_table"], f"exposure = {base['id']} and collection_id = {collections[_RAWS]}")
        ids = [(exposure, detector, uuid.uuid4()) for exposure in more for detector in exposure.detectors]
        old = f"20241108/{base['obs_id']}/{base['obs_id']}"
        start = _record_of(database, tag["dataset_id"])["path"].partition(old)[0]

        def paths() -> Iterator[tuple[Any, str]]:
            for exposure, detector, id in ids:
                yield _binary(database, id), f"{start}{exposure.night}/{exposure.name}/{exposure.name}_{DETECTORS[detector]}.fits"

        _datasets(database, tag["dataset_id"], paths)
        columns = ["dataset_id", "exposure", "detector", "collection_id"]
        rows = ((_binary(database, id), e.id, d, collections[_RAWS]) for e, d, id in ids)
        database.add(raw["tag_association_table"], tag, columns, rows)
        tagged = ((_binary(database, id), e.id, d, collections[_SELECTED]) for e, d, id in ids if e.is_selected)
        database.add(raw["tag_association_table"], tag, columns, tagged)
        for catalog in CATALOGS:
            _shards(database, type_of[catalog])
        age(database)
        database.run("analyze")


def age(database: Sqlite | Postgres) -> None:
    """Move the dates of all datasets three days back, so that proofs cover them as they do in a repository that isn't new."""
    table = "dataset" if isinstance(database, Sqlite) else "{schema}.dataset"
    database.run(f"update {table} set ingest_date = ingest_date - {3 * 86_400 * 10**9}")


_RAWS, _SELECTED = "LSSTComCam/raw/all", "LSSTComCam/raw/DP1-RC3/DM-49594"
_COLLECTIONS = (_RAWS, _SELECTED)


def _binary(database: Sqlite | Postgres, id: uuid.UUID) -> Any:
    return id.hex if isinstance(database, Sqlite) else id


def _record_of(database: Sqlite | Postgres, id: Any) -> dict[str, Any]:
    return database.row("file_datastore_records", f"dataset_id = '{id}'")


def _datasets(database: Sqlite | Postgres, template: Any, paths: Any) -> None:
    """Add the rows of datasets to the registry and the datastore records, as copies of those of one dataset."""
    where = f"'{template}'"
    database.add("dataset", database.row("dataset", f"id = {where}"), ["id"], ((id,) for id, _ in paths()))
    location = database.row("dataset_location", f"dataset_id = {where}")
    database.add("dataset_location", location, ["dataset_id"], ((id,) for id, _ in paths()))
    database.add("file_datastore_records", _record_of(database, template), ["dataset_id", "path"], paths())


def _records(database: Sqlite | Postgres, more: list[Exposure], base: dict[str, Any]) -> None:
    """Add the dimension records of exposures and visits."""
    nights = sorted({exposure.night for exposure in more} - {base["day_obs"]})
    database.add("day_obs", database.row("day_obs", f"id = {base['day_obs']}"), ["id"], ((night,) for night in nights))
    group = database.row("group", f"name = '{base['group']}'")
    database.add("group", group, ["name"], ((exposure.name,) for exposure in more))
    columns = ["id", "day_obs", "group", "obs_id", "seq_num", "seq_start", "seq_end", "observation_type", "tracking_ra"]
    database.add(
        "exposure",
        base,
        [*columns, "can_see_sky"],
        (
            (
                e.id,
                e.night,
                e.name,
                e.name,
                e.sequence,
                e.sequence,
                e.sequence,
                kind,
                base["tracking_ra"] if on_sky else None,
                on_sky,
            )
            for e in more
            for kind, on_sky in [("science", True) if e.is_science else ("bias", False)]
        ),
    )
    science = [exposure for exposure in more if exposure.is_science]
    of_base = f"visit = {base['id']}"
    visit = database.row("visit", f"id = {base['id']}")
    rows = ((e.id, e.night, e.name, e.sequence) for e in science)
    database.add("visit", visit, ["id", "day_obs", "name", "seq_num"], rows)
    pairs = ((e.id, e.id) for e in science)
    database.add("visit_definition", database.row("visit_definition", of_base), ["visit", "exposure"], pairs)
    members = ((e.id,) for e in science)
    database.add("visit_system_membership", database.row("visit_system_membership", of_base), ["visit"], members)
    regions = ((e.id, d) for e in science for d in range(9))
    database.add("visit_detector_region", database.row("visit_detector_region", of_base), ["visit", "detector"], regions)


def _shards(database: Sqlite | Postgres, dataset_type: dict[str, Any]) -> None:
    """Add the shards of a reference catalog."""
    table, number = dataset_type["tag_association_table"], dataset_type["id"]
    tag = database.row(table, f"dataset_type_id = {number} and htm7 = {SHARDS[0]}")
    ids = [(pixel, uuid.uuid4()) for pixel in SHARDS[BASE_SIZES.shards :]]
    start = _record_of(database, tag["dataset_id"])["path"].removesuffix(f"{SHARDS[0]}.fits")
    _datasets(database, tag["dataset_id"], lambda: ((_binary(database, id), f"{start}{pixel}.fits") for pixel, id in ids))
    rows = ((_binary(database, id), pixel) for pixel, id in ids)
    database.add(table, tag, ["dataset_id", "htm7"], rows)


def _rucio(world: World, more: list[Exposure], factor: int) -> None:
    """Add the datasets of all nights with their files, and the additional datasets, with rules."""
    with closing(Postgres(str(world.read_record()["postgres"]), "rucio", "dev")) as database:
        assert isinstance(database, Postgres)
        night = "Dataset/LSSTComCam/raw/{}"
        first = database.row("dids", f"name = '{night.format(20241108)}'")
        file = database.row("contents", f"name = '{first['name']}' and child_name like '%.fits'")
        names = [
            (exposure.night, f"{exposure.folder}/{name}")
            for exposure in more
            for name in [*(f"{exposure.name}_{DETECTORS[d]}.fits" for d in exposure.detectors), "_index.json"]
        ]
        of_file = f"name = '{file['child_name']}'"
        columns = ["name", "bytes"]
        database.add("dids", database.row("dids", of_file), columns, ((name, RAW_BYTES) for _, name in names))
        for rse in (SLAC, IN2P3):
            rse_id = database.row("rses", f"rse = '{rse}'")["id"]
            replica = database.row("replicas", f"{of_file} and rse_id = '{rse_id}'")
            database.add("replicas", replica, columns, ((name, RAW_BYTES) for _, name in names))
        rows = ((night.format(day), name, RAW_BYTES) for day, name in names)
        database.add("contents", file, ["name", "child_name", "bytes"], rows)
        lengths = Counter(day for day, _ in names)
        fresh = [(night.format(day), length, length * RAW_BYTES) for day, length in lengths.items() if day != 20241108]
        database.add("dids", first, ["name", "length", "bytes"], fresh)
        grown = first["length"] + lengths[20241108], first["bytes"] + lengths[20241108] * RAW_BYTES
        database.run(f"update {{schema}}.dids set length = {grown[0]}, bytes = {grown[1]} where name = '{first['name']}'")
        rule = database.row("rules", f"name = '{first['name']}'")
        columns = ["id", "name", "locks_ok_cnt"]
        database.add("rules", rule, columns, ((uuid.uuid4(), name, length) for name, length, _ in fresh))
        scope = database.row("scopes", "scope = 'raw'")
        database.add("scopes", scope, ["scope"], [(SCOPE,)])
        lots = [f"d{number}" for number in range(1, FURTHER * factor + 1)]
        database.add("dids", first, ["scope", "name", "length"], ((SCOPE, name, 3) for name in lots))
        database.add("rules", rule, ["id", "scope", "name", "locks_ok_cnt"], ((uuid.uuid4(), SCOPE, name, 3) for name in lots))
        database.run("analyze")


def main() -> None:
    """Build a world, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--factor", type=int, default=1)
    parser.add_argument("--like-production", action="store_true")
    asked = parser.parse_args()
    begun = time.monotonic()
    build(World(asked.folder.resolve()), asked.factor, like_production=asked.like_production)
    print(f"built in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()

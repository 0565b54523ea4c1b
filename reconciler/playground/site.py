"""Files that a playground provides to its user: site.toml, env.sh, and the input files that the procedure mentions."""

from __future__ import annotations

import shlex
from pathlib import Path

import tomli_w

from reconciler.playground.campaign import select_visits
from reconciler.playground.processes import write_private
from reconciler.playground.world import IN2P3, SLAC, World

FIRST_SHARD = 131_072
CATALOGS = ("the_monster_20240904", "the_monster_20250219")
CATALOG_PARTS = 14


def list_shards(world: World) -> list[int]:
    """Return the htm7 pixels of a reference catalog's shards."""
    return list(range(FIRST_SHARD, FIRST_SHARD + world.sizes.shards))


def write_catalogs(world: World) -> dict[str, list[Path]]:
    """Write the files of both reference catalogs at SLAC, and their tables.

    Returns the files by the name of their Rucio dataset: one dataset for the first catalog, fourteen for the second.
    """
    datasets: dict[str, list[Path]] = {}
    world.inputs.mkdir(parents=True, exist_ok=True)
    for catalog in CATALOGS:
        folder = world.storage(SLAC) / "raw" / "refcats" / catalog
        folder.mkdir(parents=True, exist_ok=True)
        table = ["# %ECSV 1.0", "# ---", "# datatype:", "# - {name: filename, datatype: string}"]
        table += ["# - {name: htm7, datatype: int64}", "# schema: astropy-2.0", "filename htm7"]
        for number, pixel in enumerate(list_shards(world)):
            file = folder / f"{pixel}.fits"
            file.write_bytes(f"made-up stars of {catalog} in {pixel}\n".encode() * 10)
            table.append(f"{pixel}.fits {pixel}")
            part = f"the_monster_20240219_{number % CATALOG_PARTS + 1}" if catalog == CATALOGS[1] else catalog
            datasets.setdefault(f"Dataset/refcats/{part}", []).append(file)
        (world.inputs / f"{catalog}.ecsv").write_text("\n".join(table) + "\n")
    return datasets


def seed_config(world: World, name: str) -> str:
    """Return the seed configuration of a repository as YAML."""
    facts = world.read_record()
    if world.sizes.like_production:
        registry = f"  db: postgresql://postgres@/lsstprod?host={facts['postgres']}\n  namespace: {name}\n"
    else:
        registry = f"  db: sqlite:///{world.repository_named(name)}/gen3.sqlite3\n"
    root = repository_uri(world, name)
    return f'datastore:\n  name: "{name}"\n  root: "{root}"\nregistry:\n{registry}'


def write_seed(world: World, name: str) -> None:
    """Write the seed configuration of a repository, and create the folder of its registry if that is a file."""
    folder = world.repository_named(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not world.sizes.like_production:
        folder.mkdir(exist_ok=True)
    seed_path(world, name).write_text(seed_config(world, name))


def seed_path(world: World, name: str) -> Path:
    """Return the path of the seed configuration of a repository."""
    return world.inputs / f"butler-seed_{name}.yaml"


def repository_uri(world: World, name: str = "ccms1") -> str:
    """Return the URI of a repository to build: a path, or a ``dav://`` URL."""
    if world.sizes.like_production:
        return f"dav://127.0.0.1:{world.read_record()['webdav_port']}/butler/{name}"
    return str(world.repository_named(name))


def storage_uri(world: World) -> str:
    """Return the URI of the storage at IN2P3: a path, or a ``dav://`` URL."""
    if world.sizes.like_production:
        return f"dav://127.0.0.1:{world.read_record()['webdav_port']}/storage/{IN2P3}"
    return str(world.storage(IN2P3))


def write_inputs(world: World) -> None:
    """Write the repositories' seeds, the sky map's configuration, the list of visits and the configuration of rucio-register."""
    world.inputs.mkdir(parents=True, exist_ok=True)
    write_seed(world, "ccms1")
    if world.sizes.lsstcam_nights:
        write_seed(world, "lsstcam")
    (world.inputs / "lsst_cells_v1.skymap.config").write_text(
        'config.name = "lsst_cells_v1"\nconfig.skyMap = "rings"\nconfig.skyMap["rings"].numRings = 3\n'
    )
    visits = select_visits(world.sizes)
    (world.inputs / "dp1_good_visits.txt").write_text("".join(f"{visit}\n" for visit in visits))
    slac = world.storage(SLAC)
    (world.inputs / "main-calib-config.yaml").write_text(
        f"rucio_rse: {SLAC}\nscope: ancillary\nrse_root: {slac}\ndtn_url: file://localhost{slac}\n"
    )


def site_variables(world: World) -> dict[str, str | int]:
    """Return the content of ``site.toml``: variables that make ``state/ccms1.toml`` describe this playground."""
    from reconciler.playground.campaign import list_exposures

    everything = list(list_exposures(world.sizes))
    return {
        "repo": repository_uri(world),
        "data": storage_uri(world),
        "seed": str(seed_path(world, "ccms1")),
        "main_repo": str(world.usdf),
        "register_config": str(world.inputs / "main-calib-config.yaml"),
        "skymap_config": str(world.inputs / "lsst_cells_v1.skymap.config"),
        "exports": str(world.inputs),
        "tables": str(world.inputs),
        "good_visits": str(world.inputs / "dp1_good_visits.txt"),
        "n_raws": sum(len(exposure.detectors) for exposure in everything),
        "n_science_raws": sum(len(exposure.detectors) for exposure in everything if exposure.is_science),
        "n_selected_visits": len(select_visits(world.sizes)),
    }


def lsstcam_variables(world: World) -> dict[str, str]:
    """Return the content of ``site-lsstcam.toml``: variables that make ``state/lsstcam-raw.toml`` describe this playground."""
    return {
        "repo": repository_uri(world, "lsstcam"),
        "seed": str(seed_path(world, "lsstcam")),
        "data": storage_uri(world),
    }


def write_site(world: World) -> None:
    """Write ``site.toml``, ``env.sh`` and, if there are nights of LSSTCam, ``site-lsstcam.toml``."""
    world.site.write_text(tomli_w.dumps(site_variables(world)))
    if world.sizes.lsstcam_nights:
        world.lsstcam_site.write_text(tomli_w.dumps(lsstcam_variables(world)))
    lines = ["# source this: then butler and rucio mean this playground"]
    for name, value in world.environment().items():
        lines.append(f"export {name}={shlex.quote(value)}")
    lines += [f"export REPO={shlex.quote(repository_uri(world))}", f"export PLAYGROUND={shlex.quote(str(world.root))}"]
    write_private(world.environment_file, "\n".join(lines) + "\n")

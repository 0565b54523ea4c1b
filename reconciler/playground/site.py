"""What an operator of the playground is handed: the var-file, the environment, and the inputs that the note only names."""

from __future__ import annotations

import shlex
from pathlib import Path

import tomli_w

from reconciler.playground.campaign import selected
from reconciler.playground.processes import write_private
from reconciler.playground.world import IN2P3, SLAC, World

FIRST_SHARD = 131_072
CATALOGS = ("the_monster_20240904", "the_monster_20250219")
CATALOG_PARTS = 14


def shards(world: World) -> list[int]:
    """Name the shards of a reference catalog.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    pixels : `list` [`int`]
        htm7 pixels.
    """
    return list(range(FIRST_SHARD, FIRST_SHARD + world.sizes.shards))


def write_catalogs(world: World) -> dict[str, list[Path]]:
    """Write the files of both reference catalogs at SLAC, and their tables.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    datasets : `dict`
        Files by the name of their Rucio dataset: one for the first catalog, fourteen for the second.
    """
    datasets: dict[str, list[Path]] = {}
    world.inputs.mkdir(parents=True, exist_ok=True)
    for catalog in CATALOGS:
        folder = world.storage(SLAC) / "raw" / "refcats" / catalog
        folder.mkdir(parents=True, exist_ok=True)
        table = ["# %ECSV 1.0", "# ---", "# datatype:", "# - {name: filename, datatype: string}"]
        table += ["# - {name: htm7, datatype: int64}", "# schema: astropy-2.0", "filename htm7"]
        for number, pixel in enumerate(shards(world)):
            file = folder / f"{pixel}.fits"
            file.write_bytes(f"made-up stars of {catalog} in {pixel}\n".encode() * 10)
            table.append(f"{pixel}.fits {pixel}")
            part = f"the_monster_20240219_{number % CATALOG_PARTS + 1}" if catalog == CATALOGS[1] else catalog
            datasets.setdefault(f"Dataset/refcats/{part}", []).append(file)
        (world.inputs / f"{catalog}.ecsv").write_text("\n".join(table) + "\n")
    return datasets


def seed(world: World) -> str:
    """Write the seed configuration of the repository.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    text : `str`
        YAML.
    """
    facts = world.recall()
    if world.sizes.like_production:
        registry = f"  db: postgresql://postgres@/lsstprod?host={facts['postgres']}\n  namespace: ccms1\n"
    else:
        registry = f"  db: sqlite:///{world.repository}/gen3.sqlite3\n"
    root = repository_uri(world)
    return f'datastore:\n  name: "ccms1"\n  root: "{root}"\nregistry:\n{registry}'


def repository_uri(world: World) -> str:
    """Say where the repository is to be.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    uri : `str`
        A path, or a ``dav://`` address.
    """
    if world.sizes.like_production:
        return f"dav://127.0.0.1:{world.recall()['webdav_port']}/butler/ccms1"
    return str(world.repository)


def write_inputs(world: World) -> None:
    """Write the seed, the skymap's configuration, the list of visits and the configuration of rucio-register.

    Parameters
    ----------
    world : `World`
        The playground.
    """
    world.inputs.mkdir(parents=True, exist_ok=True)
    world.repository.parent.mkdir(parents=True, exist_ok=True)
    if not world.sizes.like_production:
        world.repository.mkdir(exist_ok=True)
    (world.inputs / "butler-seed_ccms1.yaml").write_text(seed(world))
    (world.inputs / "lsst_cells_v1.skymap.config").write_text(
        'config.name = "lsst_cells_v1"\nconfig.skyMap = "rings"\nconfig.skyMap["rings"].numRings = 3\n'
    )
    visits = selected(world.sizes)
    (world.inputs / "dp1_good_visits.txt").write_text("".join(f"{visit}\n" for visit in visits))
    slac = world.storage(SLAC)
    (world.inputs / "main-calib-config.yaml").write_text(
        f"rucio_rse: {SLAC}\nscope: ancillary\nrse_root: {slac}\ndtn_url: file://localhost{slac}\n"
    )


def variables(world: World) -> dict[str, str | int]:
    """Give the variables that point ``state/ccms1.toml`` at this world.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    variables : `dict`
        The flat table of ``site.toml``.
    """
    from reconciler.playground.campaign import exposures

    facts = world.recall()
    data = str(world.storage(IN2P3))
    if world.sizes.like_production:
        data = f"dav://127.0.0.1:{facts['webdav_port']}/storage/{IN2P3}"
    everything = list(exposures(world.sizes))
    return {
        "repo": repository_uri(world),
        "data": data,
        "seed": str(world.inputs / "butler-seed_ccms1.yaml"),
        "main_repo": str(world.usdf),
        "register_config": str(world.inputs / "main-calib-config.yaml"),
        "skymap_config": str(world.inputs / "lsst_cells_v1.skymap.config"),
        "exports": str(world.inputs),
        "tables": str(world.inputs),
        "good_visits": str(world.inputs / "dp1_good_visits.txt"),
        "n_raws": sum(len(exposure.detectors) for exposure in everything),
        "n_science_raws": sum(len(exposure.detectors) for exposure in everything if exposure.is_science),
        "n_selected_visits": len(selected(world.sizes)),
    }


def write_site(world: World) -> None:
    """Write ``site.toml`` and ``env.sh``.

    Parameters
    ----------
    world : `World`
        The playground.
    """
    world.site.write_text(tomli_w.dumps(variables(world)))
    lines = ["# source this: then butler and rucio mean this playground"]
    for name, value in world.environment().items():
        lines.append(f"export {name}={shlex.quote(value)}")
    lines += [f"export REPO={shlex.quote(repository_uri(world))}", f"export PLAYGROUND={shlex.quote(str(world.root))}"]
    write_private(world.environment_file, "\n".join(lines) + "\n")

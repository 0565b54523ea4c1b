"""Start and stop a playground.

Each step of `up` leaves alone what exists, so running it again after a crash completes the playground.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from reconciler.playground import campaign, catalog, lsstcam, processes, services, site
from reconciler.playground.lsstcam_exposures import list_exposures
from reconciler.playground.world import INSTRUMENT, SLAC, Sizes, World


def up(world: World, sizes: Sizes, *, mover: bool = True, rucio_processes: int = 1, say: Callable[[str], None] = print) -> None:
    """Create the playground if necessary, and start its services.

    Parameters
    ----------
    world : `World`
        The playground's folder.
    sizes : `Sizes`
        Amount of data to create. An existing playground keeps its sizes.
    mover : `bool`
        Whether a background process delivers files as rules require.
    rucio_processes : `int`
        Number of processes of the Rucio server.
    say : callable
        Called with a line of text before each slow step.

    Raises
    ------
    reconciler.playground.processes.PlaygroundError
        If a service doesn't start.
    """
    for folder in (world.root, world.logs, world.inputs):
        folder.mkdir(parents=True, exist_ok=True)
    if not world.read_record().get("sizes"):
        world.set_sizes(sizes)
    os.environ.update(world.environment())
    if world.read_record().get("complete"):
        start_services(world, rucio_processes, say)
    else:
        create_data(world, rucio_processes, say)
    if mover and not processes.is_running(world, "mover"):
        services.start_mover(world)
    site.write_site(world)


def create_data(world: World, rucio_processes: int, say: Callable[[str], None]) -> None:
    """Create the data while the services start, and register it in Rucio.

    Raises
    ------
    reconciler.playground.processes.PlaygroundError
        If a service doesn't start, or a repository of USDF can't be created.
    """
    sizes = world.sizes
    say(f"creating {sizes.nights} nights of {sizes.exposures} exposures, {sizes.shards} shards of each reference catalog …")
    zipped = list_exposures(world)
    if zipped:
        say(f"creating {sizes.lsstcam_nights} nights of {sizes.lsstcam_exposures} exposures of LSSTCam …")
    with ThreadPoolExecutor() as beside:
        raws = beside.submit(write_raws, world)
        usdf = beside.submit(build_repository, world, "usdf", after=raws)
        zips = beside.submit(build_repository, world, "embargo") if zipped else None
        start_services(world, rucio_processes, say)
        register_files(world, raws.result())
        if zips:
            zips.result()
            lsstcam.register(catalog.connect(world), world, zipped)
        usdf.result()
    world.update_record(complete=True)


def start_services(world: World, rucio_processes: int, say: Callable[[str], None]) -> None:
    """Start what doesn't run yet of PostgreSQL, the Rucio server and, with `like_production`, WebDAV."""
    say("starting PostgreSQL …")
    services.start_postgres(world)
    if not processes.is_running(world, "rucio-server"):
        say("starting Rucio …")
        services.start_rucio(world, rucio_processes, say)
    if world.sizes.like_production and not processes.is_running(world, "webdav"):
        say("starting WebDAV …")
        services.start_webdav(world)


def write_raws(world: World) -> dict[str, list[Path]]:
    """Write the raws and their index files at SLAC, and return their paths by the name of their Rucio dataset."""
    by_night: dict[str, list[Path]] = {}
    for exposure in campaign.list_exposures(world.sizes):
        files = campaign.write_exposure(world.storage(SLAC) / "raw" / INSTRUMENT, exposure)
        by_night.setdefault(f"Dataset/{INSTRUMENT}/raw/{exposure.night}", []).extend(files)
    return by_night


def build_repository(world: World, module: str, after: Future[Any] | None = None) -> None:
    """Create a repository of USDF in a process of its own: ``usdf`` from the raws at SLAC, or ``embargo`` with its zips.

    Parameters
    ----------
    world : `World`
        The playground.
    module : `str`
        Name of the module that creates it.
    after : `concurrent.futures.Future`, optional
        What must be done first.

    Raises
    ------
    reconciler.playground.processes.PlaygroundError
        If it can't be created.
    """
    if after is not None:
        after.result()
    built = subprocess.run(
        [sys.executable, "-m", f"reconciler.playground.{module}", str(world.root)],
        env=os.environ | world.environment(),
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise processes.PlaygroundError(f"USDF's repository ({module}) could not be created\n{built.stderr[-2000:]}")


def register_files(world: World, raws: dict[str, list[Path]]) -> None:
    """Register the raws and the shards of the reference catalogs in Rucio, and write the inputs of the procedure."""
    client = catalog.connect(world)
    catalog.create_rses_and_scopes(client, world)
    catalog.register(client, world, "raw", raws, close=True)
    catalog.register(client, world, "raw", site.write_catalogs(world), close=True)
    catalog.replicate(client, "raw", raws)
    site.write_inputs(world)


def down(world: World) -> list[str]:
    """Stop the services, and return the names of those that were running; the data stays."""
    return processes.stop_all(world)

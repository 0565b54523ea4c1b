"""Start and stop a playground.

Each step of `up` leaves alone what exists, so running it again after a crash completes the playground.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from reconciler.playground import campaign, catalog, processes, services, site
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
    sizes = world.sizes
    os.environ.update(world.environment())
    say("starting PostgreSQL …")
    services.start_postgres(world)
    if not processes.is_running(world, "rucio-server"):
        say("starting Rucio …")
        services.start_rucio(world, rucio_processes, say)
    if sizes.like_production and not processes.is_running(world, "webdav"):
        say("starting WebDAV …")
        services.start_webdav(world)
    if not world.read_record().get("complete"):
        create_data(world, sizes, say)
    if mover and not processes.is_running(world, "mover"):
        services.start_mover(world)
    site.write_site(world)


def create_data(world: World, sizes: Sizes, say: Callable[[str], None]) -> None:
    """Create the data and register it in Rucio.

    Raises
    ------
    reconciler.playground.processes.PlaygroundError
        If USDF's repository can't be created.
    """
    client = catalog.connect(world)
    catalog.create_rses_and_scopes(client, world)
    say(f"creating {sizes.nights} nights of {sizes.exposures} exposures, {sizes.shards} shards of each reference catalog …")
    by_night: dict[str, list[Path]] = {}
    for exposure in campaign.list_exposures(sizes):
        files = campaign.write_exposure(world.storage(SLAC) / "raw" / INSTRUMENT, exposure)
        by_night.setdefault(f"Dataset/{INSTRUMENT}/raw/{exposure.night}", []).extend(files)
    catalog.register(client, world, "raw", by_night, close=True)
    catalog.register(client, world, "raw", site.write_catalogs(world), close=True)
    catalog.replicate(client, "raw", by_night)
    site.write_inputs(world)
    say("creating the repository of USDF …")
    built = subprocess.run(
        [sys.executable, "-m", "reconciler.playground.usdf", str(world.root)],
        env=os.environ | world.environment(),
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise processes.PlaygroundError(f"USDF's repository could not be created\n{built.stderr[-2000:]}")
    world.update_record(complete=True)


def down(world: World) -> list[str]:
    """Stop the services, and return the names of those that were running; the data stays."""
    return processes.stop_all(world)

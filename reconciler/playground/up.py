"""Put a playground up, step by step; each step leaves alone what is there, so `up` after a crash completes the world."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from reconciler.playground import campaign, catalog, processes, services, site
from reconciler.playground.world import INSTRUMENT, SLAC, Sizes, World


def up(world: World, sizes: Sizes, *, mover: bool = True, answering: int = 1, say: Callable[[str], None] = print) -> None:
    """Make the world and start its services.

    Parameters
    ----------
    world : `World`
        Where.
    sizes : `Sizes`
        How large; the sizes of an existing world stay as they are.
    mover : `bool`
        Whether files that rules ask for are delivered in the background.
    answering : `int`
        Processes of the Rucio server.
    say : callable
        Told what is being done.

    Raises
    ------
    reconciler.playground.processes.PlaygroundError
        If a service does not come up.
    """
    for folder in (world.root, world.logs, world.inputs):
        folder.mkdir(parents=True, exist_ok=True)
    if not world.recall().get("sizes"):
        world.set_sizes(sizes)
    sizes = world.sizes
    os.environ.update(world.environment())
    say("PostgreSQL …")
    services.start_postgres(world)
    if not processes.is_running(world, "rucio-server"):
        say("Rucio …")
        services.start_rucio(world, answering, say)
    if sizes.like_production and not processes.is_running(world, "webdav"):
        say("WebDAV …")
        services.start_webdav(world)
    if not world.recall().get("complete"):
        fill(world, sizes, say)
    if mover and not processes.is_running(world, "mover"):
        services.start_mover(world)
    site.write_site(world)


def fill(world: World, sizes: Sizes, say: Callable[[str], None]) -> None:
    """Make the data and register it.

    Parameters
    ----------
    world : `World`
        With its services running.
    sizes : `Sizes`
        How large.
    say : callable
        Told what is being done.

    Raises
    ------
    reconciler.playground.processes.PlaygroundError
        If USDF's repository can't be made.
    """
    client = catalog.connect(world)
    catalog.found(client, world)
    say(f"{sizes.nights} nights of {sizes.exposures} exposures, {sizes.shards} shards of each reference catalog …")
    by_night: dict[str, list[Path]] = {}
    for exposure in campaign.exposures(sizes):
        files = campaign.write(world.storage(SLAC) / "raw" / INSTRUMENT, exposure)
        by_night.setdefault(f"Dataset/{INSTRUMENT}/raw/{exposure.night}", []).extend(files)
    catalog.register(client, world, "raw", by_night, close=True)
    catalog.register(client, world, "raw", site.write_catalogs(world), close=True)
    catalog.replicate(client, "raw", by_night)
    site.write_inputs(world)
    say("the repository of USDF …")
    built = subprocess.run(
        [sys.executable, "-m", "reconciler.playground.usdf", str(world.root)],
        env=os.environ | world.environment(),
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise processes.PlaygroundError(f"USDF's repository could not be made\n{built.stderr[-2000:]}")
    world.remember(complete=True)


def down(world: World) -> list[str]:
    """Stop what `up` started; the data stays.

    Parameters
    ----------
    world : `World`
        Where.

    Returns
    -------
    stopped : `list` [`str`]
        Names of the services that were running.
    """
    return processes.stop(world)

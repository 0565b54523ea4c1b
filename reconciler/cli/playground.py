"""``reconcile playground``: start, fill, inspect and stop an embedded Rucio server with Butler repositories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.console import DIFFERENCES, IN_SYNC, handle_errors
from reconciler.errors import ReconcileError

if TYPE_CHECKING:
    from reconciler.playground.world import World

EXISTING_DIRECTORY = click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))


@click.group()
def playground() -> None:
    """Try reconcile with an embedded Rucio server and made-up data."""


@playground.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--nights", default=3, show_default=True, type=click.IntRange(1), help="Number of nights of raws.")
@click.option("--exposures", default=12, show_default=True, type=click.IntRange(1), help="Exposures per night.")
@click.option(
    "--shards", default=28, show_default=True, type=click.IntRange(1, 131072), help="Number of files of each reference catalog."
)
@click.option("--lsstcam-nights", default=0, show_default=True, type=click.IntRange(0), help="Number of nights of LSSTCam.")
@click.option("--lsstcam-exposures", default=4, show_default=True, type=click.IntRange(1), help="Exposures per night of LSSTCam.")
@click.option(
    "--lsstcam-detectors", default=9, show_default=True, type=click.IntRange(1, 189), help="Raws per exposure of LSSTCam."
)
@click.option("--like-production", is_flag=True, help="Use a PostgreSQL registry, and serve files by WebDAV.")
@click.option(
    "--mover/--no-mover", default=True, show_default=True, help="Copy files in the background as replication rules require."
)
@handle_errors
def up(directory: Path, mover: bool, **sizes: Any) -> int:
    """Create a playground in DIRECTORY, or restart the one that exists there."""
    from reconciler.playground.processes import PlaygroundError
    from reconciler.playground.up import up as start_playground
    from reconciler.playground.world import Sizes

    world = _open_world(directory)
    try:
        start_playground(world, Sizes(**sizes), mover=mover, say=click.echo)
    except ImportError as error:
        raise ReconcileError(str(error), ("pip install 'rubin-reconciler[playground]'",)) from error
    except PlaygroundError as error:
        text, *printed = str(error).splitlines()
        raise ReconcileError(text, tuple(printed)) from error
    click.echo(
        f"The playground is up. For butler and rucio:  . {world.environment_file}\nFor reconcile:  --var-file {world.site}"
    )
    if world.sizes.lsstcam_nights:
        click.echo(f"For reconcile with the nights of LSSTCam:  --var-file {world.lsstcam_site}")
    return IN_SYNC


@playground.command()
@EXISTING_DIRECTORY
@handle_errors
def down(directory: Path) -> int:
    """Stop the services that `up` started; the data stays."""
    from reconciler.playground.up import down as stop_playground

    stopped = stop_playground(_open_world(directory))
    click.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    return IN_SYNC


@playground.command()
@EXISTING_DIRECTORY
@handle_errors
def deliver(directory: Path) -> int:
    """Copy now the files that replication rules require."""
    import os

    from reconciler.playground import catalog, mover

    world = _open_world(directory)
    os.environ.update(world.environment())
    counts = mover.deliver(catalog.connect(world), world)
    click.echo(f"{counts['delivered']} files delivered, {counts['failed']} failed")
    return DIFFERENCES if counts["failed"] else IN_SYNC


@playground.command()
@EXISTING_DIRECTORY
@handle_errors
def status(directory: Path) -> int:
    """List the services and whether they run."""
    from reconciler.playground import processes

    world = _open_world(directory)
    names = world.read_record().get("processes", {})
    for name in names:
        click.echo(f"{name:<14} {'running' if processes.is_running(world, name) else 'not running'}")
    if not names:
        click.echo("nothing was started here")
    return IN_SYNC


def _open_world(directory: Path) -> World:
    from reconciler.playground.world import World

    return World(directory.resolve())

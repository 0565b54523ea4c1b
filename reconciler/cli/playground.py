"""``reconcile playground``: put a world up, look at it, deliver in it, put it down."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import guarded
from reconciler.errors import ReconcileError


@click.group()
def playground() -> None:
    """An embedded world to try things in: a real Rucio server, real repositories, made-up data."""


@playground.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--nights", default=3, show_default=True, type=click.IntRange(1), help="Nights of raws.")
@click.option("--exposures", default=12, show_default=True, type=click.IntRange(1), help="Exposures a night.")
@click.option("--shards", default=28, show_default=True, type=click.IntRange(1, 131072), help="Files of each reference catalog.")
@click.option("--like-production", is_flag=True, help="Registry on PostgreSQL, files behind WebDAV.")
@click.option("--mover/--no-mover", default=True, show_default=True, help="Deliver in the background what rules ask for.")
@guarded
def up(directory: Path, nights: int, exposures: int, shards: int, like_production: bool, mover: bool) -> int:
    """Make a world in DIRECTORY, or start again the one that is there."""
    from reconciler.playground.processes import PlaygroundError
    from reconciler.playground.up import up as put_up
    from reconciler.playground.world import Sizes, World

    world = World(directory.resolve())
    try:
        put_up(world, Sizes(nights, exposures, shards, like_production), mover=mover, say=click.echo)
    except (PlaygroundError, ImportError) as error:
        raise ReconcileError(str(error), ("the playground needs pip install 'rubin-reconciler[playground]'",)) from error
    click.echo(f"up. For butler and rucio:  . {world.environment_file}\nFor reconcile:  --var-file {world.site}")
    return 0


@playground.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@guarded
def down(directory: Path) -> int:
    """Stop what `up` started; the data stays."""
    from reconciler.playground.up import down as put_down
    from reconciler.playground.world import World

    stopped = put_down(World(directory.resolve()))
    click.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    return 0


@playground.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@guarded
def deliver(directory: Path) -> int:
    """Move now what replication rules ask for."""
    import os

    from reconciler.playground import catalog, mover
    from reconciler.playground.world import World

    world = World(directory.resolve())
    os.environ.update(world.environment())
    counts = mover.deliver(catalog.connect(world), world)
    click.echo(f"{counts['delivered']} files delivered, {counts['failed']} failed")
    return 2 if counts["failed"] else 0


@playground.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@guarded
def status(directory: Path) -> int:
    """Say what runs."""
    from reconciler.playground import processes
    from reconciler.playground.world import World

    world = World(directory.resolve())
    names = world.recall().get("processes", {})
    for name in names:
        click.echo(f"{name:<14} {'running' if processes.is_running(world, name) else 'not running'}")
    if not names:
        click.echo("nothing was started here")
    return 0

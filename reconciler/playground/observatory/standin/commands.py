"""The `butler` subcommands of obs_base and pipe_tasks, with the options that theirs have."""

from __future__ import annotations

import re
from typing import Any

import click
from lsst.daf.butler import Butler
from lsst.daf.butler.cli.opt import (
    config_file_option,
    config_option,
    locations_argument,
    options_file_option,
    processes_option,
    regex_option,
    repo_argument,
    run_option,
    transfer_option,
    where_option,
)
from lsst.daf.butler.cli.utils import ButlerCommand, split_commas, typeStrAcceptsMultiple
from lsst.pipe.base import Instrument
from lsst.pipe.base.cli.opt import instrument_argument
from lsst.resources import ResourcePath

__all__ = ["define_visits", "ingest_raws", "register_skymap", "write_curated_calibrations"]


@click.command(short_help="Ingest raw frames.", cls=ButlerCommand)
@repo_argument(required=True)
@locations_argument(help="Files to ingest, or folders to search for files.", required=True)
@regex_option(default=r"\.fit[s]?\b", help="Which files of a folder are raws.")
@config_option(metavar="TEXT=TEXT", multiple=True)
@config_file_option(type=click.Path(exists=True, writable=False, file_okay=True, dir_okay=False))
@run_option(required=False)
@transfer_option()
@processes_option(help="Number of workers to use.")
@click.option("--ingest-task", default="lsst.obs.base.RawIngestTask", help="Ignored by the stand-in.")
@click.option("--track-file-attrs/--no-track-file-attrs", default=True, help="Record sizes.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first bad file; the stand-in always does.")
@click.option("--update-records/--no-update-records", default=False, help="Ignored by the stand-in.")
@click.option("--skip-existing/--no-skip-existing", default=True, help="Leave out raws that are there already.")
@click.option("--search-indexes/--no-search-indexes", default=True, help="Look for index files.")
@options_file_option()
def ingest_raws(**options: Any) -> None:
    """Ingest raw frames into the butler registry."""
    from standin.ingest import ingest

    butler = Butler.from_config(options["repo"], writeable=True)
    count = ingest(
        butler,
        options["locations"],
        regex=options["regex"],
        run=options["output_run"],
        transfer=options["transfer"],
        skip_existing=options["skip_existing"],
        search_indexes=options["search_indexes"],
        track_file_attrs=options["track_file_attrs"],
    )
    click.echo(f"{count} raws ingested")


@click.command(short_help="Define visits from exposures.", cls=ButlerCommand)
@repo_argument(required=True)
@instrument_argument(required=True)
@config_file_option(help="Ignored by the stand-in.")
@click.option("--collections", multiple=True, callback=split_commas, metavar=typeStrAcceptsMultiple)
@where_option()
@click.option("--update-records/--no-update-records", default=False)
@click.option("--incremental/--no-incremental", default=False)
@click.option("--skip-conflicting/--no-skip-conflicting", default=False)
@options_file_option()
def define_visits(**options: Any) -> None:
    """Define visits from exposures in the butler registry."""
    from standin.visits import define_visits as define

    butler = Butler.from_config(options["repo"], writeable=True)
    count = define(butler, options["where"], options["update_records"] or options["incremental"])
    click.echo(f"{count} visits defined")


@click.command(short_help="Add an instrument's curated calibrations.", cls=ButlerCommand)
@repo_argument(required=True)
@instrument_argument(required=True)
@click.argument("labels_arg", metavar="LABELS ...", nargs=-1, callback=split_commas)
@click.option("--collection", required=False)
@click.option("--label", "labels", multiple=True)
@click.option("--prefix", required=False)
@options_file_option()
def write_curated_calibrations(**options: Any) -> None:
    """Add an instrument's curated calibrations to the data repository."""
    from standin.calibrations import write

    butler = Butler.from_config(options["repo"], writeable=True)
    instrument = Instrument.from_string(options["instrument"], butler.registry)
    labels = [*options["labels_arg"], *options["labels"]]
    write(butler, instrument, options["collection"], labels, options["prefix"])


@click.command(cls=ButlerCommand)
@repo_argument(required=True)
@config_option()
@config_file_option(help="URI to a config file overrides file.")
@options_file_option()
def register_skymap(**options: Any) -> None:
    """Make a SkyMap and add it to a repository."""
    from standin.skymap import BaseSkyMap

    text = ResourcePath(options["config_file"]).read().decode()
    name = re.search(r"^config\.name\s*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    rings = re.search(r"numRings\s*=\s*(\d+)", text)
    if name is None:
        raise click.ClickException(f"{options['config_file']} sets no config.name")
    butler = Butler.from_config(options["repo"], writeable=True)
    BaseSkyMap(int(rings[1]) if rings else 3, 2).register(name[1], butler)

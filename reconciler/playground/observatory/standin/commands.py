"""The `butler` subcommands of obs_base and pipe_tasks, with the options that theirs have in the release that is played."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
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

from standin.release import Release, current_release


def _compose(callback: Callable[..., None], *decorators: Callable[[Any], Any] | bool, **settings: Any) -> click.Command:
    """Make a command of a function and its options; those that the release lacks are False."""
    for decorator in reversed(decorators):
        if not isinstance(decorator, bool):
            callback = decorator(callback)
    command: click.Command = click.command(cls=ButlerCommand, **settings)(callback)
    return command


def _make_ingest_raws(release: Release) -> click.Command:
    return _compose(
        _ingest_raws,
        repo_argument(required=True),
        locations_argument(help="Files to ingest, or folders to search for files.", required=True),
        regex_option(default=r"\.fit[s]?\b", help="Which files of a folder are raws."),
        config_option(metavar="TEXT=TEXT", multiple=True),
        config_file_option(type=click.Path(exists=True, writable=False, file_okay=True, dir_okay=False)),
        run_option(required=False),
        transfer_option(),
        processes_option(help="Number of workers to use."),
        click.option("--ingest-task", default="lsst.obs.base.RawIngestTask", help="Class of the task."),
        click.option("--track-file-attrs/--no-track-file-attrs", default=True, help="Record sizes."),
        click.option("--fail-fast", is_flag=True, help="Stop at the first problem."),
        click.option("--update-records/--no-update-records", default=False, help="Update exposures that differ."),
        release.skips_existing
        and click.option("--skip-existing/--no-skip-existing", default=True, help="Leave out raws that are there already."),
        release.skips_indexes
        and click.option("--search-indexes/--no-search-indexes", default=True, help="Look for index files."),
        options_file_option(),
        name="ingest-raws",
        short_help="Ingest raw frames.",
    )


def _ingest_raws(**options: Any) -> None:
    """Ingest raw frames into the butler registry."""
    from lsst.pipe.base.configOverrides import ConfigOverrides
    from lsst.utils import doImportType

    task: Any = doImportType(options["ingest_task"])
    config = task.ConfigClass()
    config.transfer = options["transfer"]
    overrides = ConfigOverrides()
    if options["config_file"]:
        overrides.addFileOverride(options["config_file"])
    for name, value in (options["config"] or {}).items():
        overrides.addValueOverride(name, value)
    if options["fail_fast"]:
        overrides.addValueOverride("failFast", True)
    overrides.applyTo(config)
    task(config, butler=Butler.from_config(options["repo"], writeable=True)).run(
        options["locations"],
        run=options["output_run"],
        file_filter=options["regex"],
        num_workers=options["processes"],
        track_file_attrs=options["track_file_attrs"],
        update_exposure_records=options["update_records"],
        skip_existing_exposures=options.get("skip_existing", False),
        search_indexes=options.get("search_indexes", True),
    )


def _make_define_visits(release: Release) -> click.Command:
    return _compose(
        _define_visits,
        repo_argument(required=True),
        instrument_argument(required=True),
        config_file_option(help="File that changes the configuration."),
        click.option("--collections", multiple=True, callback=split_commas, metavar=typeStrAcceptsMultiple),
        where_option(),
        click.option("--update-records/--no-update-records", default=False),
        click.option("--incremental/--no-incremental", default=False),
        release.skips_conflicting and click.option("--skip-conflicting/--no-skip-conflicting", default=False),
        release.prefilters and click.option("--prefilter/--no-prefilter", default=False),
        release.prefilters and click.option("--check-detector-regions/--no-check-detector-regions", default=False),
        options_file_option(),
        name="define-visits",
        short_help="Define visits from exposures.",
    )


def _define_visits(*, repo: str, **options: Any) -> None:
    """Define visits from exposures in the butler registry."""
    from standin.visits import define_visits as define

    define(Butler.from_config(repo, writeable=True), **options)


def _make_write_curated_calibrations(release: Release) -> click.Command:
    return _compose(
        _write_curated_calibrations,
        repo_argument(required=True),
        instrument_argument(required=True),
        click.argument("labels_arg", metavar="LABELS ...", nargs=-1, callback=split_commas),
        click.option("--collection", required=False),
        click.option("--label", "labels", multiple=True),
        click.option("--prefix", required=False),
        options_file_option(),
        name="write-curated-calibrations",
        short_help="Add an instrument's curated calibrations.",
    )


def _write_curated_calibrations(**options: Any) -> None:
    """Add an instrument's curated calibrations to the data repository."""
    butler = Butler.from_config(options["repo"], writeable=True)
    instrument: Any = Instrument.from_string(options["instrument"], butler.registry, collection_prefix=options["prefix"])
    labels = [*options["labels_arg"], *options["labels"]]
    if options["collection"] is None and not labels:
        labels = instrument.get_curated_calibration_labels()
        if not labels:
            raise ValueError("a label or --collection is needed")
    instrument.writeCuratedCalibrations(butler, options["collection"], labels)


def _make_register_skymap(release: Release) -> click.Command:
    return _compose(
        _register_skymap,
        repo_argument(required=True),
        config_option(),
        config_file_option(help="URI to a config file overrides file."),
        options_file_option(),
        name="register-skymap",
    )


def _register_skymap(**options: Any) -> None:
    """Make a SkyMap and add it to a repository."""
    from standin.skymap import BaseSkyMap

    text = ResourcePath(options["config_file"]).read().decode() if options["config_file"] else ""
    given = dict(options["config"] or {})
    found = re.search(r"^config\.name\s*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    name = given.get("name", found and found[1])
    rings = re.search(r"numRings\s*=\s*(\d+)", text)
    if name is None:
        raise ValueError("the configuration sets no name")
    BaseSkyMap(int(rings[1]) if rings else 3, 2).register(name, Butler.from_config(options["repo"], writeable=True))


MAKERS = {
    "ingest_raws": _make_ingest_raws,
    "define_visits": _make_define_visits,
    "write_curated_calibrations": _make_write_curated_calibrations,
    "register_skymap": _make_register_skymap,
}


def __getattr__(name: str) -> click.Command:
    """Return a command; `butler` imports it by its name, each time that it needs it."""
    if name in MAKERS:
        return _make(name, current_release())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _make(name: str, release: Release) -> click.Command:
    return MAKERS[name](release)

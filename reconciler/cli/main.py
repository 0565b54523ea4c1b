"""The command line. Heavy imports happen in the commands that need them, so that ``--help`` and ``validate`` start at once."""

from __future__ import annotations

import atexit
import gc
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli.console import DIFFERENCES, ERROR, IN_SYNC, guarded, show, tell
from reconciler.cli.playground import playground
from reconciler.errors import ReconcileError, StateError

if TYPE_CHECKING:
    from reconciler.state.variables import Scalar


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="reconcile")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Keep a Butler repository and its Rucio datasets as a state file says they are.

    Exit codes: 0 in sync, 2 differences or something left undone, 1 an error or something that could not be checked.
    """
    gc.set_threshold(200_000, 20, 100)  # a short life makes little garbage; looking for it takes a tenth of the imports' time
    atexit.register(gc.freeze)  # nor at its end, where looking through all modules takes half a second
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries warn their programmers of is not for an operator
    context.obj = {"debug": debug}


def variables(files: tuple[Path, ...], pairs: tuple[str, ...]) -> dict[str, Scalar]:
    """Put together the variables of the command line.

    Parameters
    ----------
    files : tuple of `pathlib.Path`
        Var-files.
    pairs : tuple of `str`
        ``name=value``; a value that is a TOML number or truth value is one.

    Returns
    -------
    variables : `dict`
        Later ones hold.

    Raises
    ------
    reconciler.errors.StateError
        If a pair is none.
    """
    from reconciler.state.loader import read_variables

    found: dict[str, Scalar] = {}
    for file in files:
        found |= read_variables(file)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise StateError(f"--var {pair}: write --var name=value")
        found[name] = {"true": True, "false": False}.get(value, int(value) if value.lstrip("-").isdecimal() else value)
    return found


def states(paths: tuple[Path, ...]) -> list[Path]:
    """Give the state files that are meant.

    Parameters
    ----------
    paths : tuple of `pathlib.Path`
        Those of the command line.

    Returns
    -------
    paths : `list` [`pathlib.Path`]
        ``state/*.toml`` if none were given.

    Raises
    ------
    reconciler.errors.StateError
        If there are none.
    """
    found = list(paths) or sorted(Path("state").glob("*.toml"))
    if not found:
        raise StateError("no state file is named, and there is no state/*.toml here")
    return found


STATE = click.argument("state", nargs=-1, type=click.Path(path_type=Path))
VAR_FILE = click.option("--var-file", "var_files", multiple=True, type=click.Path(path_type=Path), help="TOML file of variables.")
VAR = click.option("--var", "pairs", multiple=True, metavar="NAME=VALUE", help="One variable.")
ONLY = click.option("--only", multiple=True, metavar="GLOB", help='Addresses, such as "chain.*".')
WITHOUT = click.option("--except", "without", multiple=True, metavar="GLOB", help="Addresses to leave out.")
WITH_NEEDS = click.option("--with-needs", is_flag=True, help="Take what the chosen addresses need, too.")
DEEP = click.option("--deep", is_flag=True, help="Compare members everywhere, also where counts agree.")
JOBS = click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Workers for bulk work.")
PARSL = click.option(
    "--parsl", type=click.Path(exists=True, dir_okay=False), help="Parsl configuration: bulk work goes to its workers."
)
JOURNAL = click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), help="Where runs are told of.")


@main.command()
@STATE
@VAR_FILE
@VAR
@guarded
def validate(state: tuple[Path, ...], var_files: tuple[Path, ...], pairs: tuple[str, ...]) -> int:
    """Check state files, without asking Butler or Rucio."""
    from reconciler.engine import graph
    from reconciler.state.loader import load

    given = variables(var_files, pairs)
    code = IN_SYNC
    for path in states(state):
        try:
            loaded = load(path, given)
            graph.build(loaded)
        except ReconcileError as error:
            code = tell(error)
        else:
            click.echo(f"{path}: valid, {len(loaded.resources):,} resources")
    return code


@main.command()
@STATE
@VAR_FILE
@VAR
@ONLY
@WITHOUT
@WITH_NEEDS
@click.option("--format", "form", type=click.Choice(["text", "json", "shell"]), default="text", help="How it is told.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan, for apply.")
@click.option("--prune", is_flag=True, help="Show what apply --prune would remove.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of every resource, and how it was compared.")
@DEEP
@JOBS
@PARSL
@click.option("--stats", is_flag=True, help="Tell how many statements and calls it took, and how long each phase.")
@guarded
def diff(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    with_needs: bool,
    form: str,
    out: Path | None,
    prune: bool,
    verbose: bool,
    deep: bool,
    jobs: int,
    parsl: str | None,
    stats: bool,
) -> int:
    """Say what differs and why. Changes nothing."""
    from reconciler.session import start
    from reconciler.systems.workers import Workers

    given = variables(var_files, pairs)
    paths = states(state)
    if out is not None and len(paths) > 1:
        raise StateError("--out saves the plan of one state file; name one")
    code = IN_SYNC
    reports = []
    for path in paths:
        session = start(path, given, deep=deep, counted=stats, workers=Workers(jobs, parsl))
        try:
            plan = session.plan(only, without, with_needs=with_needs, prune=prune)
        finally:
            session.live.close()
        code = _worse(code, ERROR if plan.unknown or plan.conflicts else IN_SYNC if plan.in_sync else DIFFERENCES)
        if form == "json":
            from reconciler.report.json import report

            counted = session.live.stats if stats else None
            reports.append(report(plan, session.butler_name, session.rucio_name, session.elapsed, counted))
        elif form == "shell":
            from reconciler.report.shell import script

            for line in script(plan, session.butler_name):
                click.echo(line)
        else:
            from reconciler.report import text as text_report

            if not plan.in_sync or verbose:
                show(text_report.header(plan, session.butler_name, session.rucio_name))
                click.echo()
            show(text_report.diff(plan, session.elapsed, verbose=verbose, prune=prune))
            show(text_report.outside(plan))
            if stats:
                show(text_report.stats(session.live.stats))
        if out is not None:
            from reconciler.engine.plan_file import save

            count = save(plan, out, session.butler_name, session.rucio_name, prune=prune)
            click.echo(f"{count} actions saved in {out}; reconcile apply {out} does them", err=form != "text")
    if form == "json":
        from pydantic_core import to_json

        click.echo(to_json(reports[0] if len(reports) == 1 else reports, indent=2))
    return code


def _worse(one: int, other: int) -> int:
    return ERROR if ERROR in (one, other) else max(one, other)


@main.command()
@STATE
@VAR_FILE
@VAR
@ONLY
@WITHOUT
@WITH_NEEDS
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", metavar="DURATION", default="0", help="Wait so long for deliveries: 90s, 30m, 2h.")
@click.option("--lock-timeout", metavar="DURATION", default="0", help="Wait so long for another apply to end.")
@click.option("--prune", is_flag=True, help="Remove what no table names: chain children, tags, rules.")
@DEEP
@JOBS
@PARSL
@click.option("--prune-limit", type=click.IntRange(0), help="Members that may be removed, in place of the ordinary limits.")
@JOURNAL
@guarded
def apply(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    with_needs: bool,
    yes: bool,
    wait: str,
    lock_timeout: str,
    prune: bool,
    deep: bool,
    jobs: int,
    parsl: str | None,
    prune_limit: int | None,
    journal: Path | None,
) -> int:
    """Do what is missing, in order; a second run does nothing. STATE may be a plan of diff --out."""
    from reconciler.cli.apply_command import Options, apply_plan, apply_state
    from reconciler.engine.plan_file import is_plan
    from reconciler.systems.workers import Workers

    given = variables(var_files, pairs)
    options = Options(
        only,
        without,
        with_needs=with_needs,
        ask=not yes,
        wait=duration(wait),
        prune=prune,
        prune_limit=prune_limit,
        lock_timeout=duration(lock_timeout),
        journal=journal,
        deep=deep,
        workers=Workers(jobs, parsl),
    )
    code = IN_SYNC
    for path in states(state):
        if is_plan(path):
            if given or only or without or prune:
                raise StateError(
                    f"{path}: a plan is applied as it was made; variables, --only, --except and --prune belong to diff --out"
                )
            code = _worse(code, apply_plan(path, options))
        else:
            code = _worse(code, apply_state(path, given, options))
    return code


@main.command()
@click.option("--run", "run_name", metavar="RUN", help="One run, with all its actions.")
@click.option("--address", metavar="GLOB", help="Actions of these addresses.")
@JOURNAL
@guarded
def log(run_name: str | None, address: str | None, journal: Path | None) -> int:
    """Show what was done: the runs, one run, or one address."""
    from reconciler.engine.journal import read, state_folder
    from reconciler.report.journal import actions, runs

    events = list(read(journal or state_folder() / "journal.jsonl"))
    if run_name or address:
        lines = list(actions(events, run_name, address))
        if not lines:
            raise StateError("the journal tells of no such action")
        show(lines)
    else:
        show(runs(events))
    return IN_SYNC


def duration(text: str) -> float:
    """Read a duration.

    Parameters
    ----------
    text : `str`
        ``90``, ``90s``, ``30m``, ``2h``, ``1d``.

    Returns
    -------
    seconds : `float`
        The same.

    Raises
    ------
    reconciler.errors.StateError
        If it is none.
    """
    import re

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?", text.strip())
    if match is None:
        raise StateError(f'"{text}" is not a duration; write 90s, 30m or 2h')
    return float(match[1]) * {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[match[2] or "s"]


main.add_command(playground)

"""``reconcile diff``: compare state files with the live systems and change nothing.

Its exit code is 1, as for an error, if something could not be checked, or is in conflict and not only observed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.console import DIFFERENCES, ERROR, IN_SYNC, echo, handle_errors, show, worst_code
from reconciler.cli.options import (
    ReportFormatName,
    bulk_options,
    find_state_files,
    merge_variables,
    selection_options,
    state_arguments,
)
from reconciler.errors import StateError

if TYPE_CHECKING:
    from reconciler.engine.plan import Plan
    from reconciler.report.json import DiffReport
    from reconciler.report.markdown import PlanReport
    from reconciler.session import Session


@click.command()
@state_arguments
@selection_options
@click.option(
    "--format",
    "output_format",
    type=ReportFormatName(),
    default="text",
    show_default=True,
    help="Output format: text, json, markdown (for a merge request), shell, or one of an installed package.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan to this file, for apply.")
@click.option("--prune", is_flag=True, help="Show what apply --prune would remove.")
@click.option("-v", "--verbose", is_flag=True, help="List every resource and how it was compared.")
@bulk_options
@click.option("--stats", is_flag=True, help="Show the number of SQL statements and Rucio requests, and the time of each phase.")
@handle_errors
def diff(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    with_needs: bool,
    output_format: str,
    out: Path | None,
    prune: bool,
    verbose: bool,
    deep: bool,
    quick: bool,
    jobs: int,
    parsl: str | None,
    stats: bool,
) -> int:
    """Show what differs and why. Changes nothing.

    Without STATE, all files state/*.toml are compared. STATE may be given more than once.
    """
    from reconciler.session import open_session

    variables = merge_variables(var_files, pairs)
    paths = find_state_files(state)
    if out is not None and len(paths) > 1:
        raise StateError("--out saves the plan of one state file; name one")
    codes = []
    reports: list[DiffReport] = []
    plans: list[PlanReport] = []
    for path in paths:
        with open_session(path, variables, deep=deep, quick=quick, jobs=jobs, parsl=parsl, counted=stats) as session:
            plan = session.plan(only, without, with_needs=with_needs, prune=prune)
        codes.append(_exit_code(plan))
        if output_format == "text":
            _print_text(session, plan, verbose=verbose, prune=prune, stats=stats)
        elif output_format == "shell":
            _print_shell(session, plan)
        elif output_format == "markdown":
            plans.append(_keep_plan(session, plan, prune=prune))
        else:
            reports.append(_make_report(session, plan, stats=stats))
        if out is not None:
            from reconciler.engine.plan_file import save_plan
            from reconciler.report.formatting import plural

            count = save_plan(plan, out, session.butler_name, session.rucio_name, prune=prune)
            echo(f"Saved {plural(count, 'action')} in {out}. To apply: reconcile apply {out}", err=output_format != "text")
    if plans:
        from reconciler.report.markdown import format_markdown

        for line in format_markdown(plans).split("\n"):
            echo(line)
    if reports:
        from reconciler.report.formats import render

        for line in render(output_format, reports).split("\n"):
            echo(line)
    return worst_code(codes)


def _exit_code(plan: Plan) -> int:
    if plan.unknown or plan.conflicts:
        return ERROR
    return IN_SYNC if plan.in_sync else DIFFERENCES


def _make_report(session: Session, plan: Plan, *, stats: bool) -> DiffReport:
    from reconciler.report.json import report

    return report(plan, session.butler_name, session.rucio_name, session.elapsed, session.context.stats if stats else None)


def _keep_plan(session: Session, plan: Plan, *, prune: bool) -> PlanReport:
    from reconciler.report.markdown import PlanReport

    return PlanReport(plan, session.butler_name, session.rucio_name, session.elapsed, prune)


def _print_shell(session: Session, plan: Plan) -> None:
    from reconciler.report.shell import script

    for line in script(plan, session.butler_name, session.rucio_environment):
        echo(line)


def _print_text(session: Session, plan: Plan, *, verbose: bool, prune: bool, stats: bool) -> None:
    from reconciler.report import text

    if not plan.in_sync or verbose:
        show(text.header(plan, session.butler_name, session.rucio_name))
        echo()
    show(text.report_plan(plan, session.elapsed, verbose=verbose, prune=prune))
    show(text.report_unchecked_needs(plan))
    if stats:
        show(text.stats(session.context.stats))

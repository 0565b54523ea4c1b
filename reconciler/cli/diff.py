"""``reconcile diff``: compare state files with the live systems and change nothing.

Its exit code is 1, as for an error, if something could not be checked, or is in conflict and not only observed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import check_combination, find_state_files, merge_variables
from reconciler.cli.console import DIFFERENCES, ERROR, IN_SYNC, echo, echo_document, echo_json, handle_errors, show, worst_code
from reconciler.cli.options import bulk_options, format_option, quiet_option, selection_options, state_arguments, summary_option
from reconciler.cli.summary_file import append_summary
from reconciler.errors import ReconcileError, StateError

if TYPE_CHECKING:
    from reconciler.engine.plan import Plan
    from reconciler.report.json import DiffReport
    from reconciler.report.markdown import PlanReport
    from reconciler.session import Session


@click.command()
@state_arguments
@selection_options
@format_option("text", "json", "jsonl", "markdown", "shell", plugins=True, text="Output format")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan to this file, for apply.")
@click.option("--prune", is_flag=True, help="Show what apply --prune would remove.")
@quiet_option
@click.option("-v", "--verbose", is_flag=True, help="List every resource and how it was compared.")
@summary_option
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
    quiet: bool,
    verbose: bool,
    summary: Path | None,
    deep: bool,
    quick: bool,
    jobs: int,
    parsl: str | None,
    stats: bool,
) -> int:
    """Show what differs and why. Changes nothing.

    Without STATE, all files state/*.toml are compared. STATE may be given more than once.

    Exit codes: 0 in sync; 2 differences; 1 an error, something that could not be checked, or a conflict.
    """
    from reconciler.cli.live import SignOfLife
    from reconciler.opening import open_session

    check_combination(only=only, with_needs=with_needs, deep=deep, quick=quick, out=out)
    variables = merge_variables(var_files, pairs)
    paths = find_state_files(state)
    if out is not None and len(paths) > 1:
        raise StateError("--out saves the plan of one state file; name one")
    output = _Output(output_format, quiet=quiet, verbose=verbose, prune=prune, stats=stats, summary=summary)
    codes = []
    for path in paths:
        with (
            SignOfLife() as sign,
            open_session(
                path,
                variables,
                deep=deep,
                quick=quick,
                jobs=jobs,
                parsl=parsl,
                counted=stats,
                report_phase=sign.report_phase,
            ) as session,
        ):
            sign.count(address.kind for address in session.state.resources)
            plan = session.plan(only, without, with_needs=with_needs, prune=prune)
        codes.append(_exit_code(plan))
        output.add(session, plan)
        if out is not None:
            _save(session, plan, out, prune=prune, err=output_format != "text")
    output.finish()
    return worst_code(codes)


def _exit_code(plan: Plan) -> int:
    if plan.unknown or plan.conflicts:
        return ERROR
    return IN_SYNC if plan.in_sync else DIFFERENCES


def _save(session: Session, plan: Plan, out: Path, *, prune: bool, err: bool) -> None:
    from reconciler.engine.plan_file import save_plan
    from reconciler.report.formatting import plural

    count = save_plan(plan, out, session.butler_name, session.rucio_name, prune=prune)
    echo(f"Saved {plural(count, 'action')} in {out}. To apply: reconcile apply {out}", err=err)


@dataclass
class _Output:
    """Prints each state at once in the formats for people, and all of them at the end in those for programs."""

    output_format: str
    quiet: bool
    verbose: bool
    prune: bool
    stats: bool
    summary: Path | None
    reports: list[DiffReport] = field(default_factory=list)
    plans: list[PlanReport] = field(default_factory=list)

    def add(self, session: Session, plan: Plan) -> None:
        """Print or keep what differs in one state."""
        if self.output_format == "text" and self.quiet:
            from reconciler.report.summary import describe, summarize

            echo(describe(plan.state.name, summarize(plan)))
        elif self.output_format == "text":
            self._print_text(session, plan)
        elif self.output_format == "shell":
            from reconciler.report.shell import script

            for line in script(plan, session.butler_name, session.rucio_environment, _find_refusal(session, plan)):
                echo(line)
        elif self.output_format != "markdown":
            from reconciler.report.json import report_diff

            stats = session.context.stats if self.stats else None
            self.reports.append(report_diff(plan, session.butler_name, session.rucio_name, session.elapsed, stats))
        if self.output_format == "markdown" or self.summary is not None:
            from reconciler.report.markdown import PlanReport

            self.plans.append(PlanReport(plan, session.butler_name, session.rucio_name, session.elapsed, self.prune))

    def finish(self) -> None:
        """Print what was kept."""
        if self.reports:
            from reconciler.report.formats import render

            rendered = render(self.output_format, self.reports)
            if self.output_format in ("json", "jsonl"):
                echo_json(rendered)
            else:
                echo_document(rendered)
        if self.plans:
            from reconciler.report.markdown import format_markdown

            text = format_markdown(self.plans)
            if self.output_format == "markdown":
                echo_document(text)
            if self.summary is not None:
                append_summary(self.summary, text)

    def _print_text(self, session: Session, plan: Plan) -> None:
        from reconciler.report import text

        if not plan.in_sync or self.verbose:
            show(text.format_header(plan, session.butler_name, session.rucio_name))
            echo()
        show(text.report_plan(plan, session.elapsed, verbose=self.verbose, prune=self.prune))
        show(text.report_unchecked_needs(plan))
        show(text.report_refusal(_find_refusal(session, plan)))
        if self.stats:
            show(text.format_stats(session.context.stats))


def _find_refusal(session: Session, plan: Plan) -> ReconcileError | None:
    if not plan.permitted_actions:
        return None
    from reconciler.execution import find_refusal

    return find_refusal(plan, session.context)

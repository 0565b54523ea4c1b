"""``reconcile apply``: the click command; `reconciler.cli.apply_command` does the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from reconciler.cli.arguments import check_combination, find_state_files, merge_variables
from reconciler.cli.console import INTERRUPTED, exit_code, handle_errors, report_once, worst_code
from reconciler.cli.options import (
    bulk_options,
    format_option,
    journal_option,
    quiet_option,
    selection_options,
    state_arguments,
    summary_option,
)
from reconciler.cli.parameter_types import Duration
from reconciler.cli.summary_file import append_summary
from reconciler.errors import ReconcileError, StateError

if TYPE_CHECKING:
    from reconciler.cli.apply_command import ApplyOptions
    from reconciler.cli.apply_output import ApplyOutput
    from reconciler.report.run import RunReport
    from reconciler.state.variable_sources import Overrides


@click.command()
@state_arguments
@selection_options
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@click.option(
    "--wait",
    type=Duration(),
    default="0",
    show_default="don't wait",
    help="How long to wait for deliveries, such as 90s, 30m or 2h.",
)
@click.option(
    "--lock-timeout",
    type=Duration(),
    default="0",
    show_default="don't wait",
    help="How long to wait for another apply to end, such as 10m.",
)
@click.option("--prune", is_flag=True, help="Remove chain children, tags and rules that no table lists.")
@click.option(
    "--prune-limit",
    type=click.IntRange(0),
    metavar="N",
    help="Number of members that may be removed, instead of the usual limits.",
)
@click.option(
    "--state",
    "planned_state",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="State file of a saved plan, if it was moved or changed since. Parts of the plan whose facts changed are refused.",
)
@format_option(
    "text", "json", "jsonl", "markdown", text="Output format; all but text need --yes, and jsonl prints events as they happen"
)
@quiet_option
@summary_option
@bulk_options
@journal_option
@handle_errors
def apply(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    with_needs: bool,
    yes: bool,
    wait: float,
    lock_timeout: float,
    prune: bool,
    prune_limit: int | None,
    planned_state: Path | None,
    output_format: str,
    quiet: bool,
    summary: Path | None,
    deep: bool,
    quick: bool,
    jobs: int,
    parsl: str | None,
    journal: Path | None,
) -> int:
    """Show the plan, ask, and make the missing changes in order.

    STATE is a state file, or a plan that `reconcile diff --out` saved. Without STATE, all files state/*.toml are applied.
    A second run changes nothing.
    """
    if output_format != "text" and not yes:
        raise click.UsageError(f"--format {output_format} needs --yes, because a program can't answer the question.")
    from reconciler.cli.apply_command import ApplyOptions
    from reconciler.cli.apply_output import make_output

    check_combination(only=only, with_needs=with_needs, deep=deep, quick=quick)
    output = make_output(output_format, ask=not yes, quiet=quiet)
    variables = merge_variables(var_files, pairs)
    options = ApplyOptions(
        only,
        without,
        with_needs=with_needs,
        wait=wait,
        prune=prune,
        prune_limit=prune_limit,
        lock_timeout=lock_timeout,
        journal=journal,
        deep=deep,
        quick=quick,
        jobs=jobs,
        parsl=parsl,
    )
    runs: list[RunReport] = []
    errors: list[ReconcileError] = []
    try:
        for path in find_state_files(state):
            runs.append(_apply(path, variables, options, output, planned_state))
            if runs[-1].exit_code == INTERRUPTED:
                break
    except ReconcileError as error:
        errors.append(error)
    if summary is not None and (runs or not errors):
        errors += _append_summary(summary, runs)
    code = worst_code([*(run.exit_code for run in runs), *map(exit_code, errors)])
    failure = _join(errors)
    output.end(runs, code, failure)
    if failure is not None:
        report_once(code)
        raise failure
    return code


def _append_summary(path: Path, runs: Sequence[RunReport]) -> list[ReconcileError]:
    """Append the summary of what ran to a file; returns the error if that fails, for the caller may have to report another."""
    from reconciler.report.markdown import format_runs

    try:
        append_summary(path, format_runs(runs))
    except ReconcileError as error:
        return [error]
    return []


def _join(errors: Sequence[ReconcileError]) -> ReconcileError | None:
    """Return one error for several; None for none."""
    if len(errors) < 2:
        return next(iter(errors), None)
    problems = [problem for error in errors for problem in error.problems]
    return ReconcileError(problems, [hint for error in errors for hint in error.hints])


def _apply(path: Path, variables: Overrides, options: ApplyOptions, output: ApplyOutput, planned_state: Path | None) -> RunReport:
    from reconciler.cli.apply_command import apply_plan, apply_state
    from reconciler.engine.plan_file import is_plan

    if not is_plan(path):
        if planned_state is not None:
            raise StateError(f"{path}: --state names the state file of a saved plan, and this is a state file")
        return apply_state(path, variables, options, output)
    _check_saved_plan(path, variables, options)
    return apply_plan(path, options, output, planned_state)


def _check_saved_plan(path: Path, variables: Overrides, options: ApplyOptions) -> None:
    """Refuse options that select what to plan; variables and the site of the environment don't concern a saved plan."""
    site = click.get_current_context().get_parameter_source("site") is ParameterSource.COMMANDLINE
    given = {
        "--site": site,
        "--var": bool(variables.values),
        "--only": bool(options.only),
        "--except": bool(options.without),
        "--prune": options.prune,
    }
    names = [name for name, is_given in given.items() if is_given]
    if names:
        text = f"{path}: a saved plan is applied as it is; give {', '.join(names)} to reconcile plan --out"
        raise click.UsageError(text)

"""``reconcile apply``: the click command; `reconciler.cli.apply_command` does the work."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import INTERRUPTED, handle_errors, worst_code
from reconciler.cli.options import (
    Duration,
    bulk_options,
    find_state_files,
    journal_option,
    merge_variables,
    selection_options,
    state_arguments,
)
from reconciler.errors import StateError


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
    from reconciler.cli.apply_command import ApplyOptions, apply_plan, apply_state
    from reconciler.engine.plan_file import is_plan

    variables = merge_variables(var_files, pairs)
    options = ApplyOptions(
        only,
        without,
        with_needs=with_needs,
        ask=not yes,
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
    codes = []
    for path in find_state_files(state):
        if not is_plan(path):
            if planned_state is not None:
                raise StateError(f"{path}: --state names the state file of a saved plan, and this is a state file")
            codes.append(apply_state(path, variables, options))
        elif variables or only or without or prune:
            raise StateError(
                f"{path}: a saved plan is applied as it is; give variables, --only, --except and --prune to diff --out"
            )
        else:
            codes.append(apply_plan(path, options, planned_state))
        if codes[-1] == INTERRUPTED:
            break
    return worst_code(codes)

"""``reconcile doctor``: check a machine and a state before they are used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import merge_variables
from reconciler.cli.console import ERROR, IN_SYNC, echo_json, handle_errors, show
from reconciler.cli.options import diagnosis_options, state_arguments
from reconciler.errors import ReconcileError

if TYPE_CHECKING:
    from reconciler.report.checkup import Check
    from reconciler.state.variable_sources import Overrides


@click.command()
@state_arguments
@diagnosis_options
@handle_errors
def doctor(
    state: tuple[Path, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    history: str | None,
    journal: Path | None,
    output_format: str,
) -> int:
    """Check this machine and what a state needs: versions, permissions, credentials.

    Without STATE, all files state/*.toml are checked, if there are any. Nothing is changed. The exit code is 0 if all checks
    passed, and 1 otherwise.
    """
    from reconciler.report.checkup import CheckGroup, DoctorReport, check_machine, format_checkup

    variables = merge_variables(var_files, pairs)
    groups = [CheckGroup(state=None, checks=[*check_machine(journal), _check_history(history)])]
    for path in state or sorted(Path("state").glob("*.toml")):
        groups.append(CheckGroup(state=str(path), checks=list(_check_state(path, variables))))
    problems = [check for group in groups for check in group.checks if not check.ok]
    if output_format == "json":
        from reconciler.report.json_text import format_json

        report = DoctorReport(healthy=not problems, groups=groups)
        echo_json(format_json(report.model_dump(mode="json")))
    else:
        from reconciler.report.formatting import Line, plural

        show(format_checkup(groups))
        show([Line(f"{plural(len(problems), 'problem')} found." if problems else "No problem found.", bold=True)])
    return ERROR if problems else IN_SYNC


def _check_history(option: str | None) -> Check:
    from reconciler.report.checkup import make_check, passed
    from reconciler.watch.latest import open_reading
    from reconciler.watch.locations import MissingHistory, find_history

    def check() -> Check:
        location = find_history(option)
        try:
            with open_reading(location):
                return passed("history", f"{location} can be read")
        except MissingHistory:
            return passed("history", f"none yet at {location}; reconcile drift makes it")

    return make_check("history", check)


def _check_state(path: Path, variables: Overrides) -> Iterator[Check]:
    from reconciler.opening import open_session
    from reconciler.report.checkup import check_session, failed
    from reconciler.report.formatting import plural

    try:
        session = open_session(path, variables)
    except ReconcileError as error:
        first, *others = error.problems
        text = first if not others else plural(len(error.problems), "error")
        yield failed("state file", text, *(error.problems if others else ()), *error.hints)
        return
    with session:
        session.context.forbid_writes()
        yield from check_session(session)

"""``reconcile show``: a saved plan for somebody who reviews it."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import IN_SYNC, echo_document, echo_json, handle_errors, show
from reconciler.cli.options import format_option


@click.command("show")
@click.argument("plan", type=click.Path(path_type=Path))
@format_option("text", "json", "markdown")
@handle_errors
def show_plan(plan: Path, output_format: str) -> int:
    """Show a saved plan, without any live system.

    PLAN is a file that reconcile plan --out saved.
    """
    from reconciler.engine.plan_file import load_plan
    from reconciler.report.saved_plan import format_saved_plan, report_saved_plan

    saved = load_plan(plan)
    unchanged = _find_whether_unchanged(Path(saved.state), saved.variables, saved.digest)
    if output_format == "json":
        from reconciler.report.json_text import format_json

        echo_json(format_json(report_saved_plan(saved, plan, state_unchanged=unchanged).model_dump(mode="json")))
    elif output_format == "markdown":
        from reconciler.report.saved_plan import format_saved_markdown

        echo_document(format_saved_markdown(saved, plan, state_unchanged=unchanged))
    else:
        show(format_saved_plan(saved, plan, state_unchanged=unchanged))
    return IN_SYNC


def _find_whether_unchanged(state: Path, variables: dict[str, str | int | float | bool], digest: str) -> bool | None:
    """Return whether the state file has the digest of the plan; `None` if it can't be read here."""
    from reconciler.errors import StateError
    from reconciler.state.loader import load

    if not state.is_file():
        return None
    try:
        return load(state, variables).digest == digest
    except StateError:
        return False  # it was valid when the plan was made

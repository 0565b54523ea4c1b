"""What a watch reports as Markdown, for the summary of a job or for a mail."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.report.formatting import plural
from reconciler.report.markdown import format_checks
from reconciler.watch.state_report import StateReport, Verdict
from reconciler.watch.text import describe_state, report_state


def format_summary(reports: Sequence[StateReport]) -> str:
    """Return the reports of some states as Markdown: a table, and a section for each state that differs."""
    drifting = sum(report.verdict is not Verdict.IN_SYNC for report in reports)
    rows = [(report.check.name, describe_state(report).text) for report in reports]
    sections = [(report.check.name, list(report_state(report))[1:]) for report in reports]
    return format_checks(f"reconcile drift: {drifting:,} of {plural(len(reports), 'state')} not in sync", rows, sections)

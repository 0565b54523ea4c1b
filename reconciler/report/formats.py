"""Report formats: JSON, and those of other packages, which they offer in the entry point group ``rubin_reconciler.formats``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reconciler.engine.plugins import Plugin, find_plugins
from reconciler.errors import ReconcileError
from reconciler.report.events import diff_events, format_event
from reconciler.report.json import DiffReport, make_document
from reconciler.report.json_text import format_json

GROUP = "rubin_reconciler.formats"
BUILT_IN = ("text", "json", "jsonl", "markdown", "shell")


class ReportFormat(Protocol):
    """A function that turns diffs into text.

    An entry point in the group ``rubin_reconciler.formats`` points to it. ``reconcile diff --format NAME`` calls it once, after
    all states were compared, and prints what it returns.
    """

    def __call__(self, reports: Sequence[DiffReport]) -> str:
        """Return the text for some diffs.

        Parameters
        ----------
        reports : `Sequence` [`DiffReport`]
            One for each state file, in the order of the command line. The fields are those of ``--format json``.

        Returns
        -------
        text : `str`
            The report, without a newline at its end.
        """
        ...


def plugin_format_names() -> list[str]:
    """Return the names of the formats that installed packages offer."""
    return sorted(find_plugins(GROUP).keys() - set(BUILT_IN))


def render(name: str, reports: Sequence[DiffReport]) -> str:
    """Return the text of some diffs in a format.

    Raises
    ------
    reconciler.errors.PluginError
        If the format of another package doesn't work.
    """
    if name == "json":
        return format_json(make_document(reports).model_dump(mode="json"))
    if name == "jsonl":
        return "\n".join(format_event(event) for event in diff_events(reports))
    plugin = Plugin.single(name, find_plugins(GROUP), "report format")
    function = plugin.load()
    try:
        text = function(reports)
    except ReconcileError:
        raise
    except Exception as error:  # the code of another package may raise anything
        raise plugin.error(f"failed: {type(error).__name__}: {error}") from error
    if not isinstance(text, str):
        raise plugin.error(f"returned {type(text).__name__} and not str")
    return text

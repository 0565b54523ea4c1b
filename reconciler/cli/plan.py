"""``reconcile plan``: `diff` under the name that users of other programs expect, with the same options."""

from __future__ import annotations

import click

from reconciler.cli.diff import diff

HELP = """Show what apply would do. Changes nothing.

This is reconcile diff under another name, with the same options: --out saves the plan for apply, and reconcile show prints a
saved plan.
"""

plan = click.Command("plan", callback=diff.callback, params=diff.params, help=HELP)

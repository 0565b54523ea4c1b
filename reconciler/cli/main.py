"""The ``reconcile`` command group.

Commands import what they need when they run, so that ``--help`` and ``validate`` import neither the Butler nor Rucio.
"""

from __future__ import annotations

import click

from reconciler.cli.console import choose_colour
from reconciler.cli.interrupts import Interrupts
from reconciler.cli.lazy_commands import CommandSource
from reconciler.cli.sections import SectionedGroup
from reconciler.early_signals import restore_signals
from reconciler.startup import configure_process
from reconciler.version import __version__


def _source(name: str, summary: str, attribute: str = "") -> CommandSource:
    return CommandSource(f"reconciler.cli.{name}:{attribute or name}", summary)


SECTIONS = {
    "Check and change": {
        "init": _source("init", "Write a first state file with comments, after three questions."),
        "validate": _source("validate", "Check state files without connecting to Butler or Rucio."),
        "diff": _source("diff", "Show what differs and why."),
        "plan": _source("plan", "Show what apply would do."),
        "show": _source("show", "Show a saved plan, without any live system.", "show_plan"),
        "apply": _source("apply", "Show the plan, ask, and make the missing changes in order."),
    },
    "Find out": {
        "doctor": _source("doctor", "Check this machine and what a state needs: versions, permissions, credentials."),
        "explain": _source("explain", "Explain one resource: what asks for it, what is live, what differs and why."),
        "graph": _source("graph", "Draw what needs what in a state file, in the order of an apply."),
        "help": _source("help", "Explain a table of the state file, or one of its keys.", "help_command"),
        "list": _source("list", "List the resources of state files: status, kind, address, place.", "list_resources"),
    },
    "Watch": {
        "drift": _source("drift", "Check states for drift and record the result."),
        "status": _source("status", "Show the latest verdict of every state, from the history alone."),
        "ledger": _source("ledger", "Compare what Rucio, the Butler and storage know of the files that Rucio delivers."),
        "ack": _source("ack", "Accept a difference that reconcile drift found, until a day."),
        "acks": _source("acks", "List acknowledged differences, those that end first at the top."),
        "timer": _source("timer", "Print a crontab line and systemd units that run reconcile drift."),
    },
    "History": {"log": _source("log", "List earlier runs, or the actions of one run or resource.")},
    "Set up": {"completion": _source("completion", "Print a script that completes commands, options and addresses in a shell.")},
    "Try it out": {"playground": _source("playground", "Try reconcile with an embedded Rucio server and made-up data.")},
}
"""The commands by section; a summary is the first sentence of the help of its command, which a test compares."""
EXAMPLES = (
    ("reconcile diff state/ccms1.toml", "show what differs"),
    ("reconcile apply state/ccms1.toml --wait 2h", "change it, and wait for deliveries"),
    ("reconcile drift -v state/*.toml", "check for drift, as cron does, and show everything"),
)


@click.group(
    name="reconcile",  # also as a subcommand of butler
    cls=SectionedGroup,
    sections=SECTIONS,
    examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="reconcile")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Keep a Butler repository and its Rucio datasets in the state that a TOML file describes.

    Exit codes: 0 in sync; 2 differences, or changes left to make; 1 an error, or something that could not be checked; 64 a
    wrong command line; 75 another apply holds the lock; 130 interrupted.
    """
    configure_process()
    context.obj = {"debug": debug}
    if context.color is None:  # without --color
        context.color = choose_colour()
    if context.invoked_subcommand == "playground":  # it has services to end
        restore_signals()
    else:
        context.with_resource(Interrupts())

"""The ``reconcile`` command group.

Commands import what they need when they run, so that ``--help`` and ``validate`` import neither the Butler nor Rucio.
"""

from __future__ import annotations

import click

from reconciler.cli.ack import ack
from reconciler.cli.acks import acks
from reconciler.cli.apply import apply
from reconciler.cli.console import choose_colour
from reconciler.cli.diff import diff
from reconciler.cli.drift import drift
from reconciler.cli.interrupts import Interrupts
from reconciler.cli.ledger import ledger
from reconciler.cli.log import log
from reconciler.cli.options import add_color_option
from reconciler.cli.playground import playground
from reconciler.cli.sections import SectionedGroup
from reconciler.cli.status import status
from reconciler.cli.timer import timer
from reconciler.cli.validate import validate
from reconciler.early_signals import restore_signals
from reconciler.startup import configure_process
from reconciler.version import __version__

SECTIONS = {
    "Check and change": ("validate", "diff", "apply"),
    "Watch": ("drift", "status", "ledger", "ack", "acks", "timer"),
    "History": ("log",),
    "Try it out": ("playground",),
}
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
    if context.invoked_subcommand == playground.name:  # it has services to end
        restore_signals()
    else:
        context.with_resource(Interrupts())


for command in (validate, diff, apply, drift, status, ledger, ack, acks, timer, log, playground):
    main.add_command(add_color_option(command))
add_color_option(main)

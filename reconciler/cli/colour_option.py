"""The option for colours, which the group and every command have."""

from __future__ import annotations

import click

from reconciler.cli.console import choose_colour


def add_color_option(command: click.Command) -> click.Command:
    """Add the option for colours; it works before and after the name of the command."""

    def choose(context: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.color = choose_colour(value)

    option = click.Option(
        ["--color"],
        type=click.Choice(["auto", "always", "never"]),
        expose_value=False,
        callback=choose,
        help="Whether the output is in colour; auto, the default, means on a terminal.",
    )
    if all("--color" not in known.opts for known in command.params):  # two commands may share their options
        command.params.append(option)
    return command

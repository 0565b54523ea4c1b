"""A click group whose ``--help`` lists the commands in sections and ends with examples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from reconciler.cli.console import USAGE


class SectionedGroup(click.Group):
    """A group of commands with section titles and examples in its help.

    Parameters
    ----------
    sections : mapping of `str` to sequence of `str`
        Command names by section title, in the order to show them. A command that no section names is listed last, under "Other".
    examples : sequence of (`str`, `str`)
        Command lines, each with what it does.
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[str]], examples: Sequence[tuple[str, str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self.examples = examples

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the options of the group."""
        with _exit_code_of_usage():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the command and run it."""
        with _exit_code_of_usage():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list for each section."""
        listed = {name for names in self.sections.values() for name in names}
        other = [name for name in self.list_commands(ctx) if name not in listed]
        for title, names in {**self.sections, "Other": other}.items():
            commands = [(name, self.commands[name]) for name in names if name in self.commands]
            if commands:
                with formatter.section(title):
                    formatter.write_dl([(name, command.get_short_help_str(100)) for name, command in commands])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        with formatter.section("Examples"):
            formatter.write_dl(self.examples, col_max=60)


@contextlib.contextmanager
def _exit_code_of_usage() -> Iterator[None]:
    """Let a wrong command line exit with 64, as in sysexits.h, and not with click's 2, which means that something differs."""
    try:
        yield
    except click.UsageError as error:
        error.exit_code = USAGE  # type: ignore[misc]
        raise

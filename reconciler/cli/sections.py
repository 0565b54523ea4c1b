"""A click group whose ``--help`` lists the commands in sections and ends with examples, and imports none of them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.colour_option import add_color_option
from reconciler.cli.console import USAGE
from reconciler.cli.lazy_commands import CommandSource, LazyCommands

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class SectionedGroup(click.Group):
    """A group of commands with section titles and examples in its help.

    Parameters
    ----------
    sections : mapping of `str` to mapping of `str` to `CommandSource`
        Commands by section title and name, in the order to show them. One that is added later is listed last, under "Other".
    examples : sequence of (`str`, `str`)
        Command lines, each with what it does.
    """

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, CommandSource]],
        examples: Sequence[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        add_color_option(self)
        self.lazy = LazyCommands({name: source for sources in sections.values() for name, source in sources.items()})
        self.commands = self.lazy
        self.sections = sections
        self.examples = examples

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the options of the group; a wrong one exits with 64."""
        with _exit_code_of_usage():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the command and run it; a wrong command line exits with 64."""
        with _exit_code_of_usage():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list for each section."""
        listed = {name for names in self.sections.values() for name in names}
        other = [name for name in self.list_commands(ctx) if name not in listed]
        for title, names in {**self.sections, "Other": other}.items():
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, self.lazy.summary(name)) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing the commands."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.commands if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self.lazy.summary(name)) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

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
        error.format_message = functools.partial(_fit_message, error.format_message())  # type: ignore[method-assign]
        raise


def _fit_message(message: str) -> str:
    """Return the message of a usage error so that click's "Error: " and it fit the terminal."""
    from reconciler.cli.console import screen_width
    from reconciler.report.layout import fit

    width = screen_width(err=True)
    title = "Error: "
    return "\n".join(fit(title + message, width)).removeprefix(title) if width else message

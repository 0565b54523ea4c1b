"""Commands that are imported when they are used, so that ``--help`` and shell completion import none of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import NamedTuple

import click

from reconciler.cli.colour_option import add_color_option


class CommandSource(NamedTuple):
    """Where a command is, and what is known of it without importing it.

    Parameters
    ----------
    target : `str`
        Module and attribute, such as ``reconciler.cli.diff:diff``.
    summary : `str`
        The first sentence of its help.
    """

    target: str
    summary: str


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name; each is imported at its first use.

    Parameters
    ----------
    sources : `Mapping` [`str`, `CommandSource`]
        Where they are, in the order in which to list them.
    """

    def __init__(self, sources: Mapping[str, CommandSource]) -> None:
        self.sources = sources
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self.sources[name].target.partition(":")
            self._loaded[name] = add_color_option(getattr(importlib.import_module(module), attribute))
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.sources
        yield from (name for name in self._loaded if name not in self.sources)

    def __len__(self) -> int:
        return len({*self.sources, *self._loaded})

    def __contains__(self, name: object) -> bool:
        return name in self.sources or name in self._loaded

    def summary(self, name: str) -> str:
        """Return the first sentence of the help of a command, without importing it if it is one of ours."""
        known = self.sources.get(name)
        return self[name].get_short_help_str(100) if known is None else known.summary

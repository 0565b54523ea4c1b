"""Types of the values that options take: durations, times, nights, names of formats."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import click

from reconciler.errors import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Duration(click.ParamType):  # type: ignore[type-arg]  # only newer versions of click have it generic
    """A duration such as ``90s``, ``30m``, ``2h`` or ``1d``, converted to seconds; a plain number is in seconds."""

    name = "duration"
    units = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}  # noqa: RUF012

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the duration in seconds."""
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?", value.strip())
        if match is None:
            raise click.BadParameter(f'"{value}" is not a duration; write 90s, 30m or 2h', ctx, param)
        return float(match[1]) * self.units[match[2] or "s"]


class OutputFormat(click.ParamType):  # type: ignore[type-arg]  # only newer versions of click have it generic
    """The name of an output format, which means the same for every command that has it.

    Parameters
    ----------
    names : `Sequence` [`str`]
        The formats of the command.
    plugins : `bool`
        Whether installed packages may add some; they are searched only for a name that isn't built in.
    """

    name = "format"
    reasons: ClassVar[Mapping[str, str]] = {
        "shell": "only diff and plan find the commands that an operator could type instead",
        "markdown": "it is for a comment or a mail on a plan, an apply or a check: diff, plan, show, apply and drift have it",
        "jsonl": "it is for results that come one after the other: diff, plan, apply and drift have it",
    }
    """Why a format isn't one of every command."""

    def __init__(self, names: Sequence[str], *, plugins: bool = False) -> None:
        self.names, self.plugins = names, plugins

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name if there is such a format."""
        if value in self.names:
            return value
        known = [*self.names, *self._find_plugins()]
        if value not in known:
            why = f"; {self.reasons[value]}" if value in self.reasons else did_you_mean(value, known)
            raise click.BadParameter(f'"{value}" is not one of {", ".join(known)}{why}', param=param, ctx=ctx)
        return value

    def _find_plugins(self) -> list[str]:
        if not self.plugins:
            return []
        from reconciler.report.formats import plugin_format_names

        return plugin_format_names()

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a format, without searching packages."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self.names if name.startswith(incomplete)]


class Day(click.ParamType):  # type: ignore[type-arg]
    """A day such as ``2026-12-24``, converted to a `datetime.date`."""

    name = "day"

    def convert(self, value: str | datetime.date, param: click.Parameter | None, ctx: click.Context | None) -> datetime.date:
        """Return the day."""
        if isinstance(value, datetime.date):
            return value
        try:
            return datetime.date.fromisoformat(value.strip())
        except ValueError as error:
            raise click.BadParameter(f'"{value}" is not a day; write 2026-12-24', ctx, param) from error


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A day, a time in ISO form or a duration before now, such as ``7d``, converted to a `datetime.datetime`.

    It has a time zone: UTC, unless the text gives another offset.
    """

    name = "time"

    def convert(
        self, value: str | datetime.datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime.datetime:
        """Return the time."""
        if isinstance(value, datetime.datetime):
            return value
        with contextlib.suppress(ValueError):
            found = datetime.datetime.fromisoformat(value.strip())
            return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)
        try:
            return datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=Duration().convert(value, param, ctx))
        except (click.BadParameter, OverflowError) as error:
            raise click.BadParameter(f'"{value}" is not a time; write 2026-11-24, or 7d for 7 days ago', ctx, param) from error


class Night(click.ParamType):  # type: ignore[type-arg]
    """A night such as ``20241108`` or ``2024-11-08``, converted to a number."""

    name = "night"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the night as a number of eight digits."""
        text = str(value).strip().replace("-", "")
        try:
            if not re.fullmatch(r"[0-9]{8}", text):
                raise ValueError(text)  # strptime takes 2024118, too
            datetime.datetime.strptime(text, "%Y%m%d")
        except ValueError as error:
            raise click.BadParameter(f'"{value}" is not a night; write 20241108', ctx, param) from error
        return int(text)


class VerifyOption(click.ParamType):  # type: ignore[type-arg]
    """The files to check on storage: ``all``, ``sample:N`` or ``none``."""

    name = "verify"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value if it is one of the three."""
        if not re.fullmatch(r"all|none|sample:[1-9]\d*", value):
            raise click.BadParameter(f'"{value}" is not one of all, sample:N and none; write sample:100', ctx, param)
        return value

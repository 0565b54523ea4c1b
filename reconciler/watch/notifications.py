"""One message for each channel and run, with the most important news and the command to run. Nothing is sent without news."""

from __future__ import annotations

import datetime
import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ReconcileError
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.report.formatting import plural
from reconciler.watch.channels import Channel, ChannelError
from reconciler.watch.notices import Notice, find_notices, record_notices
from reconciler.watch.state_report import Cause

if TYPE_CHECKING:
    from reconciler.watch.history import History

MOST_LINES = 5
LONGEST_LINE = 300
ORDER = (Cause.UNKNOWN, Cause.DRIFTED, Cause.DEGRADED, Cause.UNAPPLIED, Cause.WAITING, Cause.NEW, Cause.ACKNOWLEDGED)
"""The most important first; what is resolved comes last."""
_NO_WIDTH = "\u200b"


@dataclass(frozen=True)
class Message:
    """What a channel is sent.

    Parameters
    ----------
    title, body : `str`
        Plain text.
    """

    title: str
    body: str


def send_notifications(
    history: History, channels: Sequence[Channel], states: Collection[str], now: datetime.datetime
) -> Iterator[ReconcileError]:
    """Send each channel what is new for it, and yield an error for each channel for which sending or recording it failed.

    Nothing is sent before the first error is asked for, and the rest not before the next one is.

    Parameters
    ----------
    history : `History`
        Knows what was found and what was sent. The caller holds the locks of the states, so that no other run sends the same.
    channels : `Sequence` [`Channel`]
        Where to.
    states : `Collection` [`str`]
        Paths of the states that this run checked and recorded.
    now : `datetime.datetime`
        The time, in UTC.
    """
    for channel in channels:
        try:
            with history.transaction() as connection:
                news = find_notices(connection, channel.key, states, now)
            if not news:
                continue
            message = compose(news, fenced=channel.renders_markdown)
            channel.send(message.title, message.body)
        except ReconcileError as error:
            yield error
            continue
        try:
            with history.transaction() as connection:
                record_notices(connection, channel.key, news, now)
        except ReconcileError as error:
            yield ChannelError(f"{channel.name}: a notification was sent, and the next run sends it again: {error}", error.hints)


def compose(news: Sequence[Notice], *, fenced: bool = False) -> Message:
    """Write the message about some news.

    Parameters
    ----------
    news : `Sequence` [`Notice`]
        At least one.
    fenced : `bool`
        Whether the body is a Markdown code block, so that nothing in it becomes a link.
    """
    entries = _group_unknown(sorted(news, key=_rank))
    lines = [_describe(notice) for notice in entries[:MOST_LINES]]
    if len(entries) > MOST_LINES:
        lines.append(f"… and {len(entries) - MOST_LINES:,} more")
    lines += ["", *(f"$ {command}" for command in find_commands(entries))]
    body = "\n".join(map(_defuse, lines))
    names = list(dict.fromkeys(notice.state.stem for notice in entries))
    where = names[0] if len(names) == 1 else plural(len(names), "state")
    counts = Counter(_word(notice) for notice in entries)
    title = _defuse(f"reconcile: {where}: {', '.join(f'{count:,} {word}' for word, count in counts.items())}")
    return Message(title, f"```\n{body}\n```" if fenced else body)


def find_commands(news: Sequence[Notice]) -> list[str]:
    """Return what to run, one command for each of the first `MOST_LINES` states: what repairs it, or else what shows it.

    If all of the news, of which there is at least one, is resolved, that is one command, which shows the status.
    """
    by_state: dict[Path, list[Notice]] = defaultdict(list)
    for notice in news:
        if not notice.resolved:
            by_state[notice.state].append(notice)
    found = [_find_command(state, notices) for state, notices in by_state.items()]
    if not found:
        return [shlex.join(["reconcile", "status", str(next(iter(news)).state)])]
    return found[:MOST_LINES]


def _find_command(state: Path, news: Sequence[Notice]) -> str:
    if all(notice.cause is Cause.ACKNOWLEDGED for notice in news):
        return shlex.join(["reconcile", "acks", str(state)])
    commands = list(dict.fromkeys(command for notice in news for command in notice.commands[:1]))
    if len(commands) == 1 and _is_plain(commands[0]):
        return commands[0]
    whole = shlex.join(["reconcile", "apply", str(state)])
    if len(commands) > 1 and all(command.startswith(f"{whole} ") or command == whole for command in commands):
        return whole
    return shlex.join(["reconcile", "diff", str(state)])


def _is_plain(command: str) -> bool:
    """Return True if a command can be copied from a message as it is."""
    return len(command) <= LONGEST_LINE and _defuse(command) == command


def _rank(notice: Notice) -> tuple[bool, int]:
    return notice.resolved, ORDER.index(notice.cause)


def _group_unknown(news: Sequence[Notice]) -> list[Notice]:
    """Return one notice for all resources of a state that are unknown, or are known again, for the same reason."""
    found: dict[object, Notice] = {}
    counts: Counter[object] = Counter()
    for notice in news:
        key = (notice.state, notice.text, notice.resolved) if notice.cause is Cause.UNKNOWN else notice.difference
        found.setdefault(key, notice)
        counts[key] += 1
    return [
        notice if counts[key] == 1 else replace(notice, address=plural(counts[key], "resource")) for key, notice in found.items()
    ]


def _word(notice: Notice) -> str:
    if notice.resolved:
        return "resolved"
    if notice.cause is Cause.ACKNOWLEDGED:
        return "about to end"
    return f"{notice.cause.value} overdue" if notice.overdue else notice.cause.value


def _describe(notice: Notice) -> str:
    subject = f"{notice.address}: {notice.text}" if notice.address else notice.text
    lead = f"{notice.state.stem}: {_word(notice)}"
    if notice.resolved:
        return f"{lead} ({notice.resolution}): {subject}"
    if notice.cause is Cause.ACKNOWLEDGED:
        return f"{notice.state.stem}: acknowledged only until {notice.until}: {subject}"
    return f"{lead}: {subject} (since {notice.since:%Y-%m-%dT%H:%MZ})"


def _defuse(text: str) -> str:
    """Return one line in which a name can neither mention people, end a code block, nor contain a credential."""
    line = escape(redact(text))
    line = line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 2]} …"
    for sign in "@!`":
        line = line.replace(sign, sign + _NO_WIDTH)
    return line

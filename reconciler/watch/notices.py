"""What is new for a channel: the open differences of the history against what the channel was last sent.

Nothing is queued. A difference that should be known has a signature; one that the channel wasn't sent is news, and so is the end
of a difference of which it was sent one. So what could not be sent is news again in the next run, and nothing is sent twice
unless a run is killed between sending and recording.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from reconciler.watch.state_report import ABOUT_TO_END, Cause
from reconciler.watch.tables import differences, format_time, notices, parse_time


@dataclass(frozen=True)
class Notice:
    """One line of news.

    Parameters
    ----------
    difference : `int`
        Its row in the history.
    signature : `str`
        What makes it news only once; empty for a difference that is resolved.
    cause : `Cause`
        Its cause, the last one if it is resolved.
    overdue : `bool`
        Whether it has been new, or waited for, too long.
    state : `pathlib.Path`
        The state file.
    address, text : `str`
        The difference.
    since : `datetime.datetime`
        When it was first seen, in UTC.
    commands : `tuple` [`str`, ...]
        What repairs it.
    until : `str`
        The last day of the acknowledgement that is about to end.
    resolution : `str`
        Why it is resolved.
    """

    difference: int
    signature: str
    cause: Cause
    overdue: bool
    state: Path
    address: str
    text: str
    since: datetime.datetime
    commands: tuple[str, ...] = ()
    until: str = ""
    resolution: str = ""

    @property
    def resolved(self) -> bool:
        """Whether it reports the end of a difference."""
        return not self.signature


def find_notices(connection: Any, channel: str, states: Collection[str], now: datetime.datetime) -> list[Notice]:
    """Return what is new for a channel.

    Of what needs no attention any more without being resolved, the record that it was sent is deleted.

    Parameters
    ----------
    connection : `sqlalchemy.engine.Connection`
        In a transaction of the history.
    channel : `str`
        Key of the channel.
    states : `Collection` [`str`]
        Paths of the states that this run checked.
    now : `datetime.datetime`
        The time, in UTC.
    """
    sent = sa.and_(notices.c.channel == channel, notices.c.difference == differences.c.id)
    query = (
        sa.select(differences, notices.c.signature)
        .select_from(differences.outerjoin(notices, sent))
        .where(differences.c.state.in_(list(states)))
        .where(sa.or_(differences.c.resolved.is_(None), notices.c.signature.is_not(None)))
        .order_by(differences.c.id)
    )
    found = []
    for row in connection.execute(query).all():
        signature = "" if row.resolved else _signature(row, now.date())
        if signature is None:
            _forget(connection, channel, row.id)
        elif signature != row.signature:
            found.append(_make_notice(row, signature))
    return found


def record_notices(connection: Any, channel: str, sent: Collection[Notice], now: datetime.datetime) -> None:
    """Record that a channel was sent some news."""
    for notice in sent:
        _forget(connection, channel, notice.difference)
        if not notice.resolved:
            row = {"channel": channel, "difference": notice.difference, "signature": notice.signature}
            connection.execute(notices.insert().values(**row, sent=format_time(now)))


def _forget(connection: Any, channel: str, difference: int) -> None:
    connection.execute(notices.delete().where(notices.c.channel == channel, notices.c.difference == difference))


def _signature(row: Any, today: datetime.date) -> str | None:
    """Return what an open difference is news by; `None` if nobody has to know it now."""
    cause = Cause(row.cause)
    if cause is Cause.ACKNOWLEDGED:
        ends = datetime.date.fromisoformat(row.acknowledged_until)
        return f"acknowledged until {ends}" if (ends - today).days <= ABOUT_TO_END else None
    if cause is Cause.UNKNOWN:
        return "unknown" if row.times_seen >= 2 else None
    if cause in (Cause.NEW, Cause.WAITING):
        return f"{cause.value} overdue" if row.overdue else None
    if cause is Cause.UNAPPLIED:
        return cause.value  # notified once, however the edited state differs
    return f"{cause.value} {row.fingerprint}"


def _make_notice(row: Any, signature: str) -> Notice:
    return Notice(
        difference=row.id,
        signature=signature,
        cause=Cause(row.cause),
        overdue=bool(row.overdue),
        state=Path(row.state),
        address=row.address,
        text=row.text,
        since=parse_time(row.first_seen),
        commands=tuple(json.loads(row.commands)),
        until=row.acknowledged_until or "",
        resolution=row.resolution or "",
    )

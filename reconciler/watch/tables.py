"""Tables of the history, for SQLAlchemy Core. `reconciler.watch.migrations` creates and changes them.

Their names have a prefix because a facility may keep the history in a PostgreSQL database that it has already. Times are text in
ISO form with milliseconds, in UTC, which sorts as time does and which `reconcile status` reads without SQLAlchemy.
"""

from __future__ import annotations

import datetime

import sqlalchemy as sa

VERSION_TABLE = "reconcile_history_version"

metadata = sa.MetaData()

runs = sa.Table(
    "reconcile_runs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("started", sa.String, nullable=False),
    sa.Column("ended", sa.String),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("user_name", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
)
"""One row for each `reconcile drift`; a run without an end was killed."""

states = sa.Table(
    "reconcile_states",
    metadata,
    sa.Column("path", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("repository", sa.String, nullable=False),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("replaced_by", sa.String),
)
"""State files, and the one that each was renamed to."""

verdicts = sa.Table(
    "reconcile_verdicts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.String, sa.ForeignKey("reconcile_runs.id"), nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("repository", sa.String, nullable=False),
    sa.Column("checked", sa.String, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("verdict", sa.String, nullable=False),
    sa.Column("exit_code", sa.Integer, nullable=False),
    sa.Column("resources", sa.Integer, nullable=False),
    sa.Column("deep", sa.Integer, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("causes", sa.String, nullable=False),
    sa.Column("error", sa.String, nullable=False),
    sa.Column("statements", sa.Integer, nullable=False),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.UniqueConstraint("run", "state", name="reconcile_verdicts_run_state"),
    sa.Index("reconcile_verdicts_state", "state", "checked"),
)
"""The result of each check of each state; causes is a JSON object of numbers of differences."""

differences = sa.Table(
    "reconcile_differences",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("repository", sa.String, nullable=False),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("field", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("desired", sa.Integer, nullable=False),
    sa.Column("first_count", sa.Integer, nullable=False),
    sa.Column("commands", sa.String, nullable=False),
    sa.Column("cause", sa.String, nullable=False),
    sa.Column("overdue", sa.Integer, nullable=False),
    sa.Column("acknowledged_until", sa.String),
    sa.Column("acknowledged_reason", sa.String),
    sa.Column("acknowledged_ticket", sa.String),
    sa.Column("first_seen", sa.String, nullable=False),
    sa.Column("last_seen", sa.String, nullable=False),
    sa.Column("times_seen", sa.Integer, nullable=False),
    sa.Column("resolved", sa.String),
    sa.Column("resolution", sa.String),
    sa.Index(
        "reconcile_differences_open",
        "repository",
        "address",
        "kind",
        "field",
        unique=True,
        sqlite_where=sa.text("resolved is null"),
        postgresql_where=sa.text("resolved is null"),
    ),
    sa.Index("reconcile_differences_state", "state", "resolved"),
)
"""Differences by repository and address, so that they outlive a renamed state file; commands is a JSON array."""

resources = sa.Table(
    "reconcile_resources",
    metadata,
    sa.Column("repository", sa.String, primary_key=True),
    sa.Column("address", sa.String, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("in_sync_at", sa.String, nullable=False),
    sa.Column("table_digest", sa.String, nullable=False),
    sa.Column("inputs_digest", sa.String, nullable=False),
    sa.Column("members", sa.String, nullable=False),
)
"""When each resource was last in sync, and with what; members is a JSON object of [desired, most present]."""

notices = sa.Table(
    "reconcile_notices",
    metadata,
    sa.Column("channel", sa.String, primary_key=True),
    sa.Column("difference", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("signature", sa.String, nullable=False),
    sa.Column("sent", sa.String, nullable=False),
)
"""What each channel of notifications was last sent about a difference; channel is a digest of its URL."""


def format_time(moment: datetime.datetime) -> str:
    """Write a time as the tables have it: ISO form, UTC, milliseconds."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime.datetime:
    """Return the time that a text of the tables means, in UTC."""
    return datetime.datetime.fromisoformat(text)

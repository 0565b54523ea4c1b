"""The first version of the tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "reconcile_runs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("started", sa.String, nullable=False),
        sa.Column("ended", sa.String),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("user_name", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
    )
    op.create_table(
        "reconcile_states",
        sa.Column("path", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("repository", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("replaced_by", sa.String),
    )
    op.create_table(
        "reconcile_verdicts",
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
    )
    op.create_index("reconcile_verdicts_state", "reconcile_verdicts", ["state", "checked"])
    op.create_table(
        "reconcile_differences",
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
    )
    op.create_index(
        "reconcile_differences_open",
        "reconcile_differences",
        ["repository", "address", "kind", "field"],
        unique=True,
        sqlite_where=sa.text("resolved is null"),
        postgresql_where=sa.text("resolved is null"),
    )
    op.create_index("reconcile_differences_state", "reconcile_differences", ["state", "resolved"])
    op.create_table(
        "reconcile_resources",
        sa.Column("repository", sa.String, primary_key=True),
        sa.Column("address", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("in_sync_at", sa.String, nullable=False),
        sa.Column("table_digest", sa.String, nullable=False),
        sa.Column("inputs_digest", sa.String, nullable=False),
        sa.Column("members", sa.String, nullable=False),
    )

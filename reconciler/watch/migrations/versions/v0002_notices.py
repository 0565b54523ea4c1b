"""The second version of the tables: what was notified."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table of notices."""
    op.create_table(
        "reconcile_notices",
        sa.Column("channel", sa.String, primary_key=True),
        sa.Column("difference", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("signature", sa.String, nullable=False),
        sa.Column("sent", sa.String, nullable=False),
    )

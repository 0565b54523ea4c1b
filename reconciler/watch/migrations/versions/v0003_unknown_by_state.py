"""The third version: what could not be checked belongs to a state file, no longer to the repository, which others check too."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Move what could not be checked to the state whose check saw it last."""
    op.execute(
        "update reconcile_differences set resolved = last_seen, resolution = 'checked again' "
        "where kind = 'unknown' and resolved is null and id not in "
        "(select max(id) from reconcile_differences where kind = 'unknown' and resolved is null group by state, address, field)"
    )
    op.execute("update reconcile_differences set repository = 'file:' || state where kind = 'unknown' and resolved is null")

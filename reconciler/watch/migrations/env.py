"""Run by alembic: apply migrations on the connection of the history, within its transaction."""

from alembic import context

from reconciler.watch.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite has it, but alembic doesn't use it unless asked
)
with context.begin_transaction():
    context.run_migrations()

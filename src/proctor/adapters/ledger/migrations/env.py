"""What Alembic runs around the steps: our connection, our transaction, our version table."""

from alembic import context

from proctor.adapters.ledger.schema import VERSION_TABLE, schema_of

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table=VERSION_TABLE,
    version_table_schema=schema_of(connection.dialect.name),
    # SQLite can roll tables back as well; without this Alembic would not believe it.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

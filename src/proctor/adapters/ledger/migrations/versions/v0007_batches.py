"""Batch calls: what the vendor calls them, and all that it takes to settle them anywhere."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0007"
down_revision = "0006"

BATCHES = "proctor_ledger_batches"


def upgrade() -> None:
    """Make the table; whose state is not `ended` is looked for by provider."""
    schema = schema_of(op.get_bind().dialect.name)
    op.create_table(
        BATCHES,
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("ticket", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("started", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index(f"{BATCHES}_open", BATCHES, ["provider", "state"], schema=schema)

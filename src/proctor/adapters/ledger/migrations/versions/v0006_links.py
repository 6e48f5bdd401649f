"""Which answers which rows got, so that they can be read anew."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0006"
down_revision = "0005"

LINKS = "proctor_ledger_links"


def upgrade() -> None:
    """Make the table; whose the answers of before are nobody knows."""
    schema = schema_of(op.get_bind().dialect.name)
    op.create_table(
        LINKS,
        sa.Column("asker", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("seen", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index(f"{LINKS}_key", LINKS, ["key"], schema=schema)

"""Rollouts: where each stands, and the log that it is read from."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0008"
down_revision = "0007"

ROLLOUTS = "proctor_ledger_rollouts"
ENTRIES = "proctor_ledger_rollout_entries"


def upgrade() -> None:
    """Make both; of one name in one environment only one may be under way."""
    schema = schema_of(op.get_bind().dialect.name)
    op.create_table(
        ROLLOUTS,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("open", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("beat", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index(
        f"{ROLLOUTS}_open",
        ROLLOUTS,
        ["env", "name"],
        unique=True,
        schema=schema,
        postgresql_where=sa.text("open = 1"),
        sqlite_where=sa.text("open = 1"),
    )
    op.create_table(
        ENTRIES,
        sa.Column("rollout", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        schema=schema,
    )

"""What providers answered, what they may be asked, and what is held for calls in flight."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the three tables."""
    schema = schema_of(op.get_bind().dialect.name)
    op.create_table(
        "proctor_ledger_answers",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        sa.Column("finish", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("answered_by", sa.Text, nullable=False),
        sa.Column("cost", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_table(
        "proctor_ledger_limits",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_table(
        "proctor_ledger_holds",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("second", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("usd", sa.Text, nullable=False),
        schema=schema,
    )

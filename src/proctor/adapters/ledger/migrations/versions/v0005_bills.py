"""What each run asked of each provider, and whose run a hold is of."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table and the column; holds of before are nobody's."""
    schema = schema_of(op.get_bind().dialect.name)
    op.create_table(
        "proctor_ledger_bills",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("counts", sa.Text, nullable=False),
        schema=schema,
    )
    op.add_column(
        "proctor_ledger_holds",
        sa.Column("run", sa.Text, nullable=False, server_default=""),
        schema=schema,
    )

"""Who holds what, and which questions are in flight."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0003"
down_revision = "0002"

HOLDS = "proctor_ledger_holds"
ASKED = "proctor_ledger_asked"


def upgrade() -> None:
    """Note the process with each hold; of those that are there nobody knows it."""
    schema = schema_of(op.get_bind().dialect.name)
    for name, kind, unknown in (
        ("host", sa.Text, ""),
        ("pid", sa.BigInteger, "0"),
        ("started", sa.Text, ""),
    ):
        column = sa.Column(name, kind, nullable=False, server_default=unknown)
        op.add_column(HOLDS, column, schema=schema)
    op.create_table(
        ASKED,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_index(f"{ASKED}_number", ASKED, ["number"], schema=schema)

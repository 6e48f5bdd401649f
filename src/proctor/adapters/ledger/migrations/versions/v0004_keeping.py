"""For whose function an answer was asked, and whether it may repeat sensitive fields."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0004"
down_revision = "0003"

ANSWERS = "proctor_ledger_answers"


def upgrade() -> None:
    """Of answers that are there nobody knows; so they are shown by nobody."""
    schema = schema_of(op.get_bind().dialect.name)
    for name, kind, unknown in (("backfill", sa.Text, ""), ("sensitive", sa.Integer, "1")):
        column = sa.Column(name, kind, nullable=False, server_default=unknown)
        op.add_column(ANSWERS, column, schema=schema)
    op.create_index(f"{ANSWERS}_run", ANSWERS, ["run"], schema=schema)

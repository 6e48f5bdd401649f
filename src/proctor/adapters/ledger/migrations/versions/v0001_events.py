"""Events in a chain, and the head of the chain."""

import sqlalchemy as sa

from alembic import op

from proctor.adapters.ledger.schema import schema_of

revision = "0001"
down_revision = None

EVENTS = "proctor_ledger_events"
HEAD = "proctor_ledger_head"


def upgrade() -> None:
    """Make both tables; the database itself refuses to change or delete an event."""
    schema = schema_of(op.get_bind().dialect.name)
    op.create_table(
        EVENTS,
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        schema=schema,
    )
    op.create_index(f"{EVENTS}_run", EVENTS, ["run", "number"], schema=schema)
    op.create_index(f"{EVENTS}_name", EVENTS, ["name", "number"], schema=schema)
    head = op.create_table(
        HEAD,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        schema=schema,
    )
    op.bulk_insert(head, [{"id": 1, "number": 0, "hash": "0" * 64}])
    if schema is None:
        _protect_sqlite()
    else:
        _protect_postgres(schema)


def _protect_sqlite() -> None:
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {EVENTS}_{change.lower()} BEFORE {change} ON {EVENTS} "
            "BEGIN SELECT RAISE(ABORT, 'events are never changed'); END"
        )


def _protect_postgres(schema: str) -> None:
    op.execute(
        f"CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'events are never changed'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.{EVENTS} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change()"
    )

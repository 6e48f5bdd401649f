"""The ledger's tables, and bringing them up to date under a lock when it is opened."""

from __future__ import annotations

import threading

from importlib.resources import files
from typing import Final

import sqlalchemy as sa

from proctor.adapters.ledger.engines import WRITES, be_patient
from proctor.adapters.ledger.revision import NEWEST, VERSION_TABLE
from proctor.errors import ConfigError

SCHEMA: Final = "proctor_ledger"
"""The ledger's own schema on Postgres; SQLite has none, so its tables carry the name."""
STAND_IN: Final = "ledger"
"""Stands for the schema in the tables below; the engine puts the real one in."""

metadata = sa.MetaData(schema=STAND_IN)
EVENTS: Final = sa.Table(
    "proctor_ledger_events",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("env", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
HEAD: Final = sa.Table(
    "proctor_ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
ANSWERS: Final = sa.Table(
    "proctor_ledger_answers",
    metadata,
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
    sa.Column("backfill", sa.Text, nullable=False),
    sa.Column("sensitive", sa.Integer, nullable=False),
)
LIMITS: Final = sa.Table(
    "proctor_ledger_limits",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
)
HOLDS: Final = sa.Table(
    "proctor_ledger_holds",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("second", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("usd", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("started", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False, server_default=""),
)
ASKED: Final = sa.Table(
    "proctor_ledger_asked",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
BILLS: Final = sa.Table(
    "proctor_ledger_bills",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("counts", sa.Text, nullable=False),
)
LINKS: Final = sa.Table(
    "proctor_ledger_links",
    metadata,
    sa.Column("asker", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("seen", sa.Text, nullable=False),
)
BATCHES: Final = sa.Table(
    "proctor_ledger_batches",
    metadata,
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
)
ROLLOUTS: Final = sa.Table(
    "proctor_ledger_rollouts",
    metadata,
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
)
ENTRIES: Final = sa.Table(
    "proctor_ledger_rollout_entries",
    metadata,
    sa.Column("rollout", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)

_ALEMBIC: Final = threading.Lock()
"""Alembic keeps what it works on in a global: one upgrade at a time in a process."""
_UPGRADE_LOCK: Final = 0x70726F63746F72  # "proctor" in ASCII


def schema_of(dialect: str) -> str | None:
    """Where the tables live."""
    return SCHEMA if dialect == "postgresql" else None


def upgrade(engine: sa.Engine) -> None:
    """Bring the tables up to date; where two processes try, one does it and the other waits.

    Raises ConfigError if the ledger was made by a newer Proctor.
    """
    with engine.connect() as connection:
        if _is_newest(connection):
            return
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        be_patient(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        # On SQLite the transaction itself is the lock. Look again: the other may have done it.
        if not _is_newest(connection):
            _migrate(connection)


def _is_newest(connection: sa.Connection) -> bool:
    revision = _revision(connection)
    if revision is not None and revision > NEWEST:
        raise ConfigError(
            "this ledger was made by a newer Proctor",
            found=f"its tables are at revision {revision}, this Proctor knows up to {NEWEST}",
            fix="update proctor here, or give this project a ledger of its own in proctor.toml",
        )
    return revision == NEWEST


def _revision(connection: sa.Connection) -> str | None:
    schema = schema_of(connection.dialect.name)
    if not sa.inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    version = sa.table(VERSION_TABLE, sa.column("version_num"), schema=schema)
    return connection.execute(sa.select(version.c.version_num)).scalar()


def _migrate(connection: sa.Connection) -> None:
    # Imported here: only a ledger that is new or old needs it, and it takes a tenth of a second.
    from alembic import command
    from alembic.config import Config

    schema = schema_of(connection.dialect.name)
    if schema is not None and not sa.inspect(connection).has_schema(schema):
        # Asked first: even IF NOT EXISTS wants the right to create one.
        connection.execute(sa.schema.CreateSchema(schema))
    config = Config()
    place = str(files("proctor.adapters.ledger").joinpath("migrations"))
    config.set_main_option("script_location", place.replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ALEMBIC:
        command.upgrade(config, "head")
    if schema is not None:
        for what in (f"SCHEMA {schema}", f"ALL TABLES IN SCHEMA {schema}"):
            connection.exec_driver_sql(f"REVOKE ALL ON {what} FROM PUBLIC")


__all__ = [
    "ANSWERS",
    "ASKED",
    "BATCHES",
    "BILLS",
    "ENTRIES",
    "EVENTS",
    "HEAD",
    "HOLDS",
    "LIMITS",
    "LINKS",
    "NEWEST",
    "ROLLOUTS",
    "SCHEMA",
    "STAND_IN",
    "VERSION_TABLE",
    "schema_of",
    "upgrade",
]

"""SQLAlchemy engines with the manners of a ledger: one connection, polite to poolers."""

from __future__ import annotations

import sqlite3
import time

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from proctor.errors import ConfigError

WRITES: Final = "proctor_writes"
"""Execution option of a connection whose transaction will write."""
WAIT_S: Final = 30
"""Seconds to wait for other processes before giving up."""
STANDBY: Final = "25006"
"""What a Postgres that takes no writes (or none any more) says to one."""

_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def make_engine(url: str) -> sa.Engine:
    """An engine for a URL; nothing is connected yet. ConfigError if the URL is not for us."""
    try:
        address = sa.make_url(url)
        driver = _DRIVERS[address.drivername]
    except (sa.exc.ArgumentError, ValueError, KeyError):
        # From None: the cause shows the URL, and the URL the password.
        raise ConfigError(
            "the ledger's URL is not one that Proctor knows",
            found=f"it begins with {url.partition(':')[0]}:" if "://" in url else "no ://",
            fix="write sqlite:///.proctor/ledger.db or postgresql://user@host/database",
        ) from None
    address = address.set(drivername=driver)
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "hide_parameters": True}
    if driver.startswith("sqlite"):
        return _sqlite(address, options)
    return _postgres(address, options)


def _sqlite(address: sa.URL, options: dict[str, Any]) -> sa.Engine:
    file = address.database
    if file and file != ":memory:" and not file.startswith("file:"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        address,
        poolclass=sa.QueuePool,
        connect_args={"timeout": WAIT_S, "check_same_thread": False},
        **options,
    )
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions begin late and leave tables out: we begin them ourselves.
    connection.isolation_level = None
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            # SQLite does not wait here by itself when two processes open a new file at once.
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later could not wait for another writer.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres(address: sa.URL, options: dict[str, Any]) -> sa.Engine:
    polite = {"connect_timeout": "10", "application_name": "proctor-ledger"}
    address = address.update_query_dict({**polite, **address.query})
    try:
        engine = sa.create_engine(
            address,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            # A pooler in transaction mode knows no prepared statements of ours.
            connect_args={"prepare_threshold": None},
            **options,
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a ledger on Postgres needs the driver psycopg",
            found=f"no module named {error.name}",
            fix="pip install 'proctor[postgres]'",
        ) from None
    sa.event.listen(engine, "handle_error", _leave_a_standby)
    return engine


def _leave_a_standby(context: sa.engine.ExceptionContext) -> None:
    # After a failover an old connection would lead to the server that was the primary for ever.
    if getattr(context.original_exception, "sqlstate", None) == STANDBY:
        context.is_disconnect = True


def be_patient(connection: sa.Connection) -> None:
    """Bound how long this transaction waits; a pooler hands the connection on after it."""
    if connection.dialect.name == "postgresql":
        bounds = {
            "lock_timeout": WAIT_S,
            "statement_timeout": 2 * WAIT_S,
            "idle_in_transaction_session_timeout": 2 * WAIT_S,
        }
        connection.execute(
            sa.select(*(sa.func.set_config(k, f"{v}s", True) for k, v in bounds.items()))
        )


__all__ = ["STANDBY", "WAIT_S", "WRITES", "be_patient", "make_engine"]

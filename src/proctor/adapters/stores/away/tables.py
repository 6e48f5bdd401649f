"""The tables of runs and chunks in the ledger's database, and their rows as nouns."""

from __future__ import annotations

import json

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.ledger.schema import STAND_IN, schema_of
from proctor.adapters.stores import records
from proctor.errors import ConfigError
from proctor.model import (
    OUTCOME_FIELDS,
    Chunk,
    ChunkRecord,
    ChunkState,
    Lease,
    Outcome,
    Run,
    RunState,
)

VERSION: Final = 2
OPEN_LOCK: Final = 0x70726F63746F73
"""The advisory lock under which runs are opened on Postgres; on SQLite the transaction is it."""
ACTIVE: Final = tuple(
    s.value
    for s in (RunState.RUNNING, RunState.PAUSING, RunState.CANCELLING, RunState.ROLLING_BACK)
)
"""States in which a run has, or had, a holder."""
OCCUPYING: Final = (
    *ACTIVE,
    *(s.value for s in (RunState.QUEUED, RunState.PAUSED, RunState.FAILED)),
)

metadata = sa.MetaData(schema=STAND_IN)
META: Final = sa.Table(
    "proctor_away_meta",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)


def _texts(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, nullable=null) for name in names]


RUNS: Final = sa.Table(
    "proctor_away_runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    *_texts("home", "backfill", "version", "env", "target", "place", "fills", "writes", "state"),
    *_texts("span", "digest", "params", "spec", "created", "tuning", "reason"),
    *_texts("started", "ended", "heartbeat", "held_until", "holder", null=True),
    *_texts("last", "cursor", "still_eligible", null=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("expected", sa.BigInteger),
    sa.Column("estimated", sa.Boolean, nullable=False),
    sa.Column("exhausted", sa.Boolean, nullable=False),
    sa.Column("cut", sa.BigInteger, nullable=False),
    sa.Column("sweep", sa.Integer, nullable=False),
    sa.Column("chunks", sa.BigInteger, nullable=False),
)
"""`home` says which environment and database a run belongs to: several may share a ledger."""
_occupies = RUNS.c.state.in_(OCCUPYING)
sa.Index(
    "proctor_away_one_active",
    *(RUNS.c.home, RUNS.c.place, RUNS.c.fills),
    unique=True,
    postgresql_where=_occupies,
    sqlite_where=_occupies,
)
CHUNKS: Final = sa.Table(
    "proctor_away_chunks",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    *_texts("upto", "state", "worker", "code"),
    *_texts("after", "keys", "claimed_until", "applied", "intent", "token", null=True),
    *(sa.Column(n, sa.Integer, nullable=False) for n in ("sweep", "attempt", "revisited", "fence")),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in OUTCOME_FIELDS),
    sa.Column("took", sa.Float, nullable=False),
    sa.Column("undone", sa.Boolean, nullable=False),
    sa.Column("undo_rows", sa.Integer, nullable=False),
    sa.Column("undo_books", sa.Text),
    sa.Column("undo", sa.LargeBinary),
    sa.Column("undo_left", sa.LargeBinary),
    sa.Column("issues", sa.LargeBinary),
    sa.Column("intent_undo", sa.LargeBinary),
    sa.Column("intent_issues", sa.LargeBinary),
)
"""`intent`, its blobs and its `token` stand between a write in the data and its settling here."""
sa.Index("proctor_away_to_do", CHUNKS.c.run, CHUNKS.c.state)

_NEW: Final = {
    "code": "",
    "took": 0.0,
    "undone": False,
    "undo_rows": 0,
    **dict.fromkeys(OUTCOME_FIELDS, 0),
}


STEPS: Final = {
    2: {RUNS.c.estimated: "DEFAULT false NOT NULL", CHUNKS.c.undo_books: "", CHUNKS.c.undo_left: ""}
}
"""The columns that a version of the tables added to the one before, and what stands in them."""


def version_of(connection: sa.Connection) -> int:
    """The version of the tables, which are there."""
    return connection.execute(sa.select(META.c.version)).scalar() or 0


def upgrade(connection: sa.Connection) -> None:
    """Bring older tables to this version; they are the ledger's, and so ours to change."""
    lock(connection)
    version = version_of(connection)
    prefix = f"{schema}." if (schema := schema_of(connection.dialect.name)) else ""
    for number in range(version + 1, VERSION + 1):
        for column, filled in STEPS[number].items():
            kind = column.type.compile(connection.dialect)
            connection.exec_driver_sql(
                f'ALTER TABLE {prefix}"{column.table.name}" ADD COLUMN "{column.name}" '
                f"{kind} {filled}"
            )
    if version < VERSION:
        connection.execute(sa.update(META).values(version=VERSION))


def present(connection: sa.Connection) -> bool:
    """Whether the tables are there; ConfigError where a newer Proctor made them."""
    schema = schema_of(connection.dialect.name)
    if not sa.inspect(connection).has_table(META.name, schema=schema):
        return False
    version = version_of(connection)
    if version > VERSION:
        raise ConfigError(
            "the progress in this ledger was kept by a newer Proctor",
            found=f"its tables have version {version}, this Proctor knows {VERSION}",
            fix="upgrade Proctor",
        )
    return True


def ensure(connection: sa.Connection) -> None:
    """Make the tables where they are missing; to be called under the opening lock."""
    if present(connection):
        return
    schema = schema_of(connection.dialect.name)
    if schema is not None and not sa.inspect(connection).has_schema(schema):
        connection.execute(sa.schema.CreateSchema(schema))
    metadata.create_all(connection)
    connection.execute(sa.insert(META).values(id=1, version=VERSION))
    if schema is not None:
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f'REVOKE ALL ON {schema}."{table.name}" FROM PUBLIC')


def clock(connection: sa.Connection) -> datetime:
    """The time by which leases run: the server's own, where there is a server."""
    if connection.dialect.name != "postgresql":
        return datetime.now(UTC)
    moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def lock(connection: sa.Connection) -> None:
    """Keep others from opening a run until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(OPEN_LOCK)))


def hold(connection: sa.Connection, run: str) -> None:
    """Lock a run's row until this transaction ends; on SQLite the transaction is the lock.

    Whoever locks several of a run's chunks, or a chunk and its run, comes here first: two that
    took them in different orders would each wait for the other.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(RUNS.c.id).where(RUNS.c.id == run).with_for_update())


def new_chunk(chunk: Chunk, **state: Any) -> dict[str, Any]:
    """The row of a new chunk; open unless `state` says otherwise."""
    return {
        "run": chunk.run,
        "number": chunk.number,
        "after": records.key_to_json(chunk.after),
        "upto": records.to_json(chunk.upto),
        "keys": records.keys_to_json(chunk.keys),
        "sweep": chunk.sweep,
        "attempt": chunk.attempt,
        "revisited": chunk.revisited,
        "state": ChunkState.OPEN.value,
        "fence": 0,
        "worker": "",
        "claimed_until": None,
        **_NEW,
        **state,
    }


def chunk_of(row: sa.RowMapping) -> Chunk:
    """A chunk's row as a noun."""
    return Chunk(
        run=row["run"],
        number=row["number"],
        after=records.key_from_json(row["after"]),
        upto=tuple(json.loads(row["upto"])),
        keys=records.keys_from_json(row["keys"]),
        sweep=row["sweep"],
        attempt=row["attempt"],
        revisited=row["revisited"],
    )


def lease_of(row: sa.RowMapping) -> Lease:
    """A claimed chunk's row as a lease."""
    until = records.time_from_text(row["claimed_until"]) or datetime.now(UTC)
    return Lease(chunk=chunk_of(row), fence=row["fence"], worker=row["worker"], until=until)


def outcome_of(row: sa.RowMapping) -> Outcome:
    """The bucket columns as books."""
    return Outcome(**{name: int(row[name]) for name in OUTCOME_FIELDS})


def record_of(row: sa.RowMapping) -> ChunkRecord:
    """A chunk's row as what reports and rollback are made of."""
    return ChunkRecord(
        chunk=chunk_of(row),
        state=ChunkState(row["state"]),
        fence=row["fence"],
        worker=row["worker"],
        code=row["code"],
        applied=records.time_from_text(row["applied"]),
        took=timedelta(seconds=row["took"]),
        undone=row["undone"],
        has_undo=row["has_undo"],
        undo_rows=row["undo_rows"],
        taken_back=records.undone_from_json(row["undo_books"]),
        outcome=outcome_of(row),
    )


RECORD: Final = [
    *(c for c in CHUNKS.c if not isinstance(c.type, sa.LargeBinary) and c.name != "intent"),
    CHUNKS.c.undo.is_not(None).label("has_undo"),
]


def read_runs(connection: sa.Connection, where: Sequence[Any], *order: Any) -> list[Run]:
    """Runs with their books."""
    books = (
        sa.select(
            CHUNKS.c.run,
            *(
                sa.func.sum(CHUNKS.c[n] - CHUNKS.c.revisited).label(n)
                if n in ("read", "conflicted")
                else sa.func.sum(CHUNKS.c[n]).label(n)
                for n in OUTCOME_FIELDS
            ),
        )
        .where(CHUNKS.c.state == ChunkState.APPLIED.value)
        .group_by(CHUNKS.c.run)
        .subquery()
    )
    sums = [sa.func.coalesce(books.c[name], 0).label(name) for name in OUTCOME_FIELDS]
    joined = RUNS.outerjoin(books, books.c.run == RUNS.c.id)
    query = sa.select(RUNS, *sums).select_from(joined).where(*where).order_by(*order)
    now = clock(connection)
    return [_run_of(row, now) for row in connection.execute(query).mappings()]


def _run_of(row: sa.RowMapping, now: datetime) -> Run:
    held = records.time_from_text(row["held_until"])
    return Run(
        id=row["id"],
        backfill=row["backfill"],
        version=row["version"],
        env=row["env"],
        target=row["target"],
        fills=tuple(json.loads(row["fills"])),
        state=RunState(row["state"]),
        epoch=row["epoch"],
        span=records.span_from_json(row["span"]),
        digest=row["digest"],
        params=row["params"],
        created=datetime.fromisoformat(row["created"]),
        started=records.time_from_text(row["started"]),
        ended=records.time_from_text(row["ended"]),
        heartbeat=records.time_from_text(row["heartbeat"]),
        holder=records.holder_from_json(row["holder"]),
        tuning=records.tuning_from_json(row["tuning"]),
        reason=row["reason"],
        last=records.key_from_json(row["last"]),
        expected=row["expected"],
        estimated=row["estimated"],
        cursor=records.key_from_json(row["cursor"]),
        sweep=row["sweep"],
        still_eligible=records.counts_from_json(row["still_eligible"]),
        place=row["place"],
        writes=tuple(json.loads(row["writes"])),
        interrupted=row["state"] in ACTIVE and held is not None and held < now,
        outcome=outcome_of(row),
    )

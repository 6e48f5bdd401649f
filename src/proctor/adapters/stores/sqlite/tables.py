"""Proctor's own tables in the user's file: made, upgraded, and read back as nouns."""

from __future__ import annotations

import json
import sqlite3

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from proctor.adapters.stores.records import (
    counts_from_json,
    holder_from_json,
    key_from_json,
    keys_from_json,
    outcome_from_json,
    span_from_json,
    time_from_text,
    tuning_from_json,
    undone_from_json,
)
from proctor.adapters.stores.sqlite.session import utc_now
from proctor.errors import TargetError, UsageError
from proctor.model import (
    OUTCOME_FIELDS,
    Chunk,
    ChunkRecord,
    ChunkState,
    Outcome,
    Run,
    RunState,
)

STEPS: Final = (
    """
    CREATE TABLE proctor_runs (
        id TEXT PRIMARY KEY, backfill TEXT NOT NULL, version TEXT NOT NULL, env TEXT NOT NULL,
        target TEXT NOT NULL, fills TEXT NOT NULL, writes TEXT NOT NULL, state TEXT NOT NULL,
        epoch INTEGER NOT NULL, spec TEXT NOT NULL, span TEXT NOT NULL, digest TEXT NOT NULL,
        params TEXT NOT NULL, created TEXT NOT NULL, started TEXT, ended TEXT, heartbeat TEXT,
        lease REAL NOT NULL, holder TEXT, tuning TEXT, reason TEXT NOT NULL DEFAULT '',
        last TEXT, expected INTEGER, cursor TEXT, sweep INTEGER NOT NULL DEFAULT 0,
        still_eligible TEXT,
        read INTEGER NOT NULL DEFAULT 0, written INTEGER NOT NULL DEFAULT 0,
        unchanged INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0,
        refused INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
        conflicted INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX proctor_runs_active ON proctor_runs (target, fills) WHERE state IN
        ('queued', 'running', 'pausing', 'cancelling', 'rolling_back', 'paused', 'failed');
    CREATE TABLE proctor_chunks (
        run TEXT NOT NULL REFERENCES proctor_runs (id), number INTEGER NOT NULL,
        after TEXT, upto TEXT NOT NULL, sweep INTEGER NOT NULL, attempt INTEGER NOT NULL,
        revisited INTEGER NOT NULL, planned INTEGER NOT NULL, state TEXT NOT NULL,
        fence INTEGER NOT NULL, claimed_until TEXT, worker TEXT NOT NULL DEFAULT '',
        outcome TEXT, code TEXT NOT NULL DEFAULT '', applied TEXT,
        took REAL NOT NULL DEFAULT 0, undone INTEGER NOT NULL DEFAULT 0,
        has_undo INTEGER NOT NULL DEFAULT 0, keys TEXT, issues BLOB, undo BLOB,
        PRIMARY KEY (run, number)
    );
    CREATE INDEX proctor_chunks_to_do ON proctor_chunks (run, number)
        WHERE state IN ('open', 'claimed');
    """,
    """
    ALTER TABLE proctor_runs ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE proctor_chunks ADD COLUMN undo_rows INTEGER;
    ALTER TABLE proctor_chunks ADD COLUMN undo_books TEXT;
    ALTER TABLE proctor_chunks ADD COLUMN undo_left BLOB;
    """,
    """
    CREATE TABLE proctor_units (
        backfill TEXT NOT NULL, unit TEXT NOT NULL, state TEXT NOT NULL,
        attempts INTEGER NOT NULL, run TEXT NOT NULL, version TEXT NOT NULL,
        started TEXT, completed TEXT, emitted INTEGER NOT NULL, metrics TEXT NOT NULL,
        reason TEXT NOT NULL, before TEXT,
        PRIMARY KEY (backfill, unit)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE proctor_touches (
        run TEXT NOT NULL, unit TEXT NOT NULL, backfill TEXT NOT NULL, noted TEXT NOT NULL,
        seen TEXT, books TEXT NOT NULL DEFAULT '[]', undone INTEGER NOT NULL DEFAULT 0,
        before BLOB, after BLOB, PRIMARY KEY (run, unit)
    );
    CREATE INDEX proctor_touches_unit ON proctor_touches (backfill, unit) WHERE undone;
    """,
    """
    UPDATE proctor_units SET backfill = backfill || ' in ' ||
        (SELECT target FROM proctor_runs WHERE id = proctor_units.run)
        WHERE run IN (SELECT id FROM proctor_runs);
    """,
)
"""Every version's step from the one before it; a step that was released is never changed."""

OCCUPYING: Final = (
    "queued",
    "running",
    "pausing",
    "cancelling",
    "rolling_back",
    "paused",
    "failed",
)
ACTIVE: Final = ("queued", "running", "pausing", "cancelling", "rolling_back")

RUN_FIELDS: Final = (
    "id",
    "backfill",
    "version",
    "env",
    "target",
    "fills",
    "state",
    "epoch",
    "span",
    "digest",
    "params",
    "created",
    "started",
    "ended",
    "heartbeat",
    "lease",
    "holder",
    "tuning",
    "reason",
    "last",
    "expected",
    "estimated",
    "cursor",
    "sweep",
    "still_eligible",
    "writes",
)
_SINCE: Final = {
    "estimated": "(SELECT estimated FROM proctor_runs AS same WHERE same.id = proctor_runs.id)"
}
"""Columns of a later step, under whose names a table without them finds those of `proctor_new`."""
RUN_COLUMNS: Final = ", ".join(_SINCE.get(f, f) for f in (*RUN_FIELDS, *OUTCOME_FIELDS))
RUNS: Final = f"SELECT {RUN_COLUMNS} FROM proctor_runs, (SELECT 0 AS estimated) AS proctor_new"
"""Runs in the order of RUN_COLUMNS, also where an older Proctor made the tables."""
CHUNK_COLUMNS: Final = (
    "run, number, after, upto, keys, sweep, attempt, revisited, state, fence, worker, outcome, "
    "code, applied, took, undone, has_undo"
)
UNDO_COLUMNS: Final = "undo_rows, undo_books"
UNDO_STEP: Final = 2
"""The version from which on the chunks have these."""


def version_of(connection: sqlite3.Connection) -> int:
    """The version of Proctor's tables here; 0 where there are none."""
    there = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'proctor_meta' "
        "UNION ALL SELECT 1 FROM sqlite_temp_master WHERE name = 'proctor_meta'"
    ).fetchone()
    if not there:
        return 0
    row = connection.execute("SELECT value FROM proctor_meta WHERE key = 'version'").fetchone()
    return int(row[0])


def ready(connection: sqlite3.Connection) -> bool:
    """Whether runs can be looked up; TargetError where a newer Proctor made the tables."""
    version = version_of(connection)
    refuse_newer(version, len(STEPS))
    return version > 0


def refuse_newer(version: int, known: int) -> None:
    """An older Proctor keeps its hands off tables that it does not understand."""
    if version > known:
        raise TargetError(
            "a newer Proctor keeps its runs in this database",
            found=f"its tables have version {version}, this Proctor knows {known}",
            fix="upgrade Proctor here too",
        )


def upgrade(connection: sqlite3.Connection, steps: Sequence[str] = STEPS) -> None:
    """Bring Proctor's tables to this version, inside the caller's write transaction."""
    version = version_of(connection)
    refuse_newer(version, len(steps))
    if version == 0:
        connection.execute("CREATE TABLE proctor_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.execute("INSERT INTO proctor_meta VALUES ('version', '0')")
    for step in steps[version:]:
        for statement in step.split(";"):
            if statement.strip():
                connection.execute(statement)
    connection.execute("UPDATE proctor_meta SET value = ? WHERE key = 'version'", (len(steps),))


def run_of(row: Sequence[Any]) -> Run:
    """A run from its row in the order of RUN_COLUMNS."""
    raw = dict(zip(RUN_FIELDS, row, strict=False))
    beat = time_from_text(raw["heartbeat"])
    dead = beat is None or utc_now() > beat + timedelta(seconds=raw["lease"])
    return Run(
        id=raw["id"],
        backfill=raw["backfill"],
        version=raw["version"],
        env=raw["env"],
        target=raw["target"],
        fills=tuple(json.loads(raw["fills"])),
        state=RunState(raw["state"]),
        epoch=raw["epoch"],
        span=span_from_json(raw["span"]),
        digest=raw["digest"],
        params=raw["params"],
        created=datetime.fromisoformat(raw["created"]),
        started=time_from_text(raw["started"]),
        ended=time_from_text(raw["ended"]),
        heartbeat=beat,
        holder=holder_from_json(raw["holder"]),
        tuning=tuning_from_json(raw["tuning"]),
        reason=raw["reason"],
        last=key_from_json(raw["last"]),
        expected=raw["expected"],
        estimated=bool(raw["estimated"]),
        cursor=key_from_json(raw["cursor"]),
        sweep=raw["sweep"],
        still_eligible=counts_from_json(raw["still_eligible"]),
        place=raw["target"],
        writes=tuple(json.loads(raw["writes"])),
        interrupted=raw["state"] in ACTIVE and dead,
        outcome=Outcome(**dict(zip(OUTCOME_FIELDS, row[len(RUN_FIELDS) :], strict=True))),
    )


def find_run(connection: sqlite3.Connection, name: str) -> Run:
    """A run by its id or an unambiguous beginning; UsageError where there is none."""
    rows: list[tuple[Any, ...]] = []
    if ready(connection):
        rows = connection.execute(f"{RUNS} WHERE id = ?", (name,)).fetchall()
        if not rows and name:
            rows = connection.execute(
                f"{RUNS} WHERE substr(id, 1, length(:name)) = :name ORDER BY id", {"name": name}
            ).fetchall()
    if len(rows) == 1:
        return run_of(rows[0])
    if rows:
        ids = ", ".join(str(r[0]) for r in rows[:5])
        raise UsageError(f"{name} begins the id of several runs", found=ids, fix="type more of it")
    raise UsageError(
        f"there is no run {name}",
        found="no run with that id in this database",
        fix="see `proctor status` for the runs that there are",
    )


def chunk_of(row: Sequence[Any]) -> Chunk:
    """A chunk from the first columns of CHUNK_COLUMNS."""
    run, number, after, upto, keys, sweep, attempt, revisited = row[:8]
    return Chunk(
        run=run,
        number=number,
        after=key_from_json(after),
        upto=key_from_json(upto) or (),
        keys=keys_from_json(keys),
        sweep=sweep,
        attempt=attempt,
        revisited=revisited,
    )


def record_of(row: Sequence[Any]) -> ChunkRecord:
    """A chunk's record from its row in the order of CHUNK_COLUMNS and UNDO_COLUMNS."""
    state, fence, worker, outcome, code, applied, took, undone, has_undo = row[8:17]
    undo_rows, books = row[17:]
    return ChunkRecord(
        chunk=chunk_of(row),
        state=ChunkState(state),
        fence=fence,
        worker=worker,
        outcome=outcome_from_json(outcome),
        code=code,
        applied=time_from_text(applied),
        took=timedelta(seconds=took),
        undone=bool(undone),
        has_undo=bool(has_undo),
        undo_rows=undo_rows,
        taken_back=undone_from_json(books),
    )


def keeps_undo_books(connection: sqlite3.Connection) -> bool:
    """Whether the chunks have UNDO_COLUMNS: who only looks must not upgrade the tables."""
    return version_of(connection) >= UNDO_STEP


def insert(connection: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> None:
    """One row into a table of ours."""
    names = ", ".join(values)
    places = ", ".join(f":{n}" for n in values)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", dict(values))


def next_number(connection: sqlite3.Connection, run: str) -> int:
    """The number of a run's next chunk."""
    (number,) = connection.execute(
        "SELECT coalesce(max(number), 0) + 1 FROM proctor_chunks WHERE run = ?", (run,)
    ).fetchone()
    return int(number)

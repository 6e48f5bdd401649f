"""Proctor's own tables in the target: made, upgraded and read back as nouns."""

from __future__ import annotations

import json

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import psycopg

from proctor.adapters.stores import records
from proctor.adapters.stores.postgres.literal import ident, text
from proctor.adapters.stores.postgres.pool import Transaction
from proctor.errors import Denied, TargetError
from proctor.model import (
    OUTCOME_FIELDS,
    Chunk,
    ChunkRecord,
    ChunkState,
    Outcome,
    Run,
    RunState,
)

OPEN_LOCK: Final = 0x70726F63746F72
"""The transaction-level advisory lock under which runs are opened: "proctor" in ASCII."""

BUCKETS: Final = ", ".join(f"{f} bigint NOT NULL DEFAULT 0" for f in OUTCOME_FIELDS)

FIRST: Final = f"""
CREATE SCHEMA IF NOT EXISTS proctor;
REVOKE ALL ON SCHEMA proctor FROM PUBLIC;
COMMENT ON SCHEMA proctor IS 'Progress and undo data of backfills; kept by Proctor';
CREATE TABLE proctor.meta (version int NOT NULL);
CREATE TABLE proctor.runs (
  id text PRIMARY KEY, backfill text NOT NULL, version text NOT NULL, env text NOT NULL,
  target text NOT NULL, place text NOT NULL, fills text[] NOT NULL, writes text[] NOT NULL,
  state text NOT NULL, epoch int NOT NULL, span text NOT NULL, digest text NOT NULL,
  params text NOT NULL, spec text NOT NULL, created timestamptz NOT NULL, started timestamptz,
  ended timestamptz, heartbeat timestamptz, held_until timestamptz, holder text,
  tuning text NOT NULL, reason text NOT NULL DEFAULT '', last text, expected bigint,
  cursor text, exhausted boolean NOT NULL, cut bigint NOT NULL DEFAULT 0,
  sweep int NOT NULL DEFAULT 0, still_eligible text);
CREATE UNIQUE INDEX runs_one_active ON proctor.runs (place, fills)
  WHERE state IN ('queued', 'running', 'pausing', 'cancelling', 'rolling_back', 'paused', 'failed');
CREATE TABLE proctor.counters (run text PRIMARY KEY, chunks bigint NOT NULL);
CREATE TABLE proctor.chunks (
  run text NOT NULL, number bigint NOT NULL, after text, upto text NOT NULL, keys text,
  sweep int NOT NULL DEFAULT 0, attempt int NOT NULL DEFAULT 1, revisited int NOT NULL DEFAULT 0,
  state text NOT NULL, fence int NOT NULL DEFAULT 0, worker text NOT NULL DEFAULT '',
  claimed_until timestamptz, {BUCKETS}, code text NOT NULL DEFAULT '', applied timestamptz,
  took interval NOT NULL DEFAULT '0', undone boolean NOT NULL DEFAULT false,
  undo bytea, undo_rows int NOT NULL DEFAULT 0, issues bytea, PRIMARY KEY (run, number));
ALTER TABLE proctor.chunks ALTER COLUMN undo SET STORAGE EXTERNAL,
  ALTER COLUMN issues SET STORAGE EXTERNAL;
CREATE INDEX chunks_to_do ON proctor.chunks (run, number) WHERE state IN ('open', 'claimed');
REVOKE ALL ON ALL TABLES IN SCHEMA proctor FROM PUBLIC;
INSERT INTO proctor.meta VALUES (1)"""

SECOND: Final = """
ALTER TABLE proctor.runs ADD COLUMN estimated boolean NOT NULL DEFAULT false;
ALTER TABLE proctor.chunks ADD COLUMN undo_books text, ADD COLUMN undo_left bytea"""

THIRD: Final = """
CREATE TABLE proctor.units (
  backfill text NOT NULL, unit jsonb NOT NULL, state text NOT NULL, attempts int NOT NULL,
  run text NOT NULL, version text NOT NULL, started timestamptz, completed timestamptz,
  emitted int NOT NULL, metrics jsonb NOT NULL, reason text NOT NULL, before text,
  PRIMARY KEY (backfill, unit));
REVOKE ALL ON proctor.units FROM PUBLIC"""

FOURTH: Final = """
CREATE TABLE proctor.touches (
  run text NOT NULL, unit text NOT NULL, backfill text NOT NULL, noted timestamptz NOT NULL,
  seen timestamptz, books text NOT NULL DEFAULT '[]', undone boolean NOT NULL DEFAULT false,
  before bytea, after bytea, PRIMARY KEY (run, unit));
ALTER TABLE proctor.touches ALTER COLUMN before SET STORAGE EXTERNAL,
  ALTER COLUMN after SET STORAGE EXTERNAL;
CREATE INDEX touches_unit ON proctor.touches (backfill, unit) WHERE undone;
REVOKE ALL ON proctor.touches FROM PUBLIC"""

FIFTH: Final = """
UPDATE proctor.units AS u SET backfill = u.backfill || ' in ' || r.place
FROM proctor.runs AS r WHERE r.id = u.run"""

MIGRATIONS: Final = (FIRST, SECOND, THIRD, FOURTH, FIFTH)
"""Each brings the tables from the version that is its position to the next; only ever added to."""
VERSION: Final = len(MIGRATIONS)

ACTIVE: Final = "('running', 'pausing', 'cancelling', 'rolling_back')"
"""States in which a run has, or had, a holder; as core/lifecycle says, out of reach here."""
OCCUPYING: Final = (
    "('queued', 'running', 'pausing', 'cancelling', 'rolling_back', 'paused', 'failed')"
)

PRESENT: Final = "SELECT pg_catalog.to_regclass('proctor.meta') IS NOT NULL"
WHOSE: Final = """
SELECT current_database(), current_user, (SELECT pg_catalog.min(tableowner::text)
FROM pg_catalog.pg_tables WHERE schemaname = 'proctor' AND tablename = 'runs')"""


async def version_of(work: Transaction) -> int:
    """The version of the tables, 0 where there are none; TargetError for one that is newer."""
    ((there,),) = await work.fetch(PRESENT)
    if not there:
        return 0
    ((version,),) = await work.fetch("SELECT version FROM proctor.meta")
    if version > VERSION:
        raise newer(version)
    return int(version)


async def ensure(work: Transaction, version: int) -> None:
    """Make the tables, or bring them up to date; to be called under the opening lock."""
    for number in range(version, VERSION):
        await work.run(MIGRATIONS[number])
    if version < VERSION:  # the first step says 1
        await work.run(f"UPDATE proctor.meta SET version = {VERSION}")


def newer(version: int) -> TargetError:
    """The tables were made by a newer Proctor."""
    return TargetError(
        "Proctor's tables in this database are newer than this Proctor",
        found=f"they have version {version}, this Proctor knows {VERSION}",
        fix="upgrade Proctor",
    )


def grants(database: str, role: str) -> str:
    """What lets a role keep Proctor's tables in a database."""
    to = ident(role)
    return (
        f"GRANT CREATE ON DATABASE {ident(database)} TO {to}; or, where the schema is there: "
        f"GRANT USAGE ON SCHEMA proctor TO {to}; GRANT ALL ON ALL TABLES IN SCHEMA proctor TO {to}"
    )


async def refused(work: Transaction, version: int, error: psycopg.Error) -> Denied:
    """Why the role may not make or use the tables, or alter older ones; the transaction is over."""
    said = error.diag.message_primary or "not allowed"
    await work.rollback()
    ((database, role, owner),) = await work.fetch(WHOSE)
    if 0 < version < VERSION:
        return Denied(
            "Proctor's tables here were made by an older Proctor, and this role may not alter them",
            found=f"{role}: {said}",
            fix=f"run it once as their owner {owner}, or GRANT {ident(owner)} TO {ident(role)}",
        )
    return Denied(
        "the role may not keep Proctor's tables in this database",
        found=f"{role}: {said}",
        fix=f'{grants(database, role)}. Where no table may be made here: progress = "ledger" in '
        "this environment's section of proctor.toml (docs/ledger-mode.md says what that loses)",
    )


_RUN_COLUMNS: Final = (
    *("id", "backfill", "version", "env", "target", "fills", "state", "epoch", "span"),
    *("digest", "params", "created", "started", "ended", "heartbeat", "holder", "tuning"),
    *("reason", "last", "expected", "estimated", "cursor", "sweep", "still_eligible"),
    *("place", "writes"),
)
_SUMS: Final = ", ".join(
    f"coalesce(sum(c.{f}{' - c.revisited' if f in ('read', 'conflicted') else ''}), 0)::int8"
    for f in OUTCOME_FIELDS
)
RUNS: Final = f"""
SELECT {", ".join(f"r.{c}" for c in _RUN_COLUMNS)},
  r.state IN {ACTIVE} AND r.held_until < pg_catalog.clock_timestamp(), o.books
FROM (SELECT false AS estimated) AS proctor_new CROSS JOIN LATERAL (
  SELECT {", ".join(_RUN_COLUMNS)}, held_until FROM proctor.runs) r CROSS JOIN LATERAL (
  SELECT ARRAY[{_SUMS}] AS books FROM proctor.chunks c
  WHERE c.run = r.id AND c.state = 'applied') o"""


def run_of(row: Sequence[Any]) -> Run:
    """A row of RUNS as a noun."""
    raw = dict(zip(_RUN_COLUMNS, row, strict=False))
    return Run(
        id=raw["id"],
        backfill=raw["backfill"],
        version=raw["version"],
        env=raw["env"],
        target=raw["target"],
        fills=tuple(raw["fills"]),
        state=RunState(raw["state"]),
        epoch=raw["epoch"],
        span=records.span_from_json(raw["span"]),
        digest=raw["digest"],
        params=raw["params"],
        created=raw["created"],
        started=raw["started"],
        ended=raw["ended"],
        heartbeat=raw["heartbeat"],
        holder=records.holder_from_json(raw["holder"]),
        tuning=records.tuning_from_json(raw["tuning"]),
        reason=raw["reason"],
        last=records.key_from_json(raw["last"]),
        expected=raw["expected"],
        estimated=raw["estimated"],
        cursor=records.key_from_json(raw["cursor"]),
        sweep=raw["sweep"],
        still_eligible=records.counts_from_json(raw["still_eligible"]),
        place=raw["place"],
        writes=tuple(raw["writes"]),
        interrupted=bool(row[-2]),
        outcome=Outcome(**dict(zip(OUTCOME_FIELDS, row[-1], strict=True))),
    )


CHUNK: Final = "run, number, after, upto, keys, sweep, attempt, revisited"
RECORD: Final = (
    f"{CHUNK}, state, fence, worker, code, applied, took, undone, undo IS NOT NULL, undo_rows, "
    f"undo_books, {', '.join(OUTCOME_FIELDS)}"
)
UNDONE: Final = "(SELECT NULL::text AS undo_books, NULL::bytea AS undo_left) AS proctor_new"
"""Stands in for the columns of SECOND where a looker finds the tables as FIRST made them.

Inside a LATERAL item the names mean the columns of the chunks, where there are such.
"""


def chunk_of(row: Sequence[Any]) -> Chunk:
    """The columns of CHUNK as a noun."""
    return Chunk(
        run=row[0],
        number=row[1],
        after=records.key_from_json(row[2]),
        upto=tuple(json.loads(row[3])),
        keys=records.keys_from_json(row[4]),
        sweep=row[5],
        attempt=row[6],
        revisited=row[7],
    )


def record_of(row: Sequence[Any]) -> ChunkRecord:
    """The columns of RECORD as a noun."""
    state = ChunkState(row[8])
    books = Outcome(**dict(zip(OUTCOME_FIELDS, row[18:], strict=True)))
    return ChunkRecord(
        chunk=chunk_of(row),
        state=state,
        fence=row[9],
        worker=row[10],
        code=row[11],
        applied=row[12],
        took=row[13] if isinstance(row[13], timedelta) else timedelta(0),
        undone=row[14],
        has_undo=row[15],
        undo_rows=row[16],
        taken_back=records.undone_from_json(row[17]),
        outcome=books,
    )


def inserted(chunk: Chunk, *, state: ChunkState, fence: int, worker: str, until: str) -> str:
    """The VALUES row of a new chunk; `until` is SQL."""
    after, keys = records.key_to_json(chunk.after), records.keys_to_json(chunk.keys)
    return (
        f"({text(chunk.run)}, {chunk.number}, {'NULL' if after is None else text(after)}, "
        f"{text(records.to_json(chunk.upto))}, {'NULL' if keys is None else text(keys)}, "
        f"{chunk.sweep}, {chunk.attempt}, {chunk.revisited}, "
        f"{text(state.value)}, {fence}, {text(worker)}, {until})"
    )


INSERT: Final = f"INSERT INTO proctor.chunks ({CHUNK}, state, fence, worker, claimed_until) VALUES"


def numbers(run: str, count: int) -> str:
    """Take the next `count` numbers of a run's chunks; answers with the first of them.

    A row of its own, and the last lock that any transaction takes: neither claims nor moves,
    which lock the run's row, can wait for an apply and be waited for by it.
    """
    return (
        f"UPDATE proctor.counters SET chunks = chunks + {count} WHERE run = {text(run)} "
        f"RETURNING chunks - {count} + 1"
    )


def seconds(length: timedelta) -> str:
    """A length of time as an interval literal."""
    return f"'{length.total_seconds():.6f} seconds'::pg_catalog.interval"


def until(length: timedelta) -> str:
    """That long from now, by the server's clock."""
    return f"pg_catalog.clock_timestamp() + {seconds(length)}"

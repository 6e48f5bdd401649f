"""Intents: what a write is about to do, kept before its COMMIT and settled after it.

An intent holds everything that the chunk's row will say once the write has taken place. Until
it is settled the chunk can neither be claimed nor closed nor undone.
"""

from __future__ import annotations

import json
import uuid

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from proctor.adapters.stores import journal, records
from proctor.adapters.stores.away import chunks, tables
from proctor.adapters.stores.away.tables import CHUNKS, RUNS
from proctor.errors import Busy
from proctor.model import Chunk, ChunkState, Key, Lease, Outcome, RunState

WRITE, UNDO = "write", "undo"
GOES_ON = frozenset({RunState.RUNNING.value, RunState.PAUSING.value, RunState.PAUSED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One write on its way.

    witness: how the data's server can tell later whether it took place; empty where only the
    images can. undo: the journal of a write, or what an undo leaves of it (None: nothing).
    issues: rows that a write did not write, or that an undo left alone; `books` say what undoing
    the chunk has come to.
    """

    kind: str
    witness: Mapping[str, Any]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    outcome: Outcome = field(default_factory=Outcome)
    code: str = ""
    took: timedelta = timedelta(0)
    retried: tuple[Key, ...] = ()
    lease_for: timedelta = timedelta(0)
    books: str | None = None
    undo: bytes | None = None
    undo_rows: int = 0
    issues: bytes | None = None

    def dump(self) -> str:
        """The part that is no blob, as JSON."""
        return records.to_json(
            {
                "kind": self.kind,
                "witness": dict(self.witness),
                "outcome": self.outcome.as_dict(),
                "code": self.code,
                "took": self.took.total_seconds(),
                "retried": list(self.retried),
                "lease_for": self.lease_for.total_seconds(),
                "undo_rows": self.undo_rows,
                "books": self.books,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """An intent as it was found, with the chunk that it is for."""

    chunk: Chunk
    fence: int
    worker: str
    intent: Intent
    kept: bytes | None
    """The journal that an undo works from."""


def note(
    connection: sa.Connection, lease: Lease, intent: Intent, *, instead: Intent | None = None
) -> None:
    """Keep the intent of a write under the chunk's fence, or Fenced.

    `instead` is one of the same worker whose COMMIT was refused before this attempt.
    """
    _forget(connection, lease.chunk.run, lease.chunk.number, instead)
    chunk = lease.chunk
    held = (CHUNKS.c.fence == lease.fence, CHUNKS.c.state == ChunkState.CLAIMED.value)
    taken = connection.execute(
        sa.update(CHUNKS)
        .where(CHUNKS.c.run == chunk.run, CHUNKS.c.number == chunk.number)
        .where(*held, CHUNKS.c.token.is_(None))
        .values(**_columns(intent))
    )
    if not taken.rowcount:
        raise chunks.fenced(chunk.run, chunk.number)


def note_undo(
    connection: sa.Connection,
    run: str,
    at: tuple[int, int],
    intent: Intent,
    *,
    instead: Intent | None = None,
) -> None:
    """Keep the intent of an undo, unless another process has undone any of the chunk since.

    `at` is the chunk's number and the fence under which its undo data was read.
    """
    number, fence = at
    _forget(connection, run, number, instead)
    applied = CHUNKS.c.state == ChunkState.APPLIED.value
    taken = connection.execute(
        sa.update(CHUNKS)
        .where(CHUNKS.c.run == run, CHUNKS.c.number == number, CHUNKS.c.fence == fence)
        .where(applied, CHUNKS.c.token.is_(None))
        .values(**_columns(intent))
    )
    if not taken.rowcount:
        raise Busy(f"chunk {number} of run {run} is being undone by another process")


def _forget(connection: sa.Connection, run: str, number: int, intent: Intent | None) -> None:
    if intent is not None and noted(connection, run, number, intent.token) is not None:
        _set(connection, run, number)


def _columns(intent: Intent) -> dict[str, Any]:
    return {
        "token": intent.token,
        "intent": intent.dump(),
        "intent_undo": intent.undo,
        "intent_issues": intent.issues,
    }


_NONE = dict.fromkeys(("token", "intent", "intent_undo", "intent_issues"))


def noted(connection: sa.Connection, run: str, number: int, token: str = "") -> Noted | None:
    """The intent of a chunk, if it has one (and it is that one); locked where that is possible."""
    query = sa.select(CHUNKS).where(
        CHUNKS.c.run == run, CHUNKS.c.number == number, CHUNKS.c.token.is_not(None)
    )
    if token:
        query = query.where(CHUNKS.c.token == token).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    raw = json.loads(row["intent"])
    return Noted(
        chunk=tables.chunk_of(row),
        fence=row["fence"],
        worker=row["worker"],
        kept=row["undo"],
        intent=Intent(
            kind=raw["kind"],
            witness=raw["witness"],
            token=row["token"],
            outcome=Outcome(**raw["outcome"]),
            code=raw["code"],
            took=timedelta(seconds=raw["took"]),
            retried=tuple(tuple(key) for key in raw["retried"]),
            lease_for=timedelta(seconds=raw["lease_for"]),
            undo=row["intent_undo"],
            undo_rows=raw["undo_rows"],
            books=raw.get("books"),
            issues=row["intent_issues"],
        ),
    )


def done(
    connection: sa.Connection,
    run: str,
    number: int,
    token: str,
    *,
    ours: bool = False,
    standing: Collection[int] | None = None,
) -> Lease | None:
    """The write took place: the chunk's row becomes what the intent says.

    `ours` leases the chunk of moved rows to the worker that is still there, unless the run has
    ended meanwhile; `standing` are the positions of the journal whose images stand, where only
    the images could tell: the others are to be read again. Settled by somebody else already:
    nothing happens.
    """
    tables.hold(connection, run)
    found = noted(connection, run, number, token)
    if found is None:
        return None
    if found.intent.kind == UNDO:
        _set(connection, run, number, fence=found.fence + 1, **_undone(found.intent))
        return None
    intent = found.intent
    children = [intent.retried] if intent.retried else []
    if standing is not None and intent.undo is not None:
        intent, lost = _only(intent, standing)
        children += [lost] if lost else []
    moment = tables.clock(connection)
    _set(
        connection,
        run,
        number,
        state=ChunkState.APPLIED.value,
        applied=records.time_to_text(moment),
        claimed_until=None,
        code=intent.code,
        took=intent.took.total_seconds(),
        undo=intent.undo,
        undo_rows=intent.undo_rows,
        issues=intent.issues,
        **intent.outcome.as_dict(),
    )
    made = [_child(connection, found, keys) for keys in children]
    if not made:
        return None
    claim: dict[str, Any] = {}
    # The run's row is locked: no move can come in between.
    ours = ours and _goes_on(connection, run)
    if ours:
        until = records.time_to_text(moment + intent.lease_for)
        claim = {"state": ChunkState.CLAIMED.value, "fence": 1, "worker": found.worker}
        claim["claimed_until"] = until
    elif not _goes_on(connection, run):
        claim = {"state": _ended(connection, run)}
    connection.execute(sa.insert(CHUNKS), [tables.new_chunk(c, **claim) for c in made])
    return chunks.leases(connection, run, [made[0].number])[0] if ours else None


def _undone(intent: Intent) -> dict[str, Any]:
    books = {"undo_books": intent.books, "undo_left": intent.issues}
    if intent.undo is None:
        return {"undone": True, **books}
    return {"undo": intent.undo, "undo_rows": intent.undo_rows, **books}


def _child(connection: sa.Connection, found: Noted, keys: tuple[Key, ...]) -> Chunk:
    number = chunks.number(connection, found.chunk.run)
    attempt = found.chunk.attempt + 1
    return replace(found.chunk, number=number, keys=keys, attempt=attempt, revisited=0)


def _only(intent: Intent, standing: Collection[int]) -> tuple[Intent, tuple[Key, ...]]:
    """The intent with only the rows that stand as written, and the keys of the others."""
    undo = journal.unpack(intent.undo or b"")
    stays = [p for p in range(len(undo.keys)) if p in standing]
    lost = tuple(key for p, key in enumerate(undo.keys) if p not in standing)
    books = replace(
        intent.outcome,
        read=intent.outcome.read - len(lost),
        written=intent.outcome.written - len(lost),
    )
    kept = journal.pack(journal.subset(undo, stays)) if stays else None
    return replace(intent, outcome=books, undo=kept, undo_rows=len(stays)), lost


def drop(connection: sa.Connection, run: str, number: int, token: str) -> None:
    """The write did not take place: the chunk can be claimed again, or ends with its run."""
    tables.hold(connection, run)
    found = noted(connection, run, number, token)
    if found is None:
        return
    if found.intent.kind == UNDO:
        _set(connection, run, number)
    elif _goes_on(connection, run):
        _set(connection, run, number, claimed_until="")
    else:
        _set(connection, run, number, state=_ended(connection, run), fence=found.fence + 1)


def _goes_on(connection: sa.Connection, run: str) -> bool:
    return connection.execute(sa.select(RUNS.c.state).where(RUNS.c.id == run)).scalar() in GOES_ON


def _ended(connection: sa.Connection, run: str) -> str:
    state = connection.execute(sa.select(RUNS.c.state).where(RUNS.c.id == run)).scalar()
    failed = state == RunState.FAILED.value
    return (ChunkState.OPEN if failed else ChunkState.CLOSED).value


def _set(connection: sa.Connection, run: str, number: int, **values: Any) -> None:
    connection.execute(
        sa.update(CHUNKS)
        .where(CHUNKS.c.run == run, CHUNKS.c.number == number)
        .values(**_NONE, **values)
    )

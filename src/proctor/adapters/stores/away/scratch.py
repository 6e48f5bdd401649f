"""A SQLite session whose tables of runs and chunks are temporary: a scratch pad for one chunk.

The store's own statements find them there, by name, on the connection alone; nothing of them
reaches the user's file. What they say just before COMMIT becomes the intent.
"""

from __future__ import annotations

import contextlib
import sqlite3

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from proctor.adapters.stores import journal
from proctor.adapters.stores.away.data import Book, Kept
from proctor.adapters.stores.away.intents import UNDO, WRITE, Intent
from proctor.adapters.stores.records import keys_from_json, outcome_from_json
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.session import Session
from proctor.model import Lease
from proctor.ports import Terms

RUN = ("id", "backfill", "version", "env", "target", "fills", "writes", "state", "epoch", "spec")
RUN_TOO = ("span", "digest", "params", "created", "last", "expected", "cursor", "sweep")
CHUNK = ("run", "number", "after", "upto", "keys", "sweep", "attempt", "revisited", "state")
CHUNK_TOO = ("fence", "worker", "claimed_until", "applied", "undone", "undo")
CHUNK_UNDO = ("undo_rows", "undo_books", "undo_left")


class ScratchSession(Session):
    """A session that can be told one run and one chunk, and asks before it commits."""

    before_commit: Callable[[sqlite3.Connection], None] | None = None

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        try:
            for statement in ";".join(tables.STEPS).split(";"):
                made = statement.strip().replace("CREATE TABLE ", "CREATE TEMP TABLE ", 1)
                for kind in ("INDEX", "UNIQUE INDEX"):
                    made = made.replace(f"CREATE {kind} proctor", f"CREATE {kind} temp.proctor", 1)
                connection.execute(made)
            connection.execute("CREATE TEMP TABLE proctor_meta (key TEXT, value TEXT)")
            connection.execute(
                "INSERT INTO proctor_meta VALUES ('version', ?)", (len(tables.STEPS),)
            )
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def writing(self, run: str | None = None) -> Iterator[sqlite3.Connection]:
        """As ever, with a word before COMMIT."""
        with super().writing(run) as connection:
            yield connection
            if self.before_commit is not None:
                self.before_commit(connection)

    def tell(
        self,
        run: Mapping[Any, Any],
        chunk: Mapping[Any, Any] | None = None,
        *,
        quiet: bool = False,
        planned: int = 0,
    ) -> None:
        """Put a run's row and a chunk's row on the pad, in place of what was there.

        `planned` keys of the run's limit are spoken for by chunks that are not told.
        """
        connection = self.quiet if quiet else self.main
        if quiet:
            connection.execute("PRAGMA query_only = OFF")
        connection.execute("BEGIN")
        try:
            connection.execute("DELETE FROM temp.proctor_chunks")
            connection.execute("DELETE FROM temp.proctor_runs")
            named = {name: run[name] for name in (*RUN, *RUN_TOO)}
            tables.insert(connection, "temp.proctor_runs", {**named, "lease": 0.0})
            if planned:
                _insert(connection, {"run": run["id"], "number": 0, "planned": planned})
            if chunk is not None:
                _insert(
                    connection, {name: chunk[name] for name in (*CHUNK, *CHUNK_TOO, *CHUNK_UNDO)}
                )
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if quiet:
                connection.execute("PRAGMA query_only = ON")


def _insert(connection: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    blank = {"upto": "[]", "sweep": 0, "attempt": 1, "revisited": 0, "planned": 0}
    tables.insert(
        connection, "temp.proctor_chunks", {**blank, "state": "closed", "fence": 0, **values}
    )


@dataclass(kw_only=True)
class Intending:
    """Makes an intent of what the scratch pad says before COMMIT; again when that is refused."""

    book: Book
    intent: Intent | None = None

    def write(self, connection: sqlite3.Connection, lease: Lease, terms: Terms) -> None:
        """Of a chunk that was written."""
        chunk = lease.chunk
        outcome, code, took, issues, undo = connection.execute(
            "SELECT outcome, code, took, issues, undo FROM proctor_chunks "
            "WHERE run = ? AND number = ?",
            (chunk.run, chunk.number),
        ).fetchone()
        child = connection.execute(
            "SELECT keys FROM proctor_chunks WHERE run = ? AND number > ?",
            (chunk.run, chunk.number),
        ).fetchone()
        books = outcome_from_json(outcome)
        intent = Intent(
            kind=WRITE,
            witness={},
            outcome=books,
            code=code,
            took=timedelta(seconds=took),
            retried=keys_from_json(child[0]) or () if child else (),
            lease_for=terms.lease_for,
            undo=undo,
            undo_rows=books.written,
            issues=issues,
        )
        self.book.intend_now(lease, intent, self.intent)
        self.intent = intent

    def undo(self, connection: sqlite3.Connection, run: str, kept: Kept) -> None:
        """Of a chunk that was undone."""
        undone, left, books, alone = connection.execute(
            "SELECT undone, undo, undo_books, undo_left FROM proctor_chunks "
            "WHERE run = ? AND number = ?",
            (run, kept.number),
        ).fetchone()
        left = None if undone else left
        intent = Intent(
            kind=UNDO,
            witness={},
            undo=left,
            undo_rows=len(journal.unpack(left).keys) if left else 0,
            books=books,
            issues=alone,
        )
        self.book.intend_undo_now(run, kept, intent, self.intent)
        self.intent = intent

"""An application at work on the rows of a run: every write is noted in the same transaction.

`rev` counts the writes of the application to a row, and each note says what the row held just
before: so the notes of one row tell at which of its versions somebody else filled it.
"""

import contextlib
import itertools
import random
import sqlite3
import threading

from dataclasses import dataclass

import psycopg

TABLES = """
CREATE TABLE live (id integer PRIMARY KEY, style text, rev integer NOT NULL, fill text);
CREATE TABLE history (
    id integer, rev integer, style text, seen text, filled text, gone boolean
);
"""
HOT = 10  # rows that get a third of all writes, so that some are never caught standing still
THINKS_FOR = 0.002  # seconds between two writes of one connection


def filled(style):
    """What the backfill makes of a style, and what the application writes by now."""
    return f"f({style})"


@dataclass(frozen=True)
class Note:
    """One write: the row's new `rev` and `style`, the fill seen before, the fill written."""

    rev: int
    style: str
    seen: str | None
    filled: str | None
    gone: bool


class Writers:
    """Connections in threads; a context manager that starts and stops them."""

    def __init__(self, world, ids, connections):
        self.world = world
        self.ids = list(ids)
        self.hot = self.ids[len(self.ids) // 3 :: len(self.ids) // HOT][:HOT]
        # Odd ids lie between the even ones of the beginning: rows arrive behind and before a run.
        self.new = itertools.count(self.ids[0] + 1, 2)
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=self._work, args=(number,)) for number in range(connections)
        ]
        self.errors = []
        self.writes = 0
        self.lock = threading.Lock()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def _work(self, number):
        dice = random.Random(number)
        try:
            with contextlib.closing(self._connect()) as connection:
                while not self.stop.wait(THINKS_FOR):
                    self._write(connection, dice)
        except (psycopg.Error, sqlite3.Error) as error:
            self.errors.append(error)

    def _connect(self):
        if self.world.kind == "sqlite":
            return sqlite3.connect(self.world.file, timeout=30, isolation_level=None)
        return psycopg.connect(self.world.direct, autocommit=True)

    def _write(self, connection, dice):
        word = dice.random()
        with transaction(connection) as execute:
            if word < 0.04:
                self._insert(execute)
            else:
                row = dice.choice(self.hot if dice.random() < 0.33 else self.ids)
                self._change(execute, row, word)
        with self.lock:
            self.writes += 1

    def _insert(self, execute):
        with self.lock:
            row = next(self.new)
        style = f"{row}:0"
        execute("INSERT INTO live VALUES (?, ?, 0, NULL)", (row, style))
        execute("INSERT INTO history VALUES (?, 0, ?, NULL, NULL, false)", (row, style))

    def _change(self, execute, row, word):
        found = execute("SELECT rev, fill FROM live WHERE id = ? {lock}", (row,)).fetchone()
        if found is None:
            return
        rev, seen = found
        style = f"{row}:{rev + 1}"
        if word < 0.06 and row not in self.hot:
            execute("DELETE FROM live WHERE id = ?", (row,))
            note = (row, rev + 1, style, seen, None, True)
        elif word < 0.12 and row not in self.hot:
            # The application's new code fills the field itself.
            change = "UPDATE live SET style = ?, rev = ?, fill = ? WHERE id = ?"
            execute(change, (style, rev + 1, filled(style), row))
            note = (row, rev + 1, style, seen, filled(style), False)
        else:
            execute("UPDATE live SET style = ?, rev = ? WHERE id = ?", (style, rev + 1, row))
            note = (row, rev + 1, style, seen, None, False)
        execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", note)


@contextlib.contextmanager
def transaction(connection):
    """One transaction of either driver; gives a function that executes a statement."""
    if isinstance(connection, psycopg.Connection):
        with connection.transaction():
            yield lambda sql, args: connection.execute(
                sql.replace("?", "%s").format(lock="FOR UPDATE"), args
            )
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield lambda sql, args: connection.execute(sql.format(lock=""), args)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def furnish(world, rows):
    """Tables with `rows` rows, all noted; their ids."""
    for statement in TABLES.strip().split(";")[:-1]:
        world.query(statement)
    ids = range(0, rows * 2, 2)
    world.query(
        f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 2 FROM n WHERE i < {rows * 2 - 2}) "
        "INSERT INTO live SELECT i, i || ':0', 0, NULL FROM n"
    )
    world.query("INSERT INTO history SELECT id, 0, style, NULL, NULL, false FROM live")
    return ids


def read_back(world):
    """The rows as they stand, (style, rev, fill) by id; and the notes of each, oldest first."""
    rows = {i: rest for i, *rest in world.query("SELECT id, style, rev, fill FROM live")}
    notes = {}
    for row, *rest in world.query("SELECT * FROM history ORDER BY id, rev"):
        notes.setdefault(row, []).append(Note(*rest))
    return rows, notes


def follow(row, notes, stands):
    """Check one row's life against its notes; whether the run filled it.

    Nobody's write is lost, and whoever but the application filled the row did so from the very
    version that stood there, and only while it was empty.
    """
    fill, ours, past = None, False, None
    for expected_rev, note in enumerate(notes):
        assert note.rev == expected_rev, f"row {row}: a write of the application was lost"
        if note.seen != fill:
            assert fill is None, f"row {row}: {fill} was overwritten with {note.seen}"
            assert note.seen == filled(past.style), f"row {row}: filled from another version"
            fill, ours = note.seen, True
        fill = note.filled or fill
        past = note
    if past.gone:
        assert stands is None, f"row {row}: it was deleted and is there again"
        return ours
    assert stands[:2] == [past.style, past.rev], f"row {row}: the last write was lost"
    if stands[2] != fill:
        assert fill is None, f"row {row}: {fill} was overwritten with {stands[2]}"
        assert stands[2] == filled(past.style), f"row {row}: filled from another version"
        ours = True
    return ours

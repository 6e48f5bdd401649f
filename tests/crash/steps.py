"""Count what a life asks of SQLite, and end the life at a chosen step.

The driver is replaced, not our code: every statement on the store's file that can change something
is a step, which ends when it is executed; where that is asked for, another is just before it.
"""

import os
import re
import signal
import sqlite3
import threading

from dataclasses import dataclass, field
from pathlib import Path

READS = re.compile(r"\s*(SELECT|PRAGMA|EXPLAIN)\b", re.IGNORECASE)
BEGINS_TO_READ = re.compile(r"\s*BEGIN\s*$", re.IGNORECASE)
ENDS = re.compile(r"\s*(COMMIT|ROLLBACK)\s*$", re.IGNORECASE)


@dataclass
class Steps:
    """How many steps were taken; the life ends at `kill_at`, None for never.

    `before` adds a step before each statement; with `commits` nothing else counts.
    """

    kill_at: int | None = None
    before: bool = False
    commits: bool = False
    taken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def around(self, call, sql, *args):
        """Execute a statement that can change something, and count."""
        if self.commits and not ENDS.match(sql):
            return call(sql, *args)
        if self.before:
            self.step()
        try:
            return call(sql, *args)
        finally:
            self.step()

    def step(self):
        with self.lock:
            self.taken += 1
            if self.taken == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def count_statements(file, **what):
    """Replace `sqlite3.connect`, so that connections to `file` count their statements."""
    steps = Steps(**what)
    connect = sqlite3.connect

    def counting(database, *args, **more):
        if Path(file).name in os.fspath(database):
            more["factory"] = counted(more.get("factory", sqlite3.Connection), steps)
        return connect(database, *args, **more)

    sqlite3.connect = counting
    sqlite3.dbapi2.connect = counting
    return steps


def counted(base, steps):
    """A connection class whose statements are steps, outside of transactions that only read.

    A cursor that is asked for would slip through: it is refused, so that none is missed.
    """

    class Connection(base):
        reads = False

        def cursor(self, *_):
            raise NotImplementedError("count the statements of cursors too")

        def execute(self, sql, *args):
            return self._counted(super().execute, sql, *args)

        def executemany(self, sql, *args):
            return self._counted(super().executemany, sql, *args)

        def executescript(self, sql):
            return self._counted(super().executescript, sql)

        def commit(self):
            return self._counted(lambda _: super(Connection, self).commit(), "COMMIT")

        def _counted(self, call, sql, *args):
            self.reads = self.reads or bool(BEGINS_TO_READ.match(sql))
            uncounted = self.reads or READS.match(sql)
            self.reads = self.reads and not ENDS.match(sql)
            return call(sql, *args) if uncounted else steps.around(call, sql, *args)

    return Connection

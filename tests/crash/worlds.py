"""A project folder, its database and the lives in it: the same words for SQLite and Postgres."""

import contextlib
import hashlib
import queue
import shutil
import signal
import sqlite3
import time

from collections import Counter

import psycopg

from crash import wardrobe
from crash.lives import PATIENCE
from crash.wire import COMMITS, Fault

UPDATES = {
    "sqlite": """
        CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN
            INSERT INTO audit (place, id, what) VALUES ('{table}', {row}.{key}, '{event}');
        END""",
    "postgres": """
        CREATE FUNCTION {table}_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO audit (place, id, what) VALUES ('{table}', {row}.{key}, '{event}');
            RETURN NULL;
        END $$;
        CREATE TRIGGER {table}_{event} AFTER {event} ON {table}
            FOR EACH ROW EXECUTE FUNCTION {table}_{event}()""",
}
AFTER = ("step", "commit")
AUDIT = "SELECT place, id FROM audit"
TRANSACTIONS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""
KEYS = {"wardrobe": "id", "about": "item_id"}


def until(happened, what, patience=PATIENCE):
    """Ask until the answer is yes."""
    end = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < end, f"it never came to this: {what}"
        time.sleep(0.01)


def unlocked(file):
    """Whether nobody holds an SQLite file's lock."""
    with contextlib.closing(sqlite3.connect(file, timeout=0)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
    return True


class World:
    """What both kinds share; `name` is the backfill that its lives run."""

    kind = ""
    runs = ""

    def __init__(self, lives, folder, name="normalize", rows=wardrobe.ROWS, **settings):
        self.lives = lives
        self.folder = folder
        self.name = name
        self.row_count = rows
        self.born = []
        self.config = wardrobe.write(folder, **settings)
        self.ledger = folder / ".proctor" / settings.get("ledger", "ledger.db")

    def birth(self, *acts, env=None, **more):
        """A life that does these acts."""
        job = {
            "acts": acts,
            "config": str(self.config),
            "name": self.name,
            "environment": {"CRASH_STORE": self.url} | (env or {}),
            "count_filled": "SELECT count(*) FROM audit",
            "tables": {t: self.whole(t) for t in KEYS},
            "audit": AUDIT,
        }
        life = self.lives.born(job | more)
        self.born = [*(other for other in self.born if other.alive), life]
        return life

    def live(self, *acts, patience=PATIENCE, **more):
        """A whole, undisturbed life; its report."""
        report = self.birth(*acts, **more).wait(patience)
        assert report is not None, "something killed a life that nobody meant to kill"
        assert "error" not in report, report["error"]
        return report

    def rows(self):
        """Every user table, every column, every byte."""
        return {t: [repr(r) for r in self.query(self.whole(t))] for t in KEYS}

    def writes(self):
        """How often each row of the target was written since the audit was cleared."""
        return self.counted(self.query(AUDIT))

    def counted(self, seen):
        """How often each row is in the audit, in which there is nothing but the target."""
        assert {place for place, _ in seen} <= {wardrobe.TARGET[self.name]}
        return Counter(id_ for _, id_ in seen)

    def until(self, question, patience=PATIENCE):
        """Ask the database until it says yes."""
        until(lambda: self.query(question)[0][0], question, patience)

    def until_written(self, key):
        """Wait until every chunk before the one that has this row is written."""
        chunks = self.runs.replace("runs", "chunks")
        self.until(
            f"SELECT count(*) = 0 FROM {chunks} WHERE state <> 'applied' "
            f"AND CAST(rtrim(ltrim(upto, '['), ']') AS integer) < {key}"
        )

    def frozen(self, key, **more):
        """A life frozen while the author's function has this row, and no transaction is open."""
        life = self.birth("run", env={"CRASH_HOLD_AT": str(key)}, **more).until_held()
        self.freeze(life)
        return life

    def freeze(self, life, inside=0):
        """Freeze a life that is inside of so many transactions.

        Its other threads may be in the middle of a claim, or of writing an event to the ledger,
        just then, and would keep everybody else from it: it is frozen again.
        """
        life.freeze()
        while not self._steady(inside):
            life.signal(signal.SIGCONT)
            until(lambda: self._steady(inside), f"just {inside} open transactions")
            life.freeze()

    def _steady(self, inside):
        return self.at_rest(inside) and unlocked(self.ledger)

    def bury(self):
        """End every life that still goes on."""
        for life in self.born:
            if life.alive:
                life.kill()

    def clear_audit(self):
        """Forget the writes up to now."""
        self.query("DELETE FROM audit")

    def furnish(self, connection, mark):
        """Tables, rows and triggers of the user."""
        furniture = (
            ("wardrobe", wardrobe.items(self.row_count)),
            ("about", wardrobe.described(self.row_count)),
        )
        for table, rows in furniture:
            for row in rows:
                places = ", ".join([mark] * len(row))
                connection.execute(f"INSERT INTO {table} VALUES ({places})", row)
            for event in ("INSERT", "UPDATE", "DELETE"):
                row = "OLD" if event == "DELETE" else "NEW"
                sql = UPDATES[self.kind].format(table=table, event=event, row=row, key=KEYS[table])
                connection.execute(sql)


class SqliteWorld(World):
    """The data in one file, beside a copy of it as it was."""

    kind = "sqlite"
    runs = "proctor_runs"

    def __init__(self, lives, folder, name="normalize", **settings):
        super().__init__(lives, folder, name, **settings)
        self.file = folder / "shop.db"
        self.url = f"sqlite:///{self.file}"
        self.template = folder / "as-it-was.db"
        with contextlib.closing(sqlite3.connect(self.template)) as made:
            tables = wardrobe.TABLES.format(
                bytes="blob", serial="integer PRIMARY KEY AUTOINCREMENT"
            )
            made.executescript(tables)
            self.furnish(made, "?")
            made.commit()
        self.fresh()

    def fresh(self):
        """The data as it was, without any trace of Proctor."""
        self.restore(self.template)

    def keep(self, name="kept.db"):
        """A copy of the data as it stands, made as a backup would make it."""
        copy = self.folder / name
        copy.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(self.file)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        return copy

    def restore(self, copy):
        """Put a copy in the place of the data."""
        for tail in ("", "-wal", "-shm", "-journal"):
            self.file.with_name(self.file.name + tail).unlink(missing_ok=True)
        shutil.copyfile(copy, self.file)

    def killed_at(self, step, *acts, every):
        """Whether a life was killed at its `step`-th step."""
        count = {"file": str(self.file), "kill_at": step}
        count |= {"before": every not in AFTER, "commits": every == "commit"}
        return self.birth(*acts, count=count).wait() is None

    def at_rest(self, inside=0):
        """Whether nobody holds the file's lock."""
        assert not inside, "a transaction that is open here locks everybody out"
        return unlocked(self.file)

    def whole(self, table):
        """The query for every column of a table in the order of its key."""
        return f"SELECT * FROM {table} ORDER BY {KEYS[table]}"

    def query(self, sql, args=()):
        """Rows, by a connection of the test's own."""
        with contextlib.closing(sqlite3.connect(self.file, timeout=30)) as connection:
            found = connection.execute(sql, args).fetchall()
            connection.commit()
        return found

    def watch_definitions(self):
        """Nothing to do: the file's bytes show everything."""

    def trace(self):
        """Whatever would show that somebody wrote: the file's bytes."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def close(self):
        """Nothing is open."""


class PostgresWorld(World):
    """The data in a database of its own; `through_proxy` lets a life reach it with faults."""

    kind = "postgres"
    runs = "proctor.runs"

    def __init__(self, lives, folder, server, proxy, name="normalize", **settings):
        super().__init__(lives, folder, name, **settings)
        self.server = server
        self.proxy = proxy
        self.direct = server.create_database()
        self.database = self.direct.rpartition("/")[2]
        self.url = self.direct
        if proxy is not None:
            self.through_proxy = {"CRASH_STORE": server.url(self.database, port=proxy.port)}
        self.connect()
        self.create()
        self.original = self.rows()

    def connect(self):
        """The test's own connection, made anew."""
        self.connection = psycopg.connect(self.direct, autocommit=True)

    def create(self):
        """The user's tables."""
        with self.connection.transaction():
            tables = wardrobe.TABLES.format(bytes="bytea", serial="bigserial PRIMARY KEY")
            self.connection.execute(tables)
            self.furnish(self.connection, "%s")

    def fresh(self):
        """The data as it was, without any trace of Proctor."""
        self.query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        self.query("DROP SCHEMA IF EXISTS proctor CASCADE; TRUNCATE audit RESTART IDENTITY")
        if self.rows() != self.original:
            self.query("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            self.create()

    def at_rest(self, inside=0):
        """Whether so many transactions are open, and stay so when messages under way arrive."""
        first = self.query(TRANSACTIONS)[0][0]
        self.query("SELECT pg_sleep(0.02)")
        return first == inside == self.query(TRANSACTIONS)[0][0]

    def come_to_rest(self):
        """Wait until nobody else is in a transaction."""
        self.until(f"SELECT 0 = ({TRANSACTIONS})")

    def killed_at(self, step, *acts, every):
        """Whether a life was killed at its `step`-th step."""
        life = queue.SimpleQueue()
        number, when = (step + 1) // 2, "before" if step % 2 else "after"
        if every in AFTER:
            number, when = step, "after"
        only = COMMITS if every == "commit" else b""
        self.proxy.expect(Fault(number, when, lambda _: life.get().signal(signal.SIGKILL), only))
        born = self.birth(*acts, env=self.through_proxy)
        life.put(born)
        try:
            return born.wait() is None
        finally:
            self.proxy.expect()

    def whole(self, table):
        """The query for every column of a table in the order of its key."""
        return f"SELECT t::text FROM {table} t ORDER BY {KEYS[table]}"

    def query(self, sql, args=()):
        """Rows, by a connection of the test's own."""
        found = self.connection.execute(sql, args or None)
        return found.fetchall() if found.description else []

    def keep(self):
        """A copy of the whole database as it stands."""
        copy = f"{self.database}_kept"
        self._copy(self.database, copy)
        return copy

    def restore(self, copy):
        """Put a copy in the place of the data."""
        self._copy(copy, self.database)

    def _copy(self, source, target):
        self.connection.close()
        self.server.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        self.server.execute(f"CREATE DATABASE {target} TEMPLATE {source}")
        self.connect()

    def watch_definitions(self):
        """Note every CREATE, ALTER and DROP where the rows' writes are noted."""
        self.query(
            """
            CREATE FUNCTION note_definition() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO audit (place, id, what) VALUES (tg_tag, 0, tg_event);
            END $$;
            CREATE EVENT TRIGGER note_definition ON ddl_command_start
                EXECUTE FUNCTION note_definition()
            """
        )

    def trace(self):
        """Whatever would show that somebody wrote: tables there are, and who wrote each row."""
        tables = self.query(
            "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = relnamespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2"
        )
        rows = [self.query(f"SELECT xmin::text, t::text FROM {t} t") for t in (*KEYS, "audit")]
        return tables, rows

    def close(self):
        """Give the database back."""
        self.connection.close()
        self.server.drop_database(self.direct)

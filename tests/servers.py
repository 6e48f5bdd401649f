"""Servers for the tests: Postgres from proctor.testing, and Debian's PgBouncer before one."""

import os
import shutil
import subprocess
import tempfile
import time

from pathlib import Path

import psycopg

from proctor.testing.postgres import (
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
    "NoServer",
    "PgBouncer",
    "PostgresServer",
    "free_port",
    "postgres_bindirs",
    "start_postgres",
    "wheel_bindir",
]


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

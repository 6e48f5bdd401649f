"""A real Unleash server on a Postgres of its own, and Unleash's client in a Python of its own.

`make test-integration` installs both under the folder that PROCTOR_INTEGRATION names.
"""

import json
import os
import subprocess
import time

from pathlib import Path

import httpx2
import pytest

from proctor.testing.postgres import free_port

ADMIN, CLIENT = "*:*.integration-admin", "default:development.integration-client"
START_WITHIN = 120.0


@pytest.fixture(scope="session")
def installed():
    """Where the make target has put what is asked for here."""
    return Path(os.environ["PROCTOR_INTEGRATION"])


class Unleash:
    """One server; ended by its own pid."""

    def __init__(self, installed, database, log):
        self.url = f"http://127.0.0.1:{free_port()}"
        self.database = database
        self.log = log.open("wb")
        self.process = subprocess.Popen(
            ["node", installed / "node_modules" / "unleash-server" / "dist" / "server.js"],
            env={
                **os.environ,
                "DATABASE_URL": database,
                "DATABASE_SSL": "false",
                "HTTP_HOST": "127.0.0.1",
                "HTTP_PORT": self.url.rpartition(":")[2],
                "CHECK_VERSION": "false",
                "SEND_TELEMETRY": "false",
                "INIT_ADMIN_API_TOKENS": ADMIN,
                "INIT_CLIENT_API_TOKENS": CLIENT,
            },
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def wait(self):
        until = time.monotonic() + START_WITHIN
        while True:
            assert self.process.poll() is None, "Unleash ended: see its log"
            assert time.monotonic() < until, "Unleash does not come up: see its log"
            try:
                if httpx2.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.1)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def unleash(installed, pg_server, tmp_path_factory):
    server = Unleash(
        installed, pg_server.create_database(), tmp_path_factory.mktemp("unleash") / "log"
    )
    try:
        server.wait()
        yield server
    finally:
        server.close()


class Reader:
    """An application that asks by Unleash's own client, in a process of its own."""

    def __init__(self, installed, url):
        self.process = subprocess.Popen(
            [installed / "client" / "bin" / "python", Path(__file__).with_name("reader.py"), url],
            env={"CLIENT_TOKEN": CLIENT, "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, flag, readers, **properties):
        """What each of them sees now."""
        question = {"flag": flag, "readers": readers, "properties": properties}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def reader(installed, unleash):
    application = Reader(installed, unleash.url)
    yield application
    application.close()

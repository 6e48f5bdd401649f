"""Fixtures shared by every room: real servers, started when first asked for."""

import pytest

import servers


@pytest.fixture(scope="session")
def pg_server():
    """One Postgres a session, on the preferred binaries."""
    server = servers.start_postgres()
    yield server
    server.close()


@pytest.fixture
def pg(pg_server):
    """The DSN of a fresh database of this test's own."""
    url = pg_server.create_database()
    yield url
    pg_server.drop_database(url)

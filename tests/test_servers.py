"""The tests' own servers and proxy do what the tests believe they do."""

import psycopg
import pytest

import servers

from proxy import FaultProxy


@pytest.fixture
def proxy(pg_server):
    with FaultProxy("127.0.0.1", pg_server.port) as proxy:
        yield proxy


def through(pg, pg_server, proxy):
    return psycopg.connect(
        pg.replace(f":{pg_server.port}/", f":{proxy.port}/"), autocommit=True, connect_timeout=3
    )


def test_each_database_is_fresh(pg):
    """A table of another test is not there."""
    with psycopg.connect(pg) as connection:
        connection.execute("CREATE TABLE only_here (id int)")
        assert connection.execute("SELECT count(*) FROM only_here").fetchone() == (0,)


@pytest.mark.parametrize("bindir", servers.postgres_bindirs(), ids=lambda d: d.parent.name)
def test_a_killed_server_starts_again_on_its_data(bindir):
    """Kill -9 and a start on the same folder recover what was committed."""
    server = servers.start_postgres(bindir, fsync=True)
    try:
        server.execute("CREATE TABLE kept AS SELECT 1 AS id")
        server.kill()
        server.start()
        assert server.execute("SELECT id FROM kept") == [(1,)]
    finally:
        server.close()


def test_a_lost_commit_reply_is_a_commit(pg, pg_server, proxy):
    """The client is told that the connection broke; the server has the rows."""
    with psycopg.connect(pg, autocommit=True) as check:
        check.execute("CREATE TABLE t (id int)")
        client = through(pg, pg_server, proxy)
        client.execute("BEGIN")
        client.execute("INSERT INTO t VALUES (1)")
        proxy.cut_at = b"COMMIT"
        with pytest.raises(psycopg.OperationalError):
            client.execute("COMMIT")
        client.close()
        assert check.execute("SELECT count(*) FROM t").fetchone() == (1,)
        assert proxy.cuts == 1


def test_a_cut_before_commit_is_a_rollback(pg, pg_server, proxy):
    """The server never saw COMMIT: the rows are not there."""
    with psycopg.connect(pg, autocommit=True) as check:
        check.execute("CREATE TABLE t (id int)")
        client = through(pg, pg_server, proxy)
        client.execute("BEGIN")
        client.execute("INSERT INTO t VALUES (1)")
        proxy.cut_before = b"COMMIT"
        with pytest.raises(psycopg.OperationalError):
            client.execute("COMMIT")
        client.close()
        assert check.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_client_messages_are_counted(pg, pg_server, proxy):
    """One simple query is one message."""
    client = through(pg, pg_server, proxy)
    before = proxy.client_messages
    client.execute("SELECT 1")
    assert proxy.client_messages == before + 1
    client.close()


def test_refused_and_reset_connections_are_seen_as_broken(pg, pg_server, proxy):
    """Both faults reach the client as an operational error."""
    client = through(pg, pg_server, proxy)
    proxy.reset()
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")
    client.close()
    proxy.refuse = True
    with pytest.raises(psycopg.OperationalError):
        through(pg, pg_server, proxy)


def test_a_blackhole_is_silence(pg, pg_server, proxy):
    """Nothing answers and nothing is closed: the client's own time-out ends the attempt."""
    proxy.blackhole = True
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        through(pg, pg_server, proxy)

"""Networks, poolers and servers that fail between any two messages of the Postgres store."""

import asyncio

from datetime import timedelta

import psycopg
import pytest

import servers

from pgcases import WAITING, Case, fill, first_page, table_spec, take_back, until
from proctor.adapters.stores.postgres import pool as pool_module
from proctor.errors import ConnectionLost, Fenced, InDoubt, Unreachable
from proctor.model import Outcome, RunState
from proctor.testing.conformance.acting import LEASE, OVER, TERMS, answered, claim, lower, process
from proxy import FaultProxy


@pytest.fixture
async def case(pg):
    async with Case(pg) as case:
        case.items(40)
        yield case


@pytest.fixture
def proxy(pg_server):
    with FaultProxy("127.0.0.1", pg_server.port) as proxy:
        yield proxy


@pytest.fixture
async def store(case, pg_server, proxy):
    return await case.store(case.url.replace(f":{pg_server.port}/", f":{proxy.port}/"))


async def test_a_lost_reply_to_commit_is_doubt_and_a_new_claim_settles_it(case, store, proxy):
    """The server has committed, the client cannot know: reclaiming says so, nothing is twice."""
    run, lease, page = await first_page(store, table_spec())
    proxy.cut_at = b"COMMIT"
    with pytest.raises(InDoubt):
        await store.apply(table_spec(), lease, answered(page, table_spec()), TERMS)
    assert proxy.cuts == 1
    assert await store.reclaim(lease, LEASE) is None
    assert (await store.run(run.id)).outcome == Outcome(read=40, written=40)


async def test_a_commit_that_never_arrived_is_doubt_too_and_is_done_again(case, store, proxy):
    """From here both look alike; the new claim gives a lease, and the old one is worth nothing."""
    run, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec())
    proxy.cut_before = b"COMMIT"
    with pytest.raises(InDoubt):
        await store.apply(table_spec(), lease, settled, TERMS)
    again = await store.reclaim(lease, LEASE)
    with pytest.raises(Fenced):
        await store.apply(table_spec(), lease, settled, TERMS)
    await store.apply(table_spec(), again, settled, TERMS)
    assert (await store.run(run.id)).outcome == Outcome(read=40, written=40)


async def test_doubt_waits_for_a_transaction_that_is_still_committing(case, store, pg_server):
    """A plain read would see the chunk unwritten; the claim waits for the old backend."""
    _, lease, _ = await first_page(store, table_spec())
    with psycopg.connect(case.url) as old:
        old.execute("UPDATE proctor.chunks SET state = 'applied' WHERE number = 1")
        asking = asyncio.create_task(store.reclaim(lease, LEASE))
        await until(case, WAITING)
        assert not asking.done()
        old.commit()
    assert await asking is None


@pytest.mark.parametrize("messages", [2, 6])
async def test_a_connection_that_breaks_before_commit_wrote_nothing(case, store, proxy, messages):
    """The same lease can be applied again, on a connection of its own."""
    run, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec())
    proxy.drop_replies_after = proxy.client_messages + messages
    with pytest.raises(ConnectionLost):
        await store.apply(table_spec(), lease, settled, TERMS)
    applied = await store.apply(table_spec(), lease, settled, TERMS)
    assert applied.outcome == Outcome(read=40, written=40)
    assert (await store.run(run.id)).outcome == applied.outcome


async def test_a_session_that_ended_while_idle_is_not_noticed(case, store, proxy):
    """A pooler's or a firewall's time-out costs a new connection and nothing else."""
    await store.runs()
    proxy.reset()
    assert await store.runs() == []
    case.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'proctor' AND datname = current_database()"
    )
    assert await store.runs() == []


async def test_an_administrator_may_end_the_session_in_the_middle(case, store):
    """Nothing was committed, and the words are the server's."""
    _, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec())
    with psycopg.connect(case.url) as other:
        other.execute("SELECT 1 FROM items WHERE id = 7 FOR UPDATE")
        writing = asyncio.create_task(store.apply(table_spec(), lease, settled, TERMS))
        ((pid,),) = await until(case, WAITING)
        case.sql(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(ConnectionLost):
            await writing
    assert (await store.apply(table_spec(), lease, settled, TERMS)).outcome.written == 40


async def test_a_network_that_swallows_everything_is_given_up(case, pg_server, proxy, monkeypatch):
    """The server's own time-outs cannot arrive; ours ends the wait."""
    monkeypatch.setattr(pool_module, "MARGIN", timedelta(milliseconds=50))
    short = timedelta(milliseconds=100)
    url = case.url.replace(f":{pg_server.port}/", f":{proxy.port}/")
    store = await case.store(url, statement_timeout=short, lock_timeout=short)
    proxy.blackhole = True
    with pytest.raises(ConnectionLost):
        await store.runs()
    proxy.blackhole = False
    assert await store.runs() == []


async def test_a_refused_connection_is_unreachable_until_it_is_not(case, store, proxy):
    """The engine waits for a database that restarts."""
    proxy.refuse = True
    proxy.reset()
    with pytest.raises((Unreachable, ConnectionLost)):
        await store.runs()
    proxy.refuse = False
    assert await store.runs() == []


async def test_round_trips_are_few(case, store, proxy):
    """A page costs one, a heartbeat two, a claim and a write three or four each."""
    run, lease, page = await first_page(store, table_spec(), rows=10)
    before = proxy.client_messages
    await store.read(table_spec(), lease)
    assert proxy.client_messages - before == 1
    before = proxy.client_messages
    await store.apply(table_spec(), lease, answered(page, table_spec()), TERMS)
    # The fence; parse, bind, describe, execute and sync of the write; books and COMMIT.
    assert proxy.client_messages - before == 7
    before = proxy.client_messages
    await claim(store, run, table_spec(), rows=10)
    assert proxy.client_messages - before <= 4
    before = proxy.client_messages
    await store.beat(run, ["worker-1"], LEASE)
    assert proxy.client_messages - before == 2


async def test_a_cancelled_write_leaves_no_transaction_behind(case, store):
    """The second signal abandons the chunk: the server is rid of it at once."""
    _, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec())
    with psycopg.connect(case.url) as other:
        other.execute("SELECT 1 FROM items WHERE id = 7 FOR UPDATE")
        writing = asyncio.create_task(store.apply(table_spec(), lease, settled, TERMS))
        await until(case, WAITING)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert (await store.apply(table_spec(), lease, settled, TERMS)).outcome.written == 40


async def test_a_server_killed_between_two_chunks_loses_no_progress():
    """Rows and progress come back together, and the run goes on from there."""
    server = servers.start_postgres(fsync=True)
    try:
        async with Case(server.create_database()) as case:
            case.items(40)
            store = await case.store()
            run, lease, page = await first_page(store, table_spec(), rows=10)
            await store.apply(table_spec(), lease, answered(page, table_spec()), TERMS)
            (lease,) = await claim(store, run, table_spec(), rows=10, lease_for=OVER)
            server.kill()
            with pytest.raises((ConnectionLost, Unreachable)):
                await store.read(table_spec(), lease)
            server.start()
            assert (await store.run(run.id)).outcome == Outcome(read=10, written=10)
            while leases := await claim(store, run, table_spec(), rows=10):
                for lease in leases:
                    await process(store, table_spec(), lease)
            assert (await store.run(run.id)).outcome == Outcome(read=40, written=40)
    finally:
        server.close()


@pytest.fixture(scope="module")
def bouncer(pg_server):
    bouncer = servers.PgBouncer(pg_server, connections=1)
    yield bouncer
    bouncer.close()


class TestPgBouncer:
    """A pooler in transaction mode: sessions belong to nobody."""

    async def test_a_run_and_its_undo_go_through_one_shared_session(self, case, pg_server, bouncer):
        """Two stores share a single server connection, whose settings somebody has spoilt."""
        url = case.url.replace(f":{pg_server.port}/", f":{bouncer.port}/")
        case.sql("ALTER TABLE items ADD at timestamptz, ADD f float8, ADD i interval, ADD b bytea")
        case.sql("UPDATE items SET at = '2024-01-02', f = 0.1, i = '-1 mon 2 days', b = 'x'")
        fills = ("at", "f", "i", "b", "normal")
        # Reading 20 rows takes longer than the session would let it, setting our own does not.
        slow = "normal IS NULL AND pg_sleep(0.02)::text IS NOT NULL"
        spec = table_spec(fills=fills, missing=slow)
        original = case.image("items")
        with psycopg.connect(url, autocommit=True) as spoiler:
            for name, value in {
                "DateStyle": "German",
                "IntervalStyle": "sql_standard",
                "TimeZone": "Asia/Tokyo",
                "extra_float_digits": "-3",
                "bytea_output": "escape",
                "statement_timeout": "200",
            }.items():
                spoiler.execute(f"SET {name} = '{value}'")
        one, two = await case.store(url), await case.store(url)
        values = ("2025-01-01 00:00+00", 0.30000000000000004, "1 day", b"\0\xff", "n")
        run, lease, page = await first_page(one, spec, rows=20)
        (other,) = await claim(two, run, spec, rows=20, worker="two")
        second = await two.read(spec, other)
        results = await asyncio.gather(
            one.apply(spec, lease, answered(page, spec, lambda _r: values), TERMS),
            two.apply(spec, other, answered(second, spec, lambda _r: values), TERMS),
        )
        assert [r.outcome.written for r in results] == [20, 20]
        undone = await take_back(two, run)
        assert (undone.restored, undone.changed) == (40, 0)
        assert case.image("items") == original

    async def test_nothing_of_ours_stays_in_the_session(self, case, pg_server, bouncer):
        """The next client of the same server connection finds the server's defaults."""
        url = case.url.replace(f":{pg_server.port}/", f":{bouncer.port}/")
        # application_name is PgBouncer's own: it hands each client's on to the server.
        shown = (
            "SELECT name, setting FROM pg_settings "
            "WHERE source = 'session' AND name <> 'application_name' ORDER BY 1"
        )
        with psycopg.connect(url, autocommit=True) as client:
            before = client.execute(shown).fetchall()
        store = await case.store(url)
        run, _ = await fill(store, table_spec(), lower)
        await store.health()
        await store.move(run.id, RunState.PAUSING, among=[RunState.RUNNING])
        with psycopg.connect(url, autocommit=True) as client:
            assert client.execute(shown).fetchall() == before
            assert client.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


async def test_whoever_looks_sees_which_run_it_is(case, store):
    """The application's name and a comment with the run are in pg_stat_activity."""
    _, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec())
    with psycopg.connect(case.url) as other:
        other.execute("SELECT 1 FROM items WHERE id = 7 FOR UPDATE")
        writing = asyncio.create_task(store.apply(table_spec(), lease, settled, TERMS))
        query = (
            "SELECT application_name, query FROM pg_stat_activity a JOIN pg_locks l "
            "ON l.pid = a.pid WHERE NOT l.granted"
        )
        ((name, shown),) = await until(case, query)
        assert name == "proctor"
        assert "proctor run=run-1" in shown
    await writing

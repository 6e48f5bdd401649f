"""What only a purse in a SQL database can do wrong: processes, faults, cancellation, secrets."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import traceback

from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from proctor.adapters.ledger import open_purse
from proctor.config import Redactor
from proctor.errors import ConfigError, ProctorError, Unreachable
from proctor.model import Granted, Limits, Spent, Wait
from proctor.testing.conformance.paying import answer, ended, one, process, told, want
from proxy import FaultProxy

PASSWORD = "hunter22"
COMMIT = b"COMMIT\0"  # the whole statement: BEGIN … READ COMMITTED holds the word too
DOLLAR = {"p": Limits(budget_usd=Decimal(1), concurrency=100)}


@contextlib.asynccontextmanager
async def opened(url, limits=None, **options):
    purse = await open_purse(url, limits or DOLLAR, **options)
    try:
        yield purse
    finally:
        await purse.aclose()


async def spent(url):
    """What is spent and held, as another process sees it."""
    async with opened(url) as purse:
        found = await told(purse)
        return str(found.usd), str(found.held_usd)


@pytest.fixture
def lite(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue("lite" if request.param == "sqlite" else "pg")


def execute(url, statement):
    """As somebody with a client of their own would; the rows."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            rows = connection.execute(statement.replace("proctor_ledger.", "")).fetchall()
            connection.commit()
            return rows
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


# Processes

SPEND = """
import asyncio, os, signal, sys
from decimal import Decimal
from proctor.adapters.ledger import open_purse
from proctor.model import Granted, Limits, Spent
from proctor.testing.conformance.paying import ended, one
limits = {"p": Limits(budget_usd=Decimal(1), concurrency=100)}
async def main():
    purse = await open_purse(sys.argv[1], limits)
    if sys.argv[2] == "die":
        assert isinstance(await one(purse, usd="0.70"), Granted)
        os.kill(os.getpid(), signal.SIGKILL)
    count = 0
    while not isinstance(word := await one(purse, usd="0.03"), Spent):
        if isinstance(word, Granted):
            await purse.settle([ended(word, cost="0.03")])
            count += 1
    await purse.aclose()
    print(count)
asyncio.run(main())
"""


async def child(url, how):
    command = [sys.executable, "-W", "error", "-c", SPEND, url, how]
    return await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)


async def test_real_processes_at_once_never_overshoot_the_budget(url):
    """P6: whoever is quicker, together they make 33 calls of three cents, not 34."""
    children = [await child(url, "spend") for _ in range(3)]
    counts = [int((await process.communicate())[0]) for process in children]
    assert sum(counts) == 33
    assert await spent(url) == ("0.99", "0.00")


async def test_what_a_killed_process_held_stays_spent(url):
    """P6: its call may have reached the provider."""
    process = await child(url, "die")
    await process.communicate()
    assert await spent(url) == ("0", "0.70")
    async with opened(url) as purse:
        # A question of its own: the child counts from the same number on.
        assert isinstance(await one(purse, n=7, usd="0.30"), Granted)


# Faults of the network and the server


@pytest.fixture
def proxy(pg_server):
    with FaultProxy("127.0.0.1", pg_server.port) as proxy:
        yield proxy


@pytest.fixture
def through(pg_server, proxy, pg):
    return pg_server.url(pg.rpartition("/")[2], port=proxy.port)


@pytest.mark.parametrize("lost", ["cut_at", "cut_before"])
async def test_a_connection_that_breaks_lets_no_call_through_and_holds_nothing(
    proxy, through, lost
):
    """Whether COMMIT arrived or not: the next trip gives back what nobody will ever use."""
    async with opened(through) as purse:
        setattr(proxy, lost, COMMIT)
        with pytest.raises(Unreachable):
            await one(purse, usd="0.60")
        assert proxy.cuts == 1
        assert isinstance(await one(purse, usd="0.60"), Granted)
        assert (await told(purse)).held_usd == Decimal("0.60")
        assert not isinstance(await one(purse, usd="0.41"), Granted)
    assert len(execute(through, "SELECT * FROM proctor_ledger.proctor_ledger_holds")) == 1


async def test_a_call_in_doubt_is_given_back_at_the_end(proxy, through):
    """Also when nothing else is ever asked."""
    async with opened(through) as purse:
        proxy.cut_at = COMMIT
        with pytest.raises(Unreachable):
            await one(purse, usd="0.60")
    assert await spent(through) == ("0", "0.00")


async def test_a_lost_reply_to_a_settlement_settles_once(proxy, through):
    """P5: the answer is kept, and its cost is counted once."""
    async with opened(through) as purse:
        word = await one(purse, n=1, usd="0.60")
        proxy.cut_at = COMMIT
        await purse.settle([ended(word, cost="0.20", answer=answer(1))])
        assert proxy.cuts == 1
        assert len(await purse.answers([answer(1).key])) == 1
    assert await spent(through) == ("0.20", "0.00")


async def test_a_settlement_that_never_arrived_is_done_again(proxy, through):
    async with opened(through) as purse:
        word = await one(purse, usd="0.60")
        proxy.cut_before = COMMIT
        await purse.settle([ended(word, cost="0.20")])
        assert proxy.cuts == 1
    assert await spent(through) == ("0.20", "0.00")


async def test_wants_of_many_providers_in_any_order_never_block_each_other(pg):
    """Rows are locked in order of name, however the wants are ordered."""
    limits = {name: Limits(concurrency=1000) for name in "abc"}

    async def ask(purse, names):
        for _ in range(10):
            words = await purse.reserve([want(provider=name) for name in names])
            await purse.settle([ended(word) for word in words])

    async with opened(pg, limits) as a, opened(pg, limits) as b, opened(pg, limits) as c:
        await asyncio.gather(ask(a, "abc"), ask(b, "cba"), ask(c, "bca"))
        assert [s.calls for s in await a.spending()] == [30, 30, 30]


# Cancellation


async def test_a_reserve_that_is_cancelled_holds_nothing(url):
    """Nobody has the word, so nobody makes the call."""
    async with opened(url) as purse:
        asking = asyncio.create_task(one(purse, usd="0.60"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert isinstance(await one(purse, usd="0.90"), Granted)
    assert await spent(url) == ("0", "0.90")


async def test_a_settlement_that_is_cancelled_goes_on_to_its_end(url):
    """P5: what is paid is kept."""
    async with opened(url) as purse:
        word = await one(purse, n=1, usd="0.60")
        settling = asyncio.create_task(purse.settle([ended(word, cost="0.20", answer=answer(1))]))
        await asyncio.sleep(0)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        assert len(await purse.answers([answer(1).key])) == 1
    assert await spent(url) == ("0.20", "0.00")


# What is kept


async def test_a_state_that_cannot_be_read_stops_everybody(url):
    """To begin anew would forget what was spent."""
    async with opened(url) as purse:
        execute(url, "UPDATE proctor_ledger.proctor_ledger_limits SET state = '{}'")
        with pytest.raises(ConfigError, match="provider p cannot be read"):
            await one(purse)


def older(url):
    """The ledger as the Proctor left it that first kept answers."""
    execute(url, "DROP INDEX proctor_ledger.proctor_ledger_answers_run")
    for table, name in (
        *(("holds", name) for name in ("host", "pid", "started", "run")),
        *(("answers", name) for name in ("backfill", "sensitive")),
    ):
        execute(url, f"ALTER TABLE proctor_ledger.proctor_ledger_{table} DROP COLUMN {name}")
    for table in ("asked", "bills", "links", "batches", "rollouts", "rollout_entries"):
        execute(url, f"DROP TABLE proctor_ledger.proctor_ledger_{table}")
    execute(url, "UPDATE proctor_ledger.proctor_ledger_version SET version_num = '0002'")


async def test_settled_holds_leave_nothing_behind(url):
    """A million calls are a million answers, and no more."""
    async with opened(url) as purse:
        words = await purse.reserve([want(n, n + 100) for n in range(20)])
        await purse.settle([ended(word) for word in words])
    for table in ("holds", "asked"):
        assert execute(url, f"SELECT * FROM proctor_ledger.proctor_ledger_{table}") == []


async def test_holds_of_an_older_proctor_stay_spent_and_wait_for_their_time(url):
    """Nobody noted whose they are: it may live."""
    limits = {"p": Limits(concurrency=1, budget_usd=Decimal(1))}
    async with opened(url, limits) as purse:
        await purse.settle([ended(await one(purse), answer=answer(1))])
        await one(purse, usd="0.60")
    older(url)
    async with opened(url, limits, holder=process(1), is_gone=lambda _: True) as purse:
        assert [type(await one(purse)) for _ in range(3)] == [Wait, Wait, Wait]
        assert (await told(purse)).held_usd == Decimal("0.60")


async def test_answers_of_an_older_proctor_are_used_and_never_shown(url):
    """Nobody noted whether they repeat a sensitive field."""
    async with opened(url) as purse:
        await purse.settle([ended(await one(purse), answer=answer(1))])
    older(url)
    async with opened(url) as purse:
        (found,) = (await purse.answers([answer(1).key])).values()
    assert found == replace(answer(1), sensitive=True)


async def test_what_is_spent_is_spent_for_smaller_budgets_too(url):
    """Somebody lowers the budget: what went before counts."""
    async with opened(url) as purse:
        await purse.settle([ended(await one(purse, usd="0.60"), cost="0.60")])
    async with opened(url, {"p": Limits(budget_usd=Decimal("0.50"))}) as purse:
        assert isinstance(await one(purse), Spent)


# P12


async def test_the_name_of_a_run_is_kept_without_secrets(url):
    async with opened(url, redact=Redactor([PASSWORD])) as purse:
        kept = replace(answer(1), run=f"run {PASSWORD}")
        await purse.settle([ended(await one(purse), answer=kept)])
        (found,) = (await purse.answers([kept.key])).values()
    assert found.run == "run ***"


async def test_an_error_while_keeping_an_answer_shows_none_of_it(url):
    """Neither the statement's values nor the database's own detail."""
    async with opened(url) as purse:
        word = await one(purse)
        execute(url, "DROP TABLE proctor_ledger.proctor_ledger_answers")
        with pytest.raises(ProctorError) as caught:
            await purse.settle([ended(word, answer=answer(1, raw=f'"{PASSWORD}"'))])
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


async def test_an_answer_waits_for_the_new_primary_when_servers_change_places(pg_server, pg):
    """P5: the old connection is left, so what was paid is kept as soon as somebody takes writes."""
    name = pg.rpartition("/")[2]
    async with opened(pg) as purse:
        granted = await one(purse, usd="0.10")
        pg_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        pg_server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        paid = ended(granted, cost="0.08", answer=answer(cost="0.08"))
        with pytest.raises(Unreachable) as refused:
            await purse.settle([paid])
        assert "standby" in refused.value.fix
        pg_server.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await purse.settle([paid])
        assert list(await purse.answers([answer().key])) == [answer().key]
    assert await spent(pg) == ("0.08", "0.00")

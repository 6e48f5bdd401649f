"""What only a ledger in a SQL database can do wrong: upgrades, tampering, faults, secrets."""

import asyncio
import contextlib
import re
import sqlite3
import subprocess
import sys
import traceback

from datetime import UTC, datetime
from importlib.resources import files

import psycopg
import pytest

from proctor.adapters.ledger import open_ledger
from proctor.adapters.ledger.schema import (
    ANSWERS,
    ASKED,
    BILLS,
    EVENTS,
    HEAD,
    HOLDS,
    LIMITS,
    NEWEST,
)
from proctor.errors import Busy, ConfigError, Denied, ProctorError, Unreachable
from proctor.model import Event
from proxy import FaultProxy
from servers import role_of

PASSWORD = "hunter22"
COMMIT = b"COMMIT\0"  # the whole statement: BEGIN … READ COMMITTED holds the word too


def event(**data):
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Event(name="run.opened", at=at, run="r", env="e", who="w", data=data)


@contextlib.asynccontextmanager
async def opened(url, **options):
    ledger = await open_ledger(url, **options)
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def numbers(url):
    async with opened(url) as ledger:
        assert (await ledger.verify_chain()).intact
        return [e.data["n"] for e in await ledger.events()]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def lite(file):
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue("lite" if request.param == "sqlite" else "pg")


def execute(url, *statements):
    """As somebody with a client of their own would."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            for statement in statements:
                connection.execute(statement.replace("proctor_ledger.", ""))
            connection.commit()
    else:
        with psycopg.connect(url) as connection:
            for statement in statements:
                connection.execute(statement)


async def fault(url, **options):
    with pytest.raises(ProctorError) as caught:
        await open_ledger(url, **options)
    return caught.value


# Upgrades


def test_the_newest_revision_is_the_last_migration():
    """The quick check at open and the steps on disk never part."""
    steps = files("proctor.adapters.ledger") / "migrations" / "versions"
    found = [re.match(r"v(\d{4})_", step.name) for step in steps.iterdir()]
    assert max(match[1] for match in found if match) == NEWEST


async def test_the_migrations_make_the_tables_that_the_code_uses(url):
    async with opened(url) as ledger:
        import sqlalchemy as sa

        schema = None if url.startswith("sqlite") else "proctor_ledger"
        found = sa.inspect(ledger._engine)
        for table in (EVENTS, HEAD, ANSWERS, ASKED, BILLS, LIMITS, HOLDS):
            columns = found.get_columns(table.name, schema=schema)
            assert [(c["name"], c["nullable"]) for c in columns] == [
                (c.name, c.nullable) for c in table.columns
            ]


async def test_a_ledger_of_a_newer_proctor_is_refused(url):
    """Before anything is written to it, and it says what to do."""
    async with opened(url):
        pass
    execute(url, "UPDATE proctor_ledger.proctor_ledger_version SET version_num = '9999'")
    error = await fault(url)
    assert isinstance(error, ConfigError)
    assert "newer" in error.what
    assert "9999" in error.found
    assert "update proctor" in error.fix


async def test_a_ledger_of_an_older_proctor_is_upgraded_with_its_events(url):
    """As the one that had only events left it."""
    async with opened(url) as ledger:
        await ledger.append([event(n=1)])
    tables = ("answers", "limits", "holds", "asked", "bills", "links", "batches")
    tables += ("rollouts", "rollout_entries")
    execute(
        url,
        *(f"DROP TABLE proctor_ledger.proctor_ledger_{table}" for table in tables),
        "UPDATE proctor_ledger.proctor_ledger_version SET version_num = '0001'",
    )
    async with opened(url) as ledger:
        await ledger.append([event(n=2)])
    execute(url, *(f"SELECT * FROM proctor_ledger.proctor_ledger_{table}" for table in tables))
    assert await numbers(url) == [1, 2]


async def test_an_upgrade_that_fails_leaves_nothing_behind(url):
    """All steps are one transaction."""
    if not url.startswith("sqlite"):
        execute(url, "CREATE SCHEMA proctor_ledger")
    execute(url, "CREATE TABLE proctor_ledger.proctor_ledger_head (x INTEGER)")
    await fault(url)
    execute(url, "DROP TABLE proctor_ledger.proctor_ledger_head")
    async with opened(url) as ledger:
        await ledger.append([event(n=1)])
    assert await numbers(url) == [1]


@pytest.mark.parametrize("processes", [3])
async def test_real_processes_that_start_at_once_agree(url, processes):
    """One makes the tables, the others wait; every event is kept once, in one chain."""
    script = (
        "import asyncio, sys\n"
        "from datetime import UTC, datetime\n"
        "from proctor.adapters.ledger import open_ledger\n"
        "from proctor.model import Event\n"
        "async def main():\n"
        "    ledger = await open_ledger(sys.argv[1])\n"
        "    for n in range(10):\n"
        "        at = datetime.now(UTC)\n"
        "        await ledger.append([Event(name='a.b', at=at, run='', env='', who='', "
        "data={'n': n})])\n"
        "    await ledger.aclose()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, url]
    children = [
        await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        for _ in range(processes)
    ]
    assert [(await child.communicate())[1] for child in children] == [b""] * processes
    assert sorted(await numbers(url)) == sorted(list(range(10)) * processes)


# Tampering

ALLOW = {
    "sqlite": [f"DROP TRIGGER proctor_ledger_events_{w}" for w in ("update", "delete")],
    "postgresql": [
        "ALTER TABLE proctor_ledger.proctor_ledger_events DISABLE TRIGGER refuse_change"
    ],
}
TABLE = "proctor_ledger.proctor_ledger_events"


@pytest.mark.parametrize(
    ("change", "at", "why"),
    [
        (f"""UPDATE {TABLE} SET data = '{{"n": 7}}' WHERE number = 2""", 2, "event 2 was changed"),
        (f"UPDATE {TABLE} SET who = 'mallory' WHERE number = 3", 3, "event 3 was changed"),
        (f"DELETE FROM {TABLE} WHERE number = 2", 2, "event 2 is missing"),
        (f"DELETE FROM {TABLE} WHERE number = 4", 4, "the head says 4 events, 3 are there"),
        ("DELETE FROM proctor_ledger.proctor_ledger_head", 5, "head of the chain is missing"),
        (
            f"UPDATE {TABLE} SET number = -number WHERE number IN (2, 3)",
            1,
            "event 1 is missing, the next is -3",
        ),
    ],
)
async def test_tampering_is_found_and_placed(url, change, at, why):
    """Whatever was done behind our back; the number is the first that does not fit."""
    async with opened(url) as ledger:
        await ledger.append([event(n=n) for n in range(4)])
    execute(url, *ALLOW[url.partition(":")[0]], change)
    async with opened(url) as ledger:
        chain = await ledger.verify_chain()
    assert (chain.intact, chain.broken_at) == (False, at)
    assert why in chain.why


@pytest.mark.parametrize("change", [f"UPDATE {TABLE} SET who = 'x'", f"DELETE FROM {TABLE}"])
async def test_the_database_itself_refuses_to_change_events(url, change):
    """P11: the record stands, also against a slip in a SQL console."""
    async with opened(url) as ledger:
        await ledger.append([event(n=1)])
    with pytest.raises((sqlite3.IntegrityError, psycopg.Error), match="never changed"):
        execute(url, change)
    assert await numbers(url) == [1]


# Faults of the network and the server


@pytest.fixture
def proxy(pg_server):
    with FaultProxy("127.0.0.1", pg_server.port) as proxy:
        yield proxy


@pytest.fixture
def through(pg_server, proxy, pg):
    return pg_server.url(pg.rpartition("/")[2], port=proxy.port)


async def test_a_lost_reply_to_commit_does_not_keep_events_twice(proxy, through):
    """The new try waits for the transaction in doubt and looks."""
    async with opened(through) as ledger:
        await ledger.append([event(n=1)])
        proxy.cut_at = COMMIT
        await ledger.append([event(n=2), event(n=3)])
        assert proxy.cuts == 1
    assert await numbers(through) == [1, 2, 3]


async def test_a_commit_that_never_arrived_is_done_again(proxy, through):
    async with opened(through) as ledger:
        proxy.cut_before = COMMIT
        await ledger.append([event(n=1)])
        assert proxy.cuts == 1
    assert await numbers(through) == [1]


@pytest.mark.parametrize("lost", ["cut_at", "cut_before"])
async def test_events_in_doubt_are_kept_once_also_when_appended_again_later(proxy, through, lost):
    """The server could not be reached for a while; the caller's next flush settles the doubt."""
    async with opened(through) as ledger:
        setattr(proxy, lost, COMMIT)
        proxy.refuse = True  # new connections; the one that stands goes on
        with pytest.raises(Unreachable):
            await ledger.append([event(n=1), event(n=2)])
        assert proxy.cuts == 1
        proxy.refuse = False
        await ledger.append([event(n=1), event(n=2), event(n=3)])
    assert await numbers(through) == [1, 2, 3]


async def test_a_connection_ended_by_the_server_is_made_again(url, pg_server):
    """An administrator, a time-out or a restart between two flushes harms nobody."""
    async with opened(url) as ledger:
        await ledger.append([event(n=1)])
        pg_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'proctor-ledger'"
        )
        await ledger.append([event(n=2)])
    assert await numbers(url) == [1, 2]


async def test_a_locked_file_is_busy_and_not_broken(lite, file, monkeypatch):
    monkeypatch.setattr("proctor.adapters.ledger.engines.WAIT_S", 0.05)
    async with opened(lite) as ledger:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Busy):
                await ledger.append([event(n=1)])
            other.execute("ROLLBACK")
        await ledger.append([event(n=2)])
    assert await numbers(lite) == [2]


# Errors with what to do


async def test_folder_and_file_are_made(tmp_path):
    async with opened(f"sqlite:///{tmp_path}/a/b/ledger.db"):
        assert (tmp_path / "a" / "b" / "ledger.db").is_file()


async def test_a_file_that_is_no_database_is_named(lite, file):
    file.write_bytes(b"certainly no database" * 100)
    error = await fault(lite)
    assert isinstance(error, ConfigError)
    assert str(file) in error.what
    assert error.fix


async def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    error = await fault(f"sqlite:///{tmp_path}/file/ledger.db")
    assert isinstance(error, Unreachable)
    assert "folder" in error.fix


async def test_a_read_only_ledger_is_denied(lite, file):
    async with opened(lite):
        pass
    async with opened(f"sqlite:///file:{file}?mode=ro&uri=true") as ledger:
        assert await ledger.events() == []
        with pytest.raises(Denied) as caught:
            await ledger.append([event(n=1)])
    assert "write" in caught.value.fix


@pytest.mark.parametrize(
    "url",
    ["mysql://a:hunter22@h/d", "hunter22", "postgresql://a:hunter22@h:port/d", "sqlite", "://"],
)
async def test_an_unknown_url_is_refused_without_showing_it(url):
    error = await fault(url)
    assert isinstance(error, ConfigError)
    assert "sqlite:///" in error.fix
    assert PASSWORD not in "".join(traceback.format_exception(error))


async def test_each_reason_for_no_connection_says_what_to_do(pg_server, pg, proxy):
    """Wrong password, no such database, no server: three errors, three remedies, no secret."""
    database = pg.rpartition("/")[2]
    with contextlib.suppress(psycopg.errors.DuplicateObject):
        pg_server.execute("CREATE ROLE locked LOGIN PASSWORD 'the-right-one'")
    proxy.refuse = True
    urls = {
        "user and password": pg_server.url(database, user=f"locked:{PASSWORD}"),
        "create the database": pg_server.url(f"no_{database}", user=f"postgres:{PASSWORD}"),
        "server runs": pg_server.url(database, user=f"postgres:{PASSWORD}", port=proxy.port),
    }
    for fix, url in urls.items():
        error = await fault(url)
        assert isinstance(error, Unreachable)
        assert fix in error.fix
        assert PASSWORD not in "".join(traceback.format_exception(error))


async def test_a_role_that_may_not_create_is_told_what_to_grant(pg_server, pg):
    database = pg.rpartition("/")[2]
    role = role_of("clerk")
    pg_server.execute(f"CREATE ROLE {role} LOGIN")
    url = pg_server.url(database, user=role)
    error = await fault(url)
    assert isinstance(error, Denied)
    assert "GRANT" in error.fix
    async with opened(pg):
        pass
    assert isinstance(await fault(url), Denied)


async def test_a_role_with_the_rights_needs_no_right_to_create(pg_server, pg):
    """An administrator makes the ledger once; a lesser role keeps it."""
    database = pg.rpartition("/")[2]
    role = role_of("keeper")
    pg_server.execute(f"CREATE ROLE {role} LOGIN")
    async with opened(pg):
        pass
    execute(
        pg,
        f"GRANT USAGE ON SCHEMA proctor_ledger TO {role}",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA proctor_ledger TO {role}",
    )
    async with opened(pg_server.url(database, user=role)) as ledger:
        await ledger.append([event(n=1)])
    assert await numbers(pg) == [1]


# P12


async def test_no_secret_gets_into_the_ledger(url):
    """Every text of an event goes through the redactor: keys, nested values and names."""
    from proctor.config import Redactor

    told = Event(
        name="run.failed",
        at=datetime(2026, 3, 1, tzinfo=UTC),
        run=PASSWORD,
        env="e",
        who=f"w {PASSWORD}",
        data={"why": f"login {PASSWORD} failed", PASSWORD: [{"x": (PASSWORD,)}]},
    )
    async with opened(url, redact=Redactor([PASSWORD])) as ledger:
        await ledger.append([told])
        (found,) = await ledger.events()
    assert PASSWORD not in repr(found)
    assert found.data["why"] == "login *** failed"


async def test_an_error_while_writing_shows_no_data(lite):
    """Neither the statement's values nor the database's own detail."""
    async with opened(lite) as ledger:
        execute(lite, "DROP TABLE proctor_ledger_events")
        with pytest.raises(ProctorError) as caught:
            await ledger.append([event(secret=PASSWORD)])
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))

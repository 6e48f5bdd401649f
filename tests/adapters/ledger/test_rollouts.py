"""The suite of rollout logs on both kinds of ledger, and what only a real database shows."""

import contextlib

import pytest

from proctor.adapters.ledger.rollouts import SqlRolloutLog
from proctor.testing.conformance import RolloutLogConformance
from proctor.testing.conformance.rollouts import entry, fresh
from proxy import FaultProxy


@contextlib.asynccontextmanager
async def many(url):
    """A way to open logs on one URL; closes them all."""
    async with contextlib.AsyncExitStack() as stack:

        async def one():
            log = await SqlRolloutLog.open(url, redact=lambda text: text.replace("hunter22", "***"))
            stack.push_async_callback(log.aclose)
            return log

        yield one


class TestSqlite(RolloutLogConformance):
    @pytest.fixture
    async def logs(self, tmp_path):
        async with many(f"sqlite:///{tmp_path}/ledger.db") as one:
            yield one


class TestPostgres(RolloutLogConformance):
    @pytest.fixture
    async def logs(self, pg):
        async with many(pg) as one:
            yield one


async def test_no_secret_gets_into_a_rollouts_log(tmp_path):
    """P12: every text of an entry is redacted, however deep it stands."""
    async with many(f"sqlite:///{tmp_path}/ledger.db") as one:
        log = await one()
        begun = await log.begin(fresh(), [entry("rollout.began", url=["x", {"a": "pw hunter22"}])])
        await log.add(begun, [entry(who="hunter22", why="hunter22 failed")])
        assert "hunter22" not in str(await log.entries("r1"))
    assert b"hunter22" not in (tmp_path / "ledger.db").read_bytes()


@pytest.mark.parametrize("lost", ["cut_at", "cut_before"])
async def test_an_entry_whose_commit_is_in_doubt_is_there_once(pg, pg_server, lost):
    """The reply is lost, or the COMMIT never arrives: the next try looks, and never doubles."""
    with FaultProxy("127.0.0.1", pg_server.port) as proxy:
        through = pg.replace(str(pg_server.port), str(proxy.port))
        async with many(through) as one:
            log = await one()
            begun = await log.begin(fresh(), [entry("rollout.began")])
            setattr(proxy, lost, b"COMMIT\0")
            added = await log.add(begun, [entry("flag.set", percent=5)])
            assert proxy.cuts == 1
            setattr(proxy, lost, b"COMMIT\0")
            await log.begin(fresh("r2", name="other"), [entry("rollout.began")])
            assert proxy.cuts == 2
    async with many(pg) as one:
        log = await one()
        assert [e.kind for e in await log.entries("r1")] == ["rollout.began", "flag.set"]
        assert await log.rollout("r1") == added
        assert len(await log.entries("r2")) == 1

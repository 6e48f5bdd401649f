"""The suite of rollout logs on both kinds of ledger, and what only a real database shows."""

import contextlib

from datetime import UTC, datetime, timedelta

import pytest

from proctor.adapters.clock import SystemClock
from proctor.adapters.ledger.rollouts import SqlRolloutLog
from proctor.errors import RunActive
from proctor.testing.clock import FakeClock
from proctor.testing.conformance import RolloutLogConformance
from proctor.testing.conformance.rollouts import LEASE, NOW, entry, fresh, process
from proxy import FaultProxy


@contextlib.asynccontextmanager
async def many(url, clock=None):
    """A way to open logs on one URL; closes them all."""
    async with contextlib.AsyncExitStack() as stack:

        async def one():
            log = await SqlRolloutLog.open(
                url, redact=lambda text: text.replace("hunter22", "***"), clock=clock
            )
            stack.push_async_callback(log.aclose)
            return log

        yield one


@pytest.fixture
def clock():
    """The time of all logs of a test."""
    return FakeClock(NOW, auto=False)


class TestSqlite(RolloutLogConformance):
    @pytest.fixture
    async def logs(self, tmp_path, clock):
        async with many(f"sqlite:///{tmp_path}/ledger.db", clock) as one:
            yield one


class TestPostgres(RolloutLogConformance):
    @pytest.fixture
    async def logs(self, pg, clock):
        async with many(pg, clock) as one:
            yield one


async def test_whether_a_driver_lives_is_told_by_the_databases_clock(pg, monkeypatch):
    """Not by a machine's, which may be an hour off: nobody takes over what is being driven."""
    async with many(pg) as one:
        log = await one()
        await log.begin(fresh(), [entry("rollout.began")])
        await log.take("r1", process(1), lease_for=LEASE, dead=False)
        hour = datetime.now(UTC) + timedelta(hours=1)
        monkeypatch.setattr(SystemClock, "now", lambda _clock: hour)
        other = await one()
        with pytest.raises(RunActive):
            await other.take("r1", process(2), lease_for=LEASE, dead=False)
        assert await other.now() - (await other.rollout("r1")).beat < LEASE


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

"""The suite of ledgers, for each of ours."""

import contextlib

import pytest

from proctor.adapters.ledger import MemoryLedger, open_ledger
from proctor.testing.conformance import DurableLedgerConformance, LedgerConformance


@contextlib.asynccontextmanager
async def many(url):
    """A way to open ledgers on one URL; closes them all."""
    async with contextlib.AsyncExitStack() as stack:

        async def one():
            ledger = await open_ledger(url)
            stack.push_async_callback(ledger.aclose)
            return ledger

        yield one


class TestMemory(LedgerConformance):
    @pytest.fixture
    async def ledger(self):
        return MemoryLedger()


class TestSqlite(DurableLedgerConformance):
    @pytest.fixture
    async def opened(self, tmp_path):
        async with many(f"sqlite:///{tmp_path}/.proctor/ledger.db") as one:
            yield one


class TestPostgres(DurableLedgerConformance):
    @pytest.fixture
    async def opened(self, pg):
        async with many(pg) as one:
            yield one

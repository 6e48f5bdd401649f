"""The suite of purses, for each of ours."""

import contextlib

import pytest

from proctor.adapters.ledger import MemoryPurse, Pocket, open_purse
from proctor.testing.conformance import PurseConformance


@contextlib.asynccontextmanager
async def many(url):
    """A way to open purses on one URL; closes them all."""
    async with contextlib.AsyncExitStack() as stack:

        async def one(limits, **options):
            purse = await open_purse(url, limits, **options)
            stack.push_async_callback(purse.aclose)
            return purse

        yield one


class TestMemory(PurseConformance):
    @pytest.fixture
    async def purses(self):
        pocket = Pocket()

        async def one(limits, **options):
            return MemoryPurse(limits, pocket=pocket, **options)

        return one


class TestSqlite(PurseConformance):
    @pytest.fixture
    async def purses(self, tmp_path):
        async with many(f"sqlite:///{tmp_path}/.proctor/ledger.db") as one:
            yield one


class TestPostgres(PurseConformance):
    @pytest.fixture
    async def purses(self, pg):
        async with many(pg) as one:
            yield one

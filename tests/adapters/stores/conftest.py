"""Fixtures for the stores' own tests."""

import pytest

from adapters.stores.sqlite_harness import SqliteHarness
from pgcases import Case


@pytest.fixture
async def lite(tmp_path):
    """A SQLite file of this test's own, with stores on it."""
    harness = SqliteHarness(tmp_path / "shop.db")
    yield harness
    await harness.close()


@pytest.fixture
async def case(pg):
    """A Postgres database of this test's own, empty; test files that want rows in it say so."""
    async with Case(pg) as case:
        yield case


@pytest.fixture
async def store(case):
    """A store on it."""
    return await case.store()

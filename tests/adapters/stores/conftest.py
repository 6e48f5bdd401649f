"""Fixtures for the stores' own tests."""

import pytest

from adapters.stores.sqlite_harness import SqliteHarness


@pytest.fixture
async def lite(tmp_path):
    """A SQLite file of this test's own, with stores on it."""
    harness = SqliteHarness(tmp_path / "shop.db")
    yield harness
    await harness.close()

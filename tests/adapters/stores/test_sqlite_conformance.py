"""The SQLite store keeps every promise of the suite, in both kinds of journal."""

import pytest

from adapters.stores.sqlite_harness import SqliteHarness
from proctor.testing.conformance import GridConformance, StoreConformance, TouchConformance


class TestSqlite(StoreConformance, GridConformance, TouchConformance):
    """In the mode that most files are in today."""

    journal_mode = "wal"

    @pytest.fixture
    async def harness(self, tmp_path):
        harness = SqliteHarness(tmp_path / "shop.db", journal_mode=self.journal_mode)
        yield harness
        await harness.close()


class TestSqliteRollbackJournal(TestSqlite):
    """In SQLite's own default, where a writer keeps every reader out."""

    journal_mode = "delete"

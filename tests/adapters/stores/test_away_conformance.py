"""The store suite on rows in Postgres, with progress in the ledger's database."""

import pytest

from adapters.stores.away_harness import AwayHarness, AwaySqliteHarness
from proctor.testing.conformance import StoreConformance


class TestProgressInSqlite(StoreConformance):
    @pytest.fixture
    async def harness(self, pg, tmp_path):
        harness = AwayHarness(pg, f"sqlite:///{tmp_path / 'ledger.db'}")
        yield harness
        await harness.close()


class TestProgressInPostgres(StoreConformance):
    @pytest.fixture
    async def harness(self, pg, pg_server):
        ledger = pg_server.create_database()
        harness = AwayHarness(pg, ledger)
        yield harness
        await harness.close()
        pg_server.drop_database(ledger)


class TestRowsInSqlite(StoreConformance):
    """Both in files; the rows' one in the mode that most files are in today."""

    journal_mode = "wal"

    @pytest.fixture
    async def harness(self, tmp_path):
        ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
        harness = AwaySqliteHarness(tmp_path / "shop.db", ledger, journal_mode=self.journal_mode)
        yield harness
        await harness.close()


class TestRowsInSqliteWithARollbackJournal(TestRowsInSqlite):
    """A reader keeps a writer out here."""

    journal_mode = "delete"

"""The store suite on rows in Postgres, with progress in the ledger's database."""

import pytest

from adapters.stores.away_harness import AwayHarness, AwaySqliteHarness
from proctor.errors import TargetError
from proctor.testing.conformance import StoreConformance
from proctor.testing.conformance.emitting import WORKS, books_spec


class TestProgressInSqlite(StoreConformance):
    @pytest.fixture
    async def harness(self, pg, tmp_path):
        harness = AwayHarness(pg, f"sqlite:///{tmp_path / 'ledger.db'}")
        yield harness
        await harness.close()


class TestProgressInPostgres(StoreConformance):
    @pytest.fixture
    async def harness(self, pg, pg_databases):
        ledger = pg_databases.take()
        harness = AwayHarness(pg, ledger)
        yield harness
        await harness.close()
        pg_databases.give_back(ledger)


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


async def test_a_grid_is_refused_where_its_units_cannot_be_kept(tmp_path):
    """P2 and P3 of a unit need its table beside the rows: the error says so, and what to do."""
    harness = AwaySqliteHarness(tmp_path / "shop.db", f"sqlite:///{tmp_path / 'ledger.db'}")
    await harness.sql(WORKS)
    store = await harness.store()
    with pytest.raises(TargetError, match="units are kept beside the rows") as refused:
        await store.inspect(books_spec())
    assert "progress" in refused.value.found
    await harness.close()

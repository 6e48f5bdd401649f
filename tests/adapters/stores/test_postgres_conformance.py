"""The store suite on a real Postgres server."""

import pytest

from pgcases import PostgresHarness
from proctor.testing.conformance import GridConformance, StoreConformance, TouchConformance


class TestPostgresStore(StoreConformance, GridConformance, TouchConformance):
    @pytest.fixture
    async def harness(self, pg):
        harness = PostgresHarness(pg)
        yield harness
        await harness.close()
